// What the Breakers screen shows, from what callers report. Pure.

/**
 * @typedef {'closed' | 'half-open' | 'open' | 'none'} Mode `none`: nobody reported it yet
 * @typedef {'ok' | 'warn' | 'bad' | 'idle'} Tone
 * @typedef {{ mode: Mode, since: number, forced: '' | 'open' | 'closed', calls: number, errors: number, slow: number, rejected: number,
 *   rate: number | null, share: number, p50: number | null, p99: number | null, limit: number, inFlight: number }} Figures
 * @typedef {Figures & { slot: string, at: number }} Caller
 * @typedef {Figures & { id: string, caller: string, callee: string, overridden: boolean, tone: Tone, callers: Caller[] }} Edge
 */

/** From this share of failed calls on an edge is failing, and from this on worth a look. */
const BAD_SHARE = 0.05;
const WARN_SHARE = 0.01;

/** What the state is called, by who made it so. @param {Figures} of */
export function wordOf({ mode, forced }) {
  if (forced === 'open') return 'Held open';
  if (forced === 'closed') return 'Held closed';
  return { closed: 'Closed', 'half-open': 'Half open', open: 'Open', none: 'No calls yet' }[mode];
}

/** How a caller is shown: what the edge of the system is called there. @param {string} name */
export function callerName(name) {
  return name === 'edge' ? 'gateway' : name;
}

/** @param {any} raw @returns {Figures} */
function figuresOf(raw) {
  const number = (/** @type {unknown} */ value) => (typeof value === 'number' && Number.isFinite(value) ? value : 0);
  const some = (/** @type {unknown} */ value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);
  const [calls, errors, window_ms] = [number(raw.calls), number(raw.errors), number(raw.window_ms)];
  return {
    mode: ['closed', 'half-open', 'open'].includes(raw.state) ? raw.state : 'none',
    since: Date.parse(raw.since) || 0,
    forced: raw.forced === 'open' || raw.forced === 'closed' ? raw.forced : '',
    calls, errors, slow: number(raw.slow), rejected: number(raw.rejected),
    // A window of so many calls says nothing about how many there are a second.
    rate: window_ms > 0 ? (calls * 1000) / window_ms : null,
    share: calls > 0 ? errors / calls : 0,
    p50: some(raw.p50_ms), p99: some(raw.p99_ms), limit: number(raw.limit), inFlight: number(raw.in_flight),
  };
}

/** @param {Figures} of @returns {Tone} */
function toneOf(of) {
  if (of.mode === 'open') return 'bad';
  if (of.mode === 'half-open') return 'warn';
  if (of.mode === 'none') return 'idle';
  if (of.share >= BAD_SHARE) return 'bad';
  return of.share >= WARN_SHARE || of.rejected > 0 || of.forced ? 'warn' : 'ok';
}

const NOTHING = { state: 'none' };

/**
 * Every edge that calls may take: those that were reported, and those that the manifest knows.
 * @param {any} raw answer of /api/limits/v1/edges
 * @param {any} system answer of /api/system/v1
 * @returns {Edge[]} by name
 */
export function edgesOf(raw, system) {
  /** @type {Map<string, Edge>} */
  const all = new Map();
  const put = (/** @type {any} */ item, /** @type {string} */ caller, /** @type {string} */ callee) => {
    const figures = figuresOf(item);
    const callers = (Array.isArray(item.instances) ? item.instances : []).map((/** @type {any} */ one) => ({
      ...figuresOf(one), slot: String(one.instance ?? ''), at: Date.parse(one.at) || 0,
    }));
    const id = `${caller}->${callee}`;
    all.set(id, { ...figures, id, caller, callee, overridden: item.overridden === true, tone: toneOf(figures), callers });
  };
  for (const item of Array.isArray(raw?.items) ? raw.items : []) put(item, String(item.caller ?? ''), String(item.callee ?? ''));
  const bricks = Array.isArray(system?.bricks) ? system.bricks : [];
  const runs = new Set(bricks.map((/** @type {any} */ brick) => brick.name));
  const known = [
    ...bricks.flatMap((/** @type {any} */ brick) => (Array.isArray(brick.needs) ? brick.needs : []).filter((/** @type {string} */ need) => runs.has(need)).map((/** @type {string} */ need) => [brick.name, need])),
    ...(Array.isArray(system?.routes) ? system.routes : []).filter((/** @type {any} */ route) => runs.has(route.to)).map((/** @type {any} */ route) => ['edge', route.to]),
  ];
  for (const [caller, callee] of known) if (!all.has(`${caller}->${callee}`)) put(NOTHING, caller, callee);
  return [...all.values()].sort((a, b) => compare(a.id, b.id));
}

