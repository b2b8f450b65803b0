// Traces in a real browser, on the mock: facets, heat map, critical path, comparison, traces that grow, huge ones.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open } from './lib/browser.mjs';
import { NASTY, PURCHASE, heatmap, purchase, tracesOf } from './lib/data.mjs';
import { browser, mock, visit } from './lib/console.mjs';
import { fast } from './lib/frames.mjs';
import { GROWING, SLOW } from './lib/mock.mjs';
import { duration } from '../../console/app/format.js';
import { floorOf } from '../../console/app/traces/floor.js';
import { criticalOf } from '../../console/app/trace/critical.js';
import { compare, differs } from '../../console/app/trace/compare.js';
import { pack, traceOf, unpack } from '../../console/app/trace/model.js';

const TRACE = `/console/traces/${PURCHASE}`;

const caption = (page) => page.locator('.heatmap figcaption');
const readPacked = (raw) => unpack(pack(traceOf(raw)).message);

test('the critical path goes back from the end through the child that finished last', () => {
  const ms = (...values) => Float64Array.from(values);
  /** Spans as [parent, start, duration]; pieces as `span: from-to`, sorted by time. */
  const check = (spans, expected) => {
    const { span, from, to } = criticalOf({ parent: Int32Array.from(spans, ([parent]) => parent), start: ms(...spans.map(([, start]) => start)), duration: ms(...spans.map(([, , took]) => took)) });
    const pieces = Array.from(span, (at, i) => ({ at, from: from[i], to: to[i] })).sort((a, b) => a.from - b.from);
    assert.deepEqual(pieces.map((one) => `${one.at}: ${one.from}-${one.to}`), expected);
  };
  check([], []);
  check([[-1, 0, 10]], ['0: 0-10']);
  check([[-1, 0, 10], [0, 2, 3], [0, 6, 2]], ['0: 0-2', '1: 2-5', '0: 5-6', '2: 6-8', '0: 8-10']);
  // Of two at one time the later end counts, and the other is on no path.
  check([[-1, 0, 10], [0, 1, 7], [0, 2, 3]], ['0: 0-1', '1: 1-8', '0: 8-10']);
  // A child that goes on after the answer is cut, one that begins after it is left out.
  check([[-1, 0, 10], [0, 8, 30], [0, 12, 2]], ['0: 0-8', '1: 8-10']);
  // A clock that is behind does not make the path longer than the trace.
  check([[-1, 5, 10], [0, 1, 6]], ['1: 5-7', '0: 7-15']);
});

test('the critical path of a purchase sums to its time, and so do the shares of its services', () => {
  const trace = readPacked(purchase());
  const sum = trace.critical.span.reduce((all, _, i) => all + trace.critical.to[i] - trace.critical.from[i], 0);
  assert.equal(sum, trace.total);
  assert.equal(trace.services.reduce((all, one) => all + one.critical, 0), trace.total);
  assert.equal(trace.service(13), 'payment');
  assert.equal(trace.operation(13), 'POST /api/payments');
  assert.equal(trace.find(trace.idOf(13)), 13);
  assert.equal(trace.find('nowhere'), -1);
});

test('two traces are matched by path: what is slower, what is missing, what failed', () => {
  const rows = compare(readPacked(purchase()), readPacked(purchase({ slow: true, failed: true })));
  const row = (operation) => rows.find((one) => one.operation === operation);
  assert.equal((row('authorise').b.ns - row('authorise').a.ns) / 1e6, 400);
  assert.equal(row('INSERT orders').b, null);
  assert.deepEqual([row('POST /api/payments').a.errors, row('POST /api/payments').b.errors], [0, 1]);
  assert.equal(differs(row('SELECT sessions')), false);
  assert.ok(rows.every((one, i) => one.depth <= (rows[i - 1]?.depth ?? -1) + 1), 'parents stand before children');
  const same = compare(readPacked(purchase()), readPacked(purchase()));
  assert.equal(same.filter(differs).length, 0);
});

