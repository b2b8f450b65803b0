// The agent as the console meets it through control: rows of `ps`, events, scale, roll, kill, one instance's own answers.
import { NASTY, SYSTEM, WEIRD } from './data.mjs';

const PLATFORM = ['control', 'gateway', 'telemetry'];
const HOUR_MS = 3_600_000;

/** A UUIDv7 of a start so long ago. */
function incarnation(ago_ms, n) {
  const at = (Date.now() - ago_ms).toString(16).padStart(12, '0');
  return `${at.slice(0, 8)}-${at.slice(8)}-7${(n & 0xfff).toString(16).padStart(3, '0')}-8000-${n.toString(16).padStart(12, '0')}`;
}

/** Bricks of the world: the shop, or a hundred with three hundred instances. */
export function bricksOf(world) {
  if (world.many) return Array.from({ length: 100 }, (_, i) => ({ name: `brick-${String(i).padStart(3, '0')}`, needs: i ? [`brick-${String((i - 1) >> 1).padStart(3, '0')}`] : [], replicas: 3 }));
  return SYSTEM.bricks.map((brick) => (world.nasty && brick.name === 'payment' ? { ...brick, name: WEIRD } : brick));
}

/** A fresh agent for the world. */
export function startAgent(world) {
  const agent = { rows: [], events: [], followers: new Set(), asked: [], away: false, refuse: null, gate: null };
  const row = (brick, slot, i) => ({
    brick, version: slot.includes('@') ? slot.split('@')[1].split('/')[0] : 'v1', instance: slot, zone: 'ab'[i % 2], state: 'ready',
    pid: 20_100 + i * 7, port: 41_000 + i, restarts: 0, revision: PLATFORM.includes(brick) ? '0.1.0' : '8f3c21d', adopted: false, incarnation: incarnation(HOUR_MS * 2 + i * 61_000, i),
  });
  let n = 0;
  for (const name of PLATFORM) agent.rows.push(row(name, `${name}/1`, (n += 1)));
  for (const brick of bricksOf(world)) {
    for (let i = 1; i <= brick.replicas; i += 1) agent.rows.push(row(brick.name, `${brick.name}/${i}`, (n += 1)));
  }
  for (const slot of world.down) {
    const one = agent.rows.find((candidate) => candidate.instance === slot);
    if (one) Object.assign(one, { state: 'crash-loop', pid: null, restarts: 6, incarnation: null, problem: `${slot} died 6 times in 40 s, last with exit code 101; next start in 16 s` });
  }
  agent.tell = (kind, brick, instance, msg, lines) => {
    const event = { ts: new Date().toISOString(), kind, ...(brick && { brick }), ...(instance && { instance }), msg, ...(lines && { lines }) };
    agent.events.push(event);
    for (const follower of agent.followers) follower(event);
  };
  for (const one of agent.rows) agent.tell('ready', one.brick, one.instance, `${one.instance} is ready after 180 ms`);
  for (const slot of world.down) agent.tell('crash-loop', slot.split('/')[0], slot, `${slot} died 6 times in 40 s`, ['thread main panicked at src/ledger.rs:41', 'no ledger at /var/ledger.db']);
  agent.row = row;
  return agent;
}

/** Answers `POST /api/agent/v1/*` as the agent does, and tells what happens. */
export async function act(world, call, body) {
  const { agent } = world;
  agent.asked.push([call, body]);
  if (agent.away) return [503, { title: 'Service Unavailable', status: 503, code: 'agent_unreachable', detail: 'the agent does not answer; run `brick up` in the folder of the system, it takes over what still runs' }];
  if (agent.refuse) return agent.refuse;
  if (call === 'scale') return scale(world, body);
  if (call === 'roll') return roll(agent, body);
  if (call === 'kill') return kill(agent, body);
  return [404, { title: 'Not Found', status: 404, code: 'no_such_call', detail: 'no such call' }];
}

function scale({ agent }, { brick, version, replicas }) {
  const prefix = version && version !== 'v1' ? `${brick}@${version}/` : `${brick}/`;
  const own = agent.rows.filter((one) => one.brick === brick && one.instance.startsWith(prefix));
  const changes = [];
  for (const one of own.slice(replicas)) {
    agent.rows.splice(agent.rows.indexOf(one), 1);
    changes.push(`stops ${one.instance}`);
    agent.tell('stopped', brick, one.instance, `${one.instance} stopped`);
  }
  for (let i = own.length + 1; i <= replicas; i += 1) {
    const one = { ...agent.row(brick, `${prefix}${i}`, agent.rows.length + 50 + i), incarnation: incarnation(0, agent.rows.length) };
    agent.rows.push(one);
    changes.push(`starts ${one.instance}`);
    agent.tell('ready', brick, one.instance, `${one.instance} is ready after 120 ms`);
  }
  return [200, { changes }];
}

