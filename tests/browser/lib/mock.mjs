// Serves the console's files as mortar-console does, and answers the APIs behind it from lib/data.mjs. WebSocket
// framing (RFC 6455) is done by hand: text frames of a page that we wrote are all that it has to understand.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { act, bricksOf, byInstance, follow, instance, startAgent } from './agent.mjs';
import * as data from './data.mjs';
import { answerControl, registered, startControl } from './control.mjs';
import { answerEdges, edges, startEdges } from './edges.mjs';
import * as wide from './wide.mjs';
import * as logs from './mock-logs.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../../console');
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml', '.json': 'application/json' };
/** The policy of mortar-console/src/assets.rs; a test compares the two. */
export const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** What the mock is like unless a test says otherwise. */
const BEGINNING = {
  signedIn: true, idle: false, nasty: false, failed: false, many: false, slow: false, platform: false, lossy: false, wide: false,
  spans: 0, perSecond: 0, batched: true, sent: 0, keep: false, lines: null, trail: 12,
};

/** Starts the mock; `world` may be changed while it runs. */
export async function startMock(port = 0) {
  const world = { agent: null, tabs: new Set(), tails: new Set() };
  /** Puts everything back, with these changes: what each test begins with. */
  const reset = (changes = {}) => {
    Object.assign(world, BEGINNING, { down: [] }, changes);
    world.agent = startAgent(world);
    world.edges = startEdges(world);
    world.control = startControl(world);
  };
  reset();
  const server = createServer((request, response) => void answer(world, request, response));
  server.on('upgrade', (request, socket) => upgrade(world, request, socket));
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  const url = `http://127.0.0.1:${server.address().port}`;
  const dropTabs = () => [...world.tabs, ...world.tails].forEach((tab) => tab.destroy());
  const stop = () => {
    dropTabs();
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  /** Pushes every watched topic to every tab so many times, and waits until the tabs took it. */
  const flood = async (times) => {
    for (let i = 0; i < times; i += 1) for (const tab of world.tabs) tab.news();
    await Promise.all([...world.tabs].map((tab) => tab.writableNeedDrain && new Promise((done) => tab.once('drain', done))));
  };
  return { url, world, reset, flood, dropTabs, stop };
}

async function answer(world, request, response) {
  const url = new URL(request.url, 'http://mock');
  const send = (status, body, type = 'application/json') => {
    response.writeHead(status, { 'content-type': type, 'content-security-policy': POLICY, 'x-content-type-options': 'nosniff', 'cache-control': 'no-cache' });
    response.end(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));
  };
  if (url.pathname === `${LOGS}/tail` && world.signedIn) return logs.tail(world, url.searchParams, request, response);
  if (url.pathname.startsWith('/api/') || url.pathname.startsWith('/bus/')) {
    if (world.signedIn && url.pathname === '/api/agent/v1/events') return follow(world, response);
    const [status, body] = request.method === 'GET' ? await api(world, url) : await changed(world, url, request);
    return send(status, body);
  }
  const path = normalize(url.pathname).replace(/^\/console\/?/, '').replace(/^\//, '');
  const file = extname(path) ? path : 'index.html';
  try {
    send(200, await readFile(join(ROOT, file)), TYPES[extname(file)] ?? 'text/plain');
  } catch {
    send(404, { title: 'Not Found', status: 404, code: 'no_such_page', detail: path });
  }
}

/** A trace of which `world.grown` spans have come since `world.began`; the purchase with a slow provider. */
export const GROWING = 'a'.repeat(32);
export const SLOW = 'b'.repeat(32);
const LOGS = '/api/telemetry/v1/logs';
const AWAY = { code: 'agent_unreachable', detail: 'the agent does not answer; run `brick up` in the folder of the system, it takes over what still runs' };
const SIGNED_OUT = [401, { title: 'Unauthorized', status: 401, code: 'signed_out', detail: 'run `brick open` in the system\'s folder for a fresh link to the console' }];

async function changed(world, url, request) {
  if (!world.signedIn) return SIGNED_OUT;
  if (request.method === 'DELETE') return (await answerControl(world, 'DELETE', url, undefined, request.headers)) ?? answerEdges(world, 'DELETE', url.pathname);
  if (request.headers['content-type'] !== 'application/json') return [415, { title: 'Unsupported Media Type', status: 415, code: 'json_expected', detail: 'expected application/json' }];
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = JSON.parse(Buffer.concat(chunks).toString());
  const told = await answerControl(world, request.method, url, body, request.headers);
  if (told) return told;
  return request.method === 'PUT' ? answerEdges(world, 'PUT', url.pathname, body) : act(world, url.pathname.replace('/api/agent/v1/', ''), body);
}

function api(world, url) {
  if (!world.signedIn) return SIGNED_OUT;
  const query = url.searchParams;
  const told = answerControl(world, 'GET', url);
  if (told) return told;
  const edge = answerEdges(world, 'GET', url.pathname);
  if (edge) return edge;
  if (url.pathname === '/api/console/v1/session') return [200, { scope: 'admin' }];
  if (url.pathname.startsWith('/api/system/v1/instances/')) return instance(world, decodeURIComponent(url.pathname.split('/').slice(5).join('/')));
  if (url.pathname === '/api/telemetry/v1/metrics/range' && query.get('by')?.includes('instance')) return [200, byInstance(world, query)];
  if (url.pathname === '/api/telemetry/v1/traces') return [200, world.idle ? { items: [], next: null } : data.summaries(query, world)];
  if (url.pathname.startsWith(LOGS)) return logs.answer(world, url.pathname.slice(LOGS.length), query);
  if (url.pathname === '/api/telemetry/v1/traces/facets') return [200, world.idle ? { service: [], operation: [], status: [] } : data.traceFacets(query, world)];
  if (url.pathname === '/api/telemetry/v1/traces/heatmap') return [200, world.idle ? { from_unix_s: 0, step_s: 1, bounds_ms: [], cells: [] } : data.heatmap(query, world)];
  const trace = /^\/api\/telemetry\/v1\/traces\/([0-9a-f]+)$/.exec(url.pathname);
  if (trace?.[1] === 'f'.repeat(32)) return [200, data.large(world.spans)];
  if (trace?.[1] === GROWING) return [200, { ...data.purchase({ at: world.began, first: world.grown }), trace_id: GROWING }];
  if (trace?.[1] === SLOW) return [200, { ...data.purchase({ slow: true }), trace_id: SLOW }];
  if (trace && trace[1] !== '0'.repeat(32)) return [200, { ...data.purchase(world), trace_id: trace[1] }];
  return [404, { title: 'Not Found', status: 404, code: 'no_such_trace', detail: 'no such trace' }];
}

/** What a topic looks like now. */
function state(world, topic) {
  const now = Math.floor(Date.now() / 1000);
  switch (topic.topic) {
    case 'system': if (world.wide) return wide.SYSTEM;
      return { ...data.SYSTEM, bricks: bricksOf(world) };
    case 'bricks': return world.agent.rows;
    case 'edges': world.edges.beat += 1;
      return world.idle ? { items: [] } : edges(world);
    case 'instances': if (world.wide) return wide.instances();
      return world.many ? { items: world.agent.rows.slice(3).map((one) => ({ ...one, slot: one.instance, addr: `127.0.0.1:${one.port}`, ready: true, supervised: true })) } : world.down.length && !world.control.outsiders.length ? data.instances(world.down) : registered(world);
    case 'graph': world.asked = topic;
      if (world.wide) return wide.graph(topic.window);
      return world.idle ? { window_s: topic.window, nodes: [], edges: [] } : data.graph(topic.window, now, world);
    case 'metrics': return world.idle ? { items: [] } : data.METRICS;
    case 'series': return data.series(new URLSearchParams({ name: topic.name, step: topic.step, to: now, from: now - topic.window }));
    default: return data.STATS;
  }
}

function upgrade(world, request, socket) {
  if (!world.signedIn) return socket.end('HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n');
  const key = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${key}\r\n\r\n`);
  world.tabs.add(socket);
  let topics = [];
  const push = () => {
    for (const sub of topics) {
      const told = sub.topic === 'bricks' && world.agent.away ? { error: AWAY } : { data: state(world, sub) };
      send(socket, { topic: sub.topic, sub, at: new Date().toISOString(), ...told });
    }
    send(socket, { topic: 'heartbeat', at: new Date().toISOString(), skipped: 0 });
  };
  socket.news = push;
  const timer = setInterval(push, 1000);
  let held = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    held = Buffer.concat([held, chunk]);
    for (let frame = take(held); frame; frame = take(held)) {
      held = held.subarray(frame.length);
      if (frame.opcode === 8) socket.end();
      if (frame.opcode !== 1) continue;
      topics = JSON.parse(frame.payload.toString()).sub;
      push();
    }
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    clearInterval(timer);
    world.tabs.delete(socket);
  });
  return undefined;
}

function take(held) {
  if (held.length < 2) return null;
  const short = held[1] & 127;
  const start = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (held.length < start + 4) return null;
  const size = short === 126 ? held.readUInt16BE(2) : short === 127 ? Number(held.readBigUInt64BE(2)) : short;
  const length = start + 4 + size;
  if (held.length < length) return null;
  const mask = held.subarray(start, start + 4);
  const payload = Buffer.from(held.subarray(start + 4, length).map((byte, i) => byte ^ mask[i % 4]));
  return { opcode: held[0] & 15, payload, length };
}

function send(socket, message) {
  if (socket.destroyed) return;
  const payload = Buffer.from(JSON.stringify(message));
  const head = payload.length < 126 ? Buffer.from([0x81, payload.length]) : payload.length < 65_536
    ? Buffer.from([0x81, 126, payload.length >> 8, payload.length & 255])
    : Buffer.concat([Buffer.from([0x81, 127]), (() => { const b = Buffer.alloc(8); b.writeBigUInt64BE(BigInt(payload.length)); return b; })()]);
  socket.write(Buffer.concat([head, payload]));
}
