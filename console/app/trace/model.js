// A trace as flat arrays in the order in which it is drawn: parents before children, siblings by start. Eighty thousand
// spans are a few megabytes and no objects: `traceOf` is what a worker makes of the answer, `pack` what crosses to the
// page, `unpack` what the page reads. Pure.
import { criticalOf } from './critical.js';

/**
 * @typedef {{ name: string, time_unix_ns: string, attributes: Record<string, unknown> }} Event
 * @typedef {{ span_id: string, parent_id?: string, service: string, instance: string, version: string, zone: string,
 *   operation: string, kind: string, start_unix_ns: string, duration_ns: number, status: string, status_message?: string,
 *   attributes: Record<string, unknown>, events: Event[] }} Span
 * @typedef {{ id?: string, ts: string, brick: string, version: string, instance: string, level: string, msg: string,
 *   trace_id?: string, span_id?: string, fields?: Record<string, unknown> }} Log
 * @typedef {{ name: string, spans: number, errors: number, critical: number }} Service `critical` in nanoseconds
 * @typedef {{ id: string, depth: Uint16Array, parent: Int32Array, end: Int32Array, start: Float64Array,
 *   duration: Float64Array, failed: Uint8Array, startMs: number, total: number, services: Service[], errors: number,
 *   orphans: number, synthetic: string, critical: import('./critical.js').Critical }} Shape
 * @typedef {{ logs: Log[], logAt: Float64Array, logSpan: Int32Array, logsOf: Map<number, number[]> }} Lines
 * @typedef {Shape & Lines & { spans: Span[] }} Built
 * @typedef {Shape & Lines & { size: number, service: (at: number) => string, operation: (at: number) => string,
 *   idOf: (at: number) => string, find: (id: string) => number }} Trace
 */

/** @param {any} raw answer of `GET /api/telemetry/v1/traces/{id}` @returns {Built} */
export function traceOf(raw) {
  /** @type {Span[]} */
  const told = raw?.spans ?? [];
  const { offset, startMs: first } = offsetsOf(told);
  const { order, depths, parents, orphans } = arrange(told, offset);
  const n = order.length;
  const spans = Array.from(order, (i) => told[i]);
  const start = Float64Array.from(order, (i) => offset[i]);
  const duration = Float64Array.from(spans, (span) => Math.max(0, Number(span.duration_ns) || 0));
  const failed = Uint8Array.from(spans, (span) => (isError(span.status) ? 1 : 0));
  let [total, errors] = [1, 0];
  for (let i = 0; i < n; i += 1) {
    total = Math.max(total, start[i] + duration[i]);
    errors += failed[i];
  }
  const index = new Map(raw?.logs?.length ? spans.map((span, i) => [span.span_id, i]) : []);
  // Log lines may be all there is: spans not sampled, not arrived yet, or no longer kept.
  const startMs = n ? first : Date.parse(raw?.logs?.[0]?.ts ?? '') || 0;
  const critical = criticalOf({ parent: parents, start, duration });
  return {
    id: String(raw?.trace_id ?? ''), spans, depth: depths, parent: parents, end: endsOf(parents), start, duration,
    failed, startMs, total, services: servicesOf(spans, failed, critical), errors, orphans, critical, synthetic: suiteOf(spans),
    ...logsOf(raw?.logs ?? [], index, startMs),
  };
}

/** Nanoseconds since the first span; seconds and rest are read apart, because together they are no exact number. @param {Span[]} spans */
function offsetsOf(spans) {
  const n = spans.length;
  const [seconds, rests] = [new Float64Array(n), new Float64Array(n)];
  let base = n ? Infinity : 0;
  for (let i = 0; i < n; i += 1) {
    const text = String(spans[i].start_unix_ns);
    seconds[i] = Number(text.slice(0, -9)) || 0;
    rests[i] = Number(text.slice(-9)) || 0;
    base = Math.min(base, seconds[i]);
  }
  const offset = new Float64Array(n);
  let least = n ? Infinity : 0;
  for (let i = 0; i < n; i += 1) {
    offset[i] = (seconds[i] - base) * 1e9 + rests[i];
    least = Math.min(least, offset[i]);
  }
  for (let i = 0; i < n; i += 1) offset[i] -= least;
  return { offset, startMs: base * 1000 + Math.floor(least / 1000) / 1000 };
}