test('facets narrow the search, count the other values too, and stand in the address', () =>
  visit('/console/traces', async (page) => {
    await page.getByRole('button', { name: /^payment [0-9]/ }).click();
    await page.waitForURL(/service=payment/);
    await page.getByRole('button', { name: /^shipping [0-9]/ }).waitFor();
    await page.getByRole('button', { name: /^error [0-9]/ }).click();
    await page.waitForURL(/errors=1/);
    await page.waitForFunction(() => [...document.querySelectorAll('.results > li')].every((one) => one.dataset.error));
    await page.getByRole('button', { name: /^ok [0-9]/ }).click();
    await page.waitForURL(/errors=0/);
    await page.reload();
    await page.locator('.facet-value.on', { hasText: 'ok' }).waitFor();
    await page.waitForFunction(() => document.querySelectorAll('.results > li').length && [...document.querySelectorAll('.results > li')].every((one) => !one.dataset.error));
  }));

test('the heat map counts all traces that match, and dragging over it narrows time and duration', () =>
  visit('/console/traces', async (page) => {
    await caption(page).getByText('60 traces').waitFor();
    const box = await page.locator('.heatmap svg').boundingBox();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 3);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width - 2, box.y + box.height * 0.24, { steps: 4 });
    await caption(page).getByText(/traces.* to /).waitFor();
    await page.mouse.up();
    await page.waitForURL(/since=.*until=.*min=/);
    await page.waitForFunction(() => document.querySelectorAll('.results > li').length > 0 && document.querySelectorAll('.results > li').length < 40);
    await page.getByRole('button', { name: 'Whole time' }).click();
    await page.waitForURL((url) => !url.searchParams.has('min'));
    await caption(page).getByText('60 traces').waitFor();
  }));

