// The log part of the mock: a store of made-up lines, searched, counted and tailed as docs/reference/interfaces.md says.
import { NASTY, PURCHASE, SYSTEM, momentOf, purchase } from './data.mjs';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'];
const MESSAGES = [
  ['info', 'order accepted', { order_id: '019a42', total_cents: 5980 }],
  ['debug', 'cache hit', { key: 'catalogue', age_ms: 812 }],
  ['info', 'GET /api/products answered', { status: 200, took_ms: 3.2 }],
  ['info', 'stock reserved', { product_id: 'lamp-07', quantity: 1 }],
  ['info', 'payment authorised', { amount_cents: 5980, provider: 'psp' }],
  ['warn', 'provider is slow, retrying once', { attempt: 1, waited_ms: 412 }],
  ['info', 'session renewed', { user: 'c-17' }],
  ['error', 'payment declined: provider answered 500', { order_id: '019a42', cause: 'connection reset by peer' }],
  ['info', 'shipment requested', { ticket: 'S-1042' }],
];
/** What a hostile process may print: markup, control characters, an override that turns the line around. */
export const HOSTILE = `${NASTY}\u0000\u001b[31mred\u202egnp.exe\u2066`;

let counter = 0;

/** The next line; every ninth belongs to the purchase. */
export function line(ms, { nasty = false } = {}) {
  counter += 1;
  const brick = SYSTEM.bricks[(Math.imul(counter, 0x9e3779b1) >>> 16) % SYSTEM.bricks.length].name;
  const [level, msg, fields] = MESSAGES[counter % MESSAGES.length];
  const traced = counter % 3 === 0;
  return {
    id: String(counter).padStart(12, '0'), ts: new Date(ms).toISOString(), brick, version: counter % 11 ? 'v1' : 'v2',
    instance: nasty ? `${brick}/${HOSTILE}` : `${brick}/${1 + (counter % 2)}`, level, msg: nasty ? HOSTILE : msg,
    ...(traced && { trace_id: PURCHASE, span_id: '0000abc00000000d' }), fields: nasty ? { [HOSTILE]: HOSTILE } : { target: 'shop', ...fields, n: counter },
  };
}

/** Lines of the last ten minutes. */
export function store(world) {
  if (world.idle) return [];
  if (!world.lines || world.linesNasty !== world.nasty) {
    world.linesNasty = world.nasty;
    world.lines = Array.from({ length: 1200 }, (_, i) => line(Date.now() - (1200 - i) * 500, world));
  }
  return world.lines;
}

function matching(query) {
  const [since, until] = ['since', 'until'].map((name) => momentOf(query.get(name)));
  const least = LEVELS.indexOf(query.get('level') ?? 'trace');
  const sought = (query.get('q') ?? '').toLowerCase();
  return (one) =>
    ['brick', 'instance', 'version'].every((name) => !query.get(name) || one[name] === query.get(name)) &&
    LEVELS.indexOf(one.level) >= least && (!query.get('trace') || one.trace_id === query.get('trace')) &&
    (!sought || `${one.msg} ${JSON.stringify(one.fields)}`.toLowerCase().includes(sought)) &&
    (since === null || Date.parse(one.ts) >= since) && (until === null || Date.parse(one.ts) <= until);
}

function counts(lines, key) {
  const found = new Map();
  for (const one of lines) found.set(one[key], (found.get(one[key]) ?? 0) + 1);
  return [...found].map(([value, count]) => ({ value, count })).sort((a, b) => b.count - a.count).slice(0, 50);
}

/** `[status, body]` for what is below /api/telemetry/v1/logs, undefined for the tail. */
export function answer(world, path, query) {
  const lines = store(world);
  if (path === '') {
    const found = lines.filter(matching(query)).reverse();
    const [from, limit] = [Number(query.get('cursor') ?? 0), Number(query.get('limit') ?? 100)];
    return [200, { items: found.slice(from, from + limit), next: from + limit < found.length ? String(from + limit) : null }];
  }
  if (path === '/facets') {
    const found = lines.filter(matching(query));
    return [200, Object.fromEntries(['brick', 'instance', 'level', 'version'].map((key) => [key, counts(found, key)]))];
  }
  const [, id] = /^\/(\w+)\/context$/.exec(path) ?? [];
  const all = [...purchase().logs, ...lines];
  const middle = all.find((one) => one.id === id);
  if (!middle) return [404, { title: 'Not Found', status: 404, code: 'no_such_log', detail: 'no such line' }];
  const own = all.filter((one) => one.instance === middle.instance);
  const at = own.indexOf(middle);
  return [200, { items: own.slice(Math.max(0, at - Number(query.get('before'))), at + 1 + Number(query.get('after'))) }];
}

/** Server-sent events: `world.perSecond` lines, one by one or, with `world.batched`, as arrays. */
export function tail(world, query, request, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  response.write(': open\n\n');
  const match = matching(query);
  world.tails.add(response);
  let told = performance.now();
  let owed = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    owed += ((now - told) / 1000) * world.perSecond;
    told = now;
    const fresh = [];
    for (; owed >= 1; owed -= 1) {
      const one = line(Date.now(), world);
      if (match(one)) fresh.push(one);
    }
    if (world.keep) world.lines?.push(...fresh);
    world.sent += fresh.length;
    if (world.droppedNext) {
      response.write(`event: dropped\ndata: {"dropped":${world.droppedNext}}\n\n`);
      world.droppedNext = 0;
    }
    if (!fresh.length) return;
    response.write(world.batched ? `event: logs\ndata: ${JSON.stringify(fresh)}\n\n` : fresh.map((one) => `event: log\ndata: ${JSON.stringify(one)}\n\n`).join(''));
  }, 20);
  request.on('close', () => {
    clearInterval(timer);
    world.tails.delete(response);
  });
}