async function roll(agent, { brick: asked, no_build = false }) {
  const [brick, version] = asked.split('@');
  const own = agent.rows.filter((one) => one.brick === brick && (!version || one.version === version));
  if (!no_build) agent.tell('build-done', brick, null, 'built in 1.2 s');
  agent.tell('roll-started', brick, null, `replacing ${own.length} instances of ${brick}, one after the other`);
  for (const one of own) {
    agent.tell('starting', brick, one.instance, `${one.instance} starts beside the old one`);
    await new Promise((done) => setTimeout(done, 60));
    Object.assign(one, { pid: one.pid + 1000, port: one.port + 100, incarnation: incarnation(0, one.pid), revision: 'b71e0aa' });
    agent.tell('replaced', brick, one.instance, `${one.instance} is replaced (pid ${one.pid})`);
  }
  await agent.gate; // a test that closes the dialog first holds the end back
  agent.tell('roll-done', brick, null, `${brick} is rolled`);
  return [200, { brick: asked, replaced: own.map((one) => one.instance) }];
}

function kill(agent, { instance, signal = 'KILL' }) {
  const one = agent.rows.find((candidate) => candidate.instance === instance);
  if (!one?.pid) return [404, { title: 'Not Found', status: 404, code: 'unknown', detail: `no running instance is called ${instance}: it has no process just now` }];
  const { pid } = one;
  agent.tell('exited', one.brick, instance, `${instance} was ended by SIG${signal}; it is started again in 120 ms`);
  Object.assign(one, { restarts: one.restarts + 1, pid: pid + 1, incarnation: incarnation(0, pid) });
  agent.tell('ready', one.brick, instance, `${instance} is ready after 160 ms`);
  return [200, { instance, pid, signal }];
}

/** `GET /api/system/v1/instances/{brick}/{n}`. */
export function instance(world, slot) {
  const one = world.agent.rows.find((candidate) => candidate.instance === slot);
  const joined = world.control.outsiders.find((other) => `${other.brick}/${other.slot}` === slot);
  if (joined) return [200, { slot, addr: joined.addr, info: { error: 'the answer was 404' }, health: { status: 'up', ready: true } }];
  if (!one) return [404, { title: 'Not Found', status: 404, code: 'no_such_instance', detail: `no instance is called ${slot}` }];
  if (!one.pid) return [200, { slot, addr: `127.0.0.1:${one.port}`, info: { error: 'connection refused' }, health: { error: 'connection refused' } }];
  const text = world.nasty ? NASTY : 'no answer within 500 ms';
  const sick = one.brick === 'order' || world.nasty;
  return [200, {
    slot, addr: `127.0.0.1:${one.port}`,
    info: {
      name: one.brick, system: 'shop', version: one.version, revision: one.revision, package_version: '0.1.0', api_version: '1.0.0', sdk_version: '0.1.0',
      slot, incarnation: one.incarnation, zone: one.zone, pid: one.pid, start_time: '2026-11-21T00:00:00.000Z', uptime_s: 7212.4, flags: { 'express-shipping': true, ...(world.nasty && { [NASTY]: false }) },
    },
    health: {
      status: sick ? 'degraded' : 'up', ready: true, components: { state: { status: 'up', took_ms: 0.42 } },
      dependencies: { product: { status: 'up', took_ms: 1.8 }, payment: sick ? { status: 'down', detail: text, took_ms: 500 } : { status: 'up', took_ms: 1.1 } },
    },
  }];
}

/** `GET /api/agent/v1/events?follow=true`: what was, then what happens. */
export function follow(world, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  const write = (event) => response.write(`event: event\ndata: ${JSON.stringify(event)}\n\n`);
  world.agent.events.forEach(write);
  world.agent.followers.add(write);
  response.on('close', () => world.agent.followers.delete(write));
}

/** `GET /api/telemetry/v1/metrics/range` of the HTTP server's metrics by instance. */
export function byInstance(world, query) {
  const at = Number(query.get('to')) || Math.floor(Date.now() / 1000);
  const by = query.get('by') ?? '';
  const series = world.agent.rows.filter((one) => one.pid).flatMap((one, i) => {
    const labels = { instance: one.instance };
    if (query.get('fn') === 'p99') return [{ labels, points: [[at, 0.004 + (i % 9) * 0.011]] }];
    const rate = 8 + (i % 13) * 1.7;
    if (!by.includes('status')) return [{ labels, points: [[at, rate]] }];
    return [
      { labels: { ...labels, http_response_status_code: '200' }, points: [[at, rate * (i % 5 ? 1 : 0.97)]] },
      ...(i % 5 ? [] : [{ labels: { ...labels, http_response_status_code: '500' }, points: [[at, rate * 0.03]] }]),
    ];
  });
  return { series };
}