test('slowest first is the slowest of all that match, not of the newest page', () => {
  const all = tracesOf(new URLSearchParams()).map((one) => one.duration_ms).sort((a, b) => b - a);
  const map = heatmap(new URLSearchParams('since=15m'), {});
  for (const wanted of [1, 10, 50, 1000]) {
    const { min, count, all: total } = floorOf(map, wanted);
    assert.equal(total, 60);
    assert.equal(count, all.filter((ms) => ms >= min).length);
    assert.ok(count >= Math.min(wanted, total), `${count} are at least ${min} ms`);
  }
  return visit('/console/traces', async (page) => {
    await page.locator('.result').first().waitFor();
    await page.getByRole('button', { name: 'Newest first' }).click();
    await page.getByRole('button', { name: 'Slowest first' }).waitFor();
    await page.waitForFunction((most) => document.querySelector('.result .took')?.textContent === most, duration(all[0]));
    assert.equal(await page.locator('.result').count(), 50);
    assert.equal(await page.locator('.result .took').last().textContent(), duration(all[49]));
    await page.getByRole('button', { name: 'Load more' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.result').length === 60);
    assert.equal(await page.getByRole('button', { name: 'Load more' }).count(), 0);
  });
});

test('traces are walked through by keyboard', () =>
  visit('/console/traces', async (page) => {
    await page.locator('.result').first().waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('k');
    assert.equal(await page.locator('.result').first().evaluate((one) => one === document.activeElement), true);
    await page.keyboard.press('Enter');
    await page.getByRole('treegrid').waitFor();
    await page.getByRole('treegrid').focus();
    await page.keyboard.press('j');
    await page.locator('.row.chosen').waitFor();
  }));

test('what test suites made has a badge and can be left out', () =>
  visit('/console/traces', async (page) => {
    await page.locator('.result .synthetic', { hasText: 'synthetic: smoke' }).first().waitFor();
    await page.getByLabel('Tests').selectOption('Left out');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.waitForURL(/synthetic=false/);
    await page.locator('.results .synthetic').first().waitFor({ state: 'detached' });
    await page.getByLabel('Tests').selectOption('Alone');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.waitForFunction(() => document.querySelectorAll('.results > li').length > 0 && document.querySelectorAll('.results > li').length === document.querySelectorAll('.results .synthetic').length);
  }));

test('the waterfall shows the critical path, and each service its share of the time', () =>
  visit(TRACE, async (page) => {
    await page.locator('.critical').first().waitFor();
    const shares = await page.locator('.shares').innerText();
    assert.match(shares, /payment\s*38 %[\s\S]*order\s*25 %/);
    await page.getByLabel('Critical path', { exact: true }).uncheck();
    await page.waitForURL(/path=off/);
    await page.locator('.critical').first().waitFor({ state: 'detached' });
  }));

test('two traces are picked from the list and compared', () =>
  visit('/console/traces', async (page) => {
    await page.locator('.results > li').nth(0).getByRole('button', { name: /^Compare/ }).click();
    await page.getByText('is picked').waitFor();
    await page.locator('.results > li').nth(1).getByRole('link', { name: /^Compare/ }).click();
    await page.waitForURL(new RegExp(`${PURCHASE}\\?compare=`));
    await page.getByRole('heading', { name: 'Two traces' }).waitFor();
  }));

test('a comparison shows what is slower and what is there once only', () =>
  visit(TRACE, async (page) => {
    await page.getByLabel('Trace id to compare with').fill(SLOW);
    await page.getByRole('button', { name: 'Compare', exact: true }).click();
    await page.locator('.comparison .row', { hasText: 'authorise' }).getByText('+400 ms').waitFor();
    await page.locator('.comparison .row', { hasText: 'INSERT orders' }).getByText('only in A').waitFor();
    await page.getByLabel('Differences only').check();
    await page.locator('.comparison .row', { hasText: 'SELECT sessions' }).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Swap' }).click();
    await page.locator('.comparison .row', { hasText: 'INSERT orders' }).getByText('only in B').waitFor();
    await page.goBack();
    await page.goBack();
    await page.getByRole('treegrid').waitFor();
  }));

test('an open trace grows while its spans still come, and keeps what was chosen', async () => {
  Object.assign(mock.world, { began: Date.now(), grown: 6 });
  await visit(`/console/traces/${GROWING}?span=0000abc000000002`, async (page) => {
    await page.getByText('new spans and lines show as they come').waitFor();
    assert.equal(await page.getByRole('treegrid').getAttribute('aria-rowcount'), '8');
    mock.world.grown = 20;
    await page.locator('.row .what', { hasText: 'INSERT orders' }).waitFor();
    await page.locator('.row.chosen', { hasText: 'storefront' }).waitFor();
  });
});

test('a line of a trace leads to the lines around it', () =>
  visit(`${TRACE}?view=logs`, async (page) => {
    await page.locator('.line-row', { hasText: 'order placed' }).getByTitle('The lines around it, in Logs').click();
    await page.waitForURL(/\/console\/logs\?context=/);
    await page.goBack();
    await page.locator('.trace-id').getByRole('link', { name: 'Logs', exact: true }).click();
    await page.waitForURL(new RegExp(`/console/logs\\?trace=${PURCHASE}`));
    await page.locator('.log-row').first().waitFor();
  }));

test('of eighty thousand spans those that can be seen are painted', async () => {
  mock.world.spans = 80_000;
  const id = 'f'.repeat(32);
  await visit(`/console/traces/${id}`, async (page) => {
    await page.locator('.row').first().waitFor();
    await page.waitForFunction(() => document.querySelector('[role=treegrid]')?.getAttribute('aria-rowcount') === '80000');
    assert.ok((await page.locator('.row').count()) < 90);
    const painted = await page.waitForFunction(() => performance.getEntriesByName('trace-painted')[0]).then((entry) => entry.evaluate((one) => one.duration));
    const parsed = await page.evaluate(async (url) => {
      const text = await (await fetch(url)).text();
      const start = performance.now();
      JSON.parse(text);
      return performance.now() - start;
    }, `/api/telemetry/v1/traces/${id}`);
    fast(painted < Math.max(200, parsed), `first paint ${painted?.toFixed(0)} ms after the data; reading all of it takes ${parsed.toFixed(0)} ms`);
  });
});

test('hostile text stays text in facets, lists, waterfall and comparison', async () => {
  mock.world.nasty = true;
  for (const [path, where] of [['/console/traces', '.facet-name'], ['/console/traces', '.result'], [TRACE, '.row .what'], [`${TRACE}?compare=${PURCHASE}`, '.comparison .what']]) {
    await visit(path, async (page) => {
      await page.locator(where).filter({ hasText: NASTY }).first().waitFor();
      assert.equal(await page.evaluate(() => window.pwned), undefined);
    });
  }
});