/**
 * The edges as they are now; one that shows the same as before is the same object, so that it is not drawn again. When a
 * caller was heard last is not shown in a cell.
 * @param {Edge[]} before
 * @param {Edge[]} now
 */
export function steady(before, now) {
  const shown = (/** @type {Edge} */ edge) => JSON.stringify(edge, (key, value) => (key === 'at' ? undefined : value));
  const held = new Map(before.map((edge) => [edge.id, edge]));
  return now.map((edge) => {
    const old = held.get(edge.id);
    return old && shown(old) === shown(edge) ? old : edge;
  });
}

/** @param {string} a @param {string} b */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

const ORDER = { open: 0, 'half-open': 1, closed: 2, none: 4 };

/** What can be asked of an edge's state, and which edges it lets through. @type {{ key: string, text: string, tone: Tone, holds: (edge: Edge) => boolean }[]} */
export const FILTERS = [
  { key: 'open', text: 'Open', tone: 'bad', holds: (edge) => edge.mode === 'open' },
  { key: 'half-open', text: 'Half open', tone: 'warn', holds: (edge) => edge.mode === 'half-open' },
  { key: 'failing', text: 'Failing', tone: 'bad', holds: (edge) => edge.mode === 'closed' && edge.share >= BAD_SHARE },
  { key: 'hand', text: 'By hand', tone: 'warn', holds: (edge) => edge.forced !== '' },
  { key: 'closed', text: 'Closed', tone: 'ok', holds: (edge) => edge.mode === 'closed' },
  { key: 'none', text: 'No calls yet', tone: 'idle', holds: (edge) => edge.mode === 'none' },
];

/**
 * Those asked for; what is worst first unless another order is wished. Rates and times move all the time, so that only
 * the state (and failing beside it) orders by itself: cells stay where they are while one looks at them.
 * @param {Edge[]} edges
 * @param {{ text: string, state: string, sort: string }} wish
 */
export function shownOf(edges, { text, state, sort }) {
  const words = text.toLowerCase().split(/[\s>→]+/).map((word) => word.replace(/-$/, '')).filter(Boolean);
  const filter = FILTERS.find((one) => one.key === state);
  const found = edges.filter((edge) => (!filter || filter.holds(edge)) && words.every((word) => `${edge.id} ${callerName(edge.caller)} ${wordOf(edge)}`.toLowerCase().includes(word)));
  const rank = (/** @type {Edge} */ edge) => (edge.mode === 'closed' && edge.tone === 'bad' ? 1.5 : ORDER[edge.mode]);
  /** @type {Record<string, (a: Edge, b: Edge) => number>} */
  const orders = {
    name: () => 0,
    rate: (a, b) => (b.rate ?? 0) - (a.rate ?? 0),
    errors: (a, b) => b.share - a.share,
    p99: (a, b) => (b.p99 ?? 0) - (a.p99 ?? 0),
  };
  const order = orders[sort] ?? ((/** @type {Edge} */ a, /** @type {Edge} */ b) => rank(a) - rank(b));
  return found.sort((a, b) => order(a, b) || compare(a.id, b.id));
}

/**
 * The patch over the manifest's limits that holds a breaker as wished, from the patch that is there; null where nothing
 * is left of it.
 * @param {any} held
 * @param {'' | 'open' | 'closed'} forced
 * @returns {Record<string, unknown> | null}
 */
export function patched(held, forced) {
  const { breaker, ...rest } = held && typeof held === 'object' ? held : {};
  const { forced: _, ...others } = breaker && typeof breaker === 'object' ? breaker : {};
  if (forced) return { ...rest, breaker: { ...others, forced } };
  const kept = breaker === false || (breaker && Object.keys(others).length) ? { ...rest, breaker: breaker === false ? false : others } : rest;
  return Object.keys(kept).length ? kept : null;
}
