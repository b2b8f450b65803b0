// Breakers as the console meets them through control: what callers report, limits with what operators want otherwise, faults.
import { WEIRD, NASTY } from './data.mjs';

/** Edge, state, calls in ten seconds, of them failed, p50, p99, rejected, callers. */
const SHOP = [
  ['edge->storefront', 'closed', 524, 1, 4.1, 61, 0, 1],
  ['edge->product', 'closed', 318, 0, 1.4, 9.2, 0, 1],
  ['edge->order', 'closed', 61, 1, 14.2, 148, 0, 1],
  ['storefront->product', 'closed', 441, 0, 1.1, 7.4, 0, 2],
  ['storefront->customer', 'closed', 129, 0, 1.8, 22, 0, 2],
  ['storefront->order', 'half-open', 3, 0, 12.7, 131, 40, 2],
  ['recommendation->product', 'closed', 202, 0, 0.9, 5.1, 0, 1],
  ['order->customer', 'closed', 145, 0, 1.2, 8.8, 0, 2],
  ['order->product', 'closed', 292, 0, 1.6, 9.9, 0, 2],
  ['order->payment', 'open', 24, 18, 5.2, 88, 121, 2],
];

/** A fresh set for the world; `many` has three hundred edges. */
export function startEdges(world) {
  const rows = world.many
    ? Array.from({ length: 300 }, (_, i) => [`brick-${String(i % 100).padStart(3, '0')}->brick-${String((i * 7 + 3) % 100).padStart(3, '0')}x${i}`, i % 41 ? 'closed' : 'open', 100 + i, i % 9 ? 0 : 3, 1 + (i % 7), 9 + (i % 31), i % 41 ? 0 : 12, 3])
    : SHOP.map((row) => (world.nasty && row[0] === 'order->payment' ? [`order->${WEIRD}`, ...row.slice(1)] : row));
  return { rows, overrides: new Map(), faults: new Map([['order->payment', [{ share: 0.2, delay_ms: 300, until: new Date(Date.now() + 290_000).toISOString() }]], [`order->${WEIRD}`, [{ abort: 503, header: { name: 'x', value: NASTY } }]]]), asked: [], refuse: null, meanwhile: null, beat: 0 };
}

/** `GET /api/limits/v1/edges`. */
export function edges({ edges: { rows, overrides, beat } }) {
  const since = new Date(Date.now() - 42_000 - ((Date.now() - 42_000) % 60_000)).toISOString();
  return {
    items: rows.map(([edge, was, calls, errors, p50_ms, p99_ms, rejected, callers], i) => {
      const [caller, callee] = [edge.slice(0, edge.indexOf('->')), edge.slice(edge.indexOf('->') + 2)];
      const patch = overrides.get(edge);
      const forced = patch?.breaker?.forced;
      const state = forced ?? was;
      const figures = { edge, state, since, ...(forced && { forced }), window_ms: 10_000, calls: calls + ((i + beat) % 3), errors, slow: 0, rejected, p50_ms, p99_ms, limit: 1024 * callers, in_flight: i % 4 };
      const own = { ...figures, calls: Math.round(calls / callers), errors: Math.round(errors / callers), limit: 1024 };
      const instances = Array.from({ length: callers }, (_, n) => ({ ...own, ...(n && !forced && was === 'open' && { state: 'closed' }), instance: caller === 'edge' ? 'gateway/1' : `${caller}/${n + 1}`, incarnation: `e-${i}-${n}`, at: new Date().toISOString() }));
      return { caller, callee, overridden: Boolean(patch), ...figures, instances };
    }),
  };
}

const MANIFEST = { timeout_ms: 2_000, breaker: { window_ms: 10_000, calls: 0, min_calls: 20, error_rate: 0.5, slow_ms: 1_000, slow_rate: 1, open_ms: 5_000, probes: 3 }, retry: { max: 1, budget: 0.2 }, concurrency: { max: 1024, queue: 0, wait_ms: 100, adaptive: false } };

/** `/api/limits/v1/{caller}/{callee}` and `/api/faults/v1/{caller}/{callee}`; none for other paths. */
export function answerEdges({ edges: held }, method, pathname, body) {
  const found = /^\/api\/(limits|faults)\/v1\/([^/]+)\/([^/]+)$/.exec(pathname);
  if (!found) return null;
  const edge = `${decodeURIComponent(found[2])}->${decodeURIComponent(found[3])}`;
  if (found[1] === 'faults') return [200, { edge, rules: held.faults.get(edge) ?? [] }];
  if (method !== 'GET') {
    held.asked.push([method, edge, ...(body === undefined ? [] : [body])]);
    if (held.refuse) return held.refuse;
    if (held.meanwhile) {
      held.overrides.set(edge, held.meanwhile);
      held.meanwhile = null;
      return [412, { title: 'Precondition Failed', status: 412, code: 'changed_meanwhile', detail: 'it was changed since it was read; read it again' }];
    }
    if (method === 'PUT') held.overrides.set(edge, body);
    else held.overrides.delete(edge);
  }
  const patch = held.overrides.get(edge);
  const effective = { ...MANIFEST, ...patch, breaker: { ...MANIFEST.breaker, ...patch?.breaker } };
  return method === 'DELETE' ? [204, ''] : [200, { edge, revision: 7, manifest: MANIFEST, ...(patch && { override: patch }), effective, tag: JSON.stringify(String(JSON.stringify(patch ?? null).length)) }];
}