/** The suite that made the trace, where one did. @param {Span[]} spans */
function suiteOf(spans) {
  for (const span of spans) {
    const suite = span.attributes?.['brick.synthetic'];
    if (suite !== undefined) return String(suite);
  }
  return '';
}

/** What crosses from the worker: arrays, one long text for all names, log lines. @param {Built} built */
export function pack({ spans, logsOf: _, ...shape }) {
  /** @type {Map<string, number>} */
  const table = new Map();
  const service = Uint32Array.from(spans, (span) => {
    if (!table.has(span.service)) table.set(span.service, table.size);
    return table.get(span.service) ?? 0;
  });
  const [operations, ids] = [joined(spans, (span) => span.operation), joined(spans, (span) => span.span_id)];
  const message = { ...shape, names: [...table.keys()].map(String), service, operations, ids };
  const transfer = [shape.depth, shape.parent, shape.end, shape.start, shape.duration, shape.failed, shape.logAt, shape.logSpan, service, ...Object.values(shape.critical)];
  return { message, transfer: [...transfer.map((array) => array.buffer), message.operations.from.buffer, message.ids.from.buffer] };
}

/** @param {Span[]} spans @param {(span: Span) => string} read */
function joined(spans, read) {
  const from = new Uint32Array(spans.length + 1);
  const texts = spans.map((span) => String(read(span)));
  texts.forEach((text, i) => (from[i + 1] = from[i] + text.length));
  return { text: texts.join(''), from };
}

/** @param {ReturnType<typeof pack>['message']} message @returns {Trace} */
export function unpack({ names, service, operations, ids, ...shape }) {
  const piece = (/** @type {{ text: string, from: Uint32Array }} */ of, /** @type {number} */ at) => of.text.slice(of.from[at], of.from[at + 1]);
  /** @type {Map<string, number> | null} */
  let index = null;
  const find = (/** @type {string} */ id) => {
    index ??= new Map(Array.from(service, (_, at) => [piece(ids, at), at]));
    return index.get(id) ?? -1;
  };
  return {
    ...shape, size: service.length, logsOf: bySpan(shape.logSpan), find,
    service: (at) => names[service[at]] ?? '', operation: (at) => piece(operations, at), idOf: (at) => piece(ids, at),
  };
}

/** @param {string} status */
function isError(status) {
  return String(status).toLowerCase() === 'error';
}

/**
 * Depth first, without recursion. A span whose parent is not there (not sampled, evicted, still open) is a root; so is
 * one span of a ring, which only a broken client makes.
 * @param {Span[]} spans
 * @param {Float64Array} offset
 */
function arrange(spans, offset) {
  const n = spans.length;
  const { above, orphans } = parentsOf(spans);
  // Children of i are below[first[i]] to below[first[i + 1] - 1]; roots are the children of n.
  const first = new Int32Array(n + 2);
  for (let i = 0; i < n; i += 1) first[above[i] + 1] += 1;
  for (let i = 0; i <= n; i += 1) first[i + 1] += first[i];
  const next = first.slice();
  const below = new Int32Array(n);
  for (let i = 0; i < n; i += 1) below[next[above[i]]++] = i;
  const sooner = (/** @type {number} */ a, /** @type {number} */ b) => offset[a] - offset[b] || a - b;
  for (let i = 0; i <= n; i += 1) if (first[i + 1] - first[i] > 1) below.subarray(first[i], first[i + 1]).sort(sooner);
  const [order, depths, parents, place] = [new Int32Array(n), new Uint16Array(n), new Int32Array(n), new Int32Array(n).fill(-1)];
  const stack = new Int32Array(n);
  let done = 0;
  /** @param {number} root */
  const walk = (root) => {
    let top = 0;
    stack[top++] = root;
    while (top > 0) {
      const i = stack[--top];
      if (place[i] >= 0) continue;
      const parent = above[i] < n ? place[above[i]] : -1;
      [place[i], order[done], parents[done]] = [done, i, parent];
      depths[done] = parent >= 0 ? Math.min(depths[parent] + 1, 65_535) : 0;
      done += 1;
      for (let c = first[i + 1] - 1; c >= first[i]; c -= 1) if (place[below[c]] < 0) stack[top++] = below[c];
    }
  };
  for (let c = first[n]; c < first[n + 1]; c += 1) walk(below[c]);
  for (let i = 0; i < n; i += 1) if (place[i] < 0) walk(i);
  return { order, depths, parents, orphans };
}

