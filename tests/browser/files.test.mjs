// What can be said of the console without a browser.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { POLICY } from './lib/mock.mjs';
import { inPlace } from '../../console/app/facets.js';
import * as format from '../../console/app/format.js';
import { instancesOf, mapOf, problemsOf, systemOf } from '../../console/app/overview/model.js';
import { rowsOf, traceOf } from '../../console/app/trace/model.js';
import { SYSTEM, graph, instances, purchase } from './lib/data.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const consoleDir = join(here, '../../console');
const vendor = join(consoleDir, 'vendor');

test('the types of every page hold', () => {
  const tsc = join(here, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', join(here, 'tsconfig.json')], { stdio: 'pipe', encoding: 'utf8' });
});

test('every vendored file is the one that vendor.json names, with its licence', () => {
  const { files } = JSON.parse(readFileSync(join(vendor, 'vendor.json'), 'utf8'));
  const lock = JSON.parse(readFileSync(join(here, 'package-lock.json'), 'utf8'));
  for (const one of files) {
    const hash = createHash('sha384').update(readFileSync(join(vendor, one.file))).digest('base64');
    assert.equal(`sha384-${hash}`, one.integrity, one.file);
    assert.ok(readFileSync(join(vendor, one.licence_text), 'utf8').length > 500, one.licence_text);
    const locked = lock.packages[`node_modules/${one.package}`];
    assert.deepEqual([one.version, one.source_integrity], [locked.version, locked.integrity], one.file);
  }
  const there = readdirSync(vendor).filter((name) => /\.(js|css)$/.test(name));
  assert.deepEqual(there.sort(), files.map((one) => one.file).sort());
});

test('the mock sends the policy that the server sends', () => {
  const source = readFileSync(join(here, '../../mortar/mortar-console/src/assets.rs'), 'utf8');
  const policy = /const POLICY: &str = "([^"]*)"/.exec(source)[1].replace(/\\\n\s*/g, '');
  assert.equal(policy, POLICY);
});

test('no page writes HTML, evaluates text or names another origin', () => {
  const files = readdirSync(join(consoleDir, 'app'), { recursive: true }).filter((name) => String(name).endsWith('.js'));
  assert.ok(files.length > 20);
  for (const name of files) {
    const text = readFileSync(join(consoleDir, 'app', String(name)), 'utf8');
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?:\/\//, String(name));
  }
});

test('durations and figures read as people write them', () => {
  const check = (found, expected) => assert.equal(found, expected);
  check(format.duration(0), '0 ms');
  check(format.duration(0.0005), '500 ns');
  check(format.duration(0.82), '820 µs');
  check(format.duration(12.345), '12.3 ms');
  check(format.duration(999.9), '1 s');
  check(format.duration(61_000), '1 m 1 s');
  check(format.duration(null), '–');
  check(format.rate(0), '0/s');
  check(format.rate(0.001), '<0.01/s');
  check(format.rate(0.0714), '0.07/s');
  check(format.rate(48.31), '48.3/s');
  check(format.percent(0.0743), '7.4 %');
  check(format.bytes(50_331_648), '48 MiB');
  check(format.plural(1, 'trace'), '1 trace');
});

test('counts that change under the mouse keep their places, new ones come behind', () => {
  const counts = (...values) => values.map((value, i) => ({ value, count: 9 - i }));
  const names = (found) => found.map((one) => one.value).join();
  assert.equal(names(inPlace(counts('b', 'c', 'a'), ['a', 'b'])), 'a,b,c');
  assert.equal(names(inPlace(counts('b', 'a'), [])), 'b,a');
});

test('the map joins what is declared with what is seen and names what is wrong', () => {
  const map = mapOf(systemOf(SYSTEM), instancesOf(instances(['payment/1', 'order/2'])), graph(60));
  const edge = map.edges.find((one) => one.id === 'order>payment');
  assert.equal(edge.declared && edge.seen, true);
  assert.equal(edge.health, 'bad');
  assert.equal(map.edges.find((one) => one.id === 'payment>psp').health, 'idle');
  const problems = problemsOf(map).map((one) => one.text);
  assert.deepEqual(problems.slice(0, 2), ['payment is down', '7.4 % of requests to payment fail'].sort().reverse());
  assert.ok(problems.includes('order has 1 of 2 instances'), problems.join());
});

test('answers that are empty or foreign give an empty map', () => {
  for (const raw of [null, {}, { bricks: 7 }, { bricks: null, routes: {} }]) {
    assert.equal(mapOf(systemOf(raw), instancesOf(raw), raw).nodes.length, 1);
  }
});

test('spans are laid out parents first, whatever order and rings they come in', () => {
  const raw = purchase();
  const trace = traceOf({ ...raw, spans: [...raw.spans].reverse() });
  assert.deepEqual(trace.spans.map((span) => span.span_id), raw.spans.map((span) => span.span_id));
  assert.equal(trace.end[0], raw.spans.length);
  assert.equal(rowsOf(trace, new Set([2]), false).length, 3);
  assert.equal(rowsOf(trace, new Set(), true).length, raw.spans.length + raw.logs.length);
  const one = (span_id, parent_id) => ({ ...raw.spans[0], span_id, parent_id });
  const ring = traceOf({ trace_id: 'x', spans: [one('a', 'b'), one('b', 'a'), one('c', 'gone'), one('d', 'd')], logs: [] });
  assert.equal(ring.spans.length, 4);
  assert.equal(ring.orphans, 2);
  assert.equal(traceOf({}).spans.length, 0);
});