/** The parent of each span by its place in the answer, the number of spans where it is not there. @param {Span[]} spans */
function parentsOf(spans) {
  const n = spans.length;
  /** @type {Map<string, number>} */
  const byId = new Map();
  for (let i = 0; i < n; i += 1) byId.set(spans[i].span_id, i);
  const above = new Int32Array(n);
  let orphans = 0;
  for (let i = 0; i < n; i += 1) {
    const id = spans[i].parent_id;
    const parent = id ? byId.get(id) : undefined;
    if (id && (parent === undefined || parent === i)) orphans += 1;
    above[i] = parent === undefined || parent === i ? n : parent;
  }
  return { above, orphans };
}

/** For each span the position after its last descendant. @param {Int32Array} parent */
function endsOf(parent) {
  const end = Int32Array.from(parent, (_, i) => i + 1);
  for (let i = parent.length - 1; i >= 0; i -= 1) {
    if (parent[i] >= 0) end[parent[i]] = Math.max(end[parent[i]], end[i]);
  }
  return end;
}

/** @param {Span[]} spans @param {Uint8Array} failed @param {import('./critical.js').Critical} critical @returns {Service[]} */
function servicesOf(spans, failed, critical) {
  /** @type {Map<string, Service>} */
  const services = new Map();
  spans.forEach((span, i) => {
    let one = services.get(span.service);
    if (!one) services.set(span.service, (one = { name: span.service, spans: 0, errors: 0, critical: 0 }));
    one.spans += 1;
    one.errors += failed[i];
  });
  critical.span.forEach((span, i) => {
    const one = services.get(spans[span].service);
    if (one) one.critical += critical.to[i] - critical.from[i];
  });
  return [...services.values()];
}

/** @param {Log[]} told @param {Map<string, number>} index @param {number} startMs @returns {Lines} */
function logsOf(told, index, startMs) {
  const logs = [...told].sort((a, b) => (a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : 0));
  const logAt = Float64Array.from(logs, (log) => (Date.parse(log.ts) - startMs) * 1e6);
  const logSpan = Int32Array.from(logs, (log) => (log.span_id ? index.get(log.span_id) ?? -1 : -1));
  return { logs, logAt, logSpan, logsOf: bySpan(logSpan) };
}

/** @param {Int32Array} logSpan */
function bySpan(logSpan) {
  /** @type {Map<number, number[]>} */
  const found = new Map();
  logSpan.forEach((span, i) => {
    const held = found.get(span);
    if (held) held.push(i);
    else found.set(span, [i]);
  });
  return found;
}

/**
 * What is visible, from top to bottom: a span's position, or -1 - a log's position. Logs follow their span; those that
 * name no span of the trace come first, in time order.
 * @param {{ end: Int32Array, logs: Log[], logsOf: Map<number, number[]> }} trace
 * @param {Set<number>} collapsed
 * @param {boolean} withLogs
 * @returns {Int32Array}
 */
export function rowsOf(trace, collapsed, withLogs) {
  const rows = new Int32Array(trace.end.length + (withLogs ? trace.logs.length : 0));
  let n = 0;
  const put = (/** @type {number} */ span) => {
    for (const log of (withLogs && trace.logsOf.get(span)) || []) rows[n++] = -1 - log;
  };
  put(-1);
  for (let i = 0; i < trace.end.length; ) {
    rows[n++] = i;
    put(i);
    i = collapsed.has(i) ? trace.end[i] : i + 1;
  }
  return rows.subarray(0, n);
}
