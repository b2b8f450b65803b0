// A trace as flat arrays in the order in which it is drawn: parents before children, siblings by start. Eighty
// thousand spans are a few megabytes and no objects. Pure.

/**
 * @typedef {{ name: string, time_unix_ns: string, attributes: Record<string, unknown> }} Event
 * @typedef {{ span_id: string, parent_id?: string, service: string, instance: string, version: string, zone: string,
 *   operation: string, kind: string, start_unix_ns: string, duration_ns: number, status: string,
 *   attributes: Record<string, unknown>, events: Event[] }} Span
 * @typedef {{ ts: string, brick: string, version: string, instance: string, level: string, msg: string,
 *   trace_id?: string, span_id?: string, fields?: Record<string, unknown> }} Log
 * @typedef {{ name: string, spans: number, errors: number, busy_ns: number }} Service
 * @typedef {{ id: string, spans: Span[], depth: Uint16Array, parent: Int32Array, end: Int32Array, start: Float64Array,
 *   duration: Float64Array, failed: Uint8Array, startMs: number, total: number, services: Service[], errors: number,
 *   logs: Log[], logAt: Float64Array, logSpan: Int32Array, logsOf: Map<number, number[]>, index: Map<string, number>,
 *   orphans: number }} Trace
 */

/** @param {any} raw answer of `GET /api/telemetry/v1/traces/{id}` @returns {Trace} */
export function traceOf(raw) {
  /** @type {Span[]} */
  const told = raw?.spans ?? [];
  const starts = told.map((span) => BigInt(span.start_unix_ns));
  const base = starts.reduce((least, one) => (one < least ? one : least), starts[0] ?? 0n);
  const offset = Float64Array.from(starts, (one) => Number(one - base));
  const { order, depths, parents, orphans } = arrange(told, offset);
  const n = order.length;
  const spans = order.map((i) => told[i]);
  const start = Float64Array.from(order, (i) => offset[i]);
  const duration = Float64Array.from(spans, (span) => Math.max(0, Number(span.duration_ns) || 0));
  const failed = Uint8Array.from(spans, (span) => (isError(span.status) ? 1 : 0));
  const parent = Int32Array.from(parents);
  let total = 1;
  for (let i = 0; i < n; i += 1) total = Math.max(total, start[i] + duration[i]);
  const index = new Map(spans.map((span, i) => [span.span_id, i]));
  // Log lines may be all there is: spans not sampled, not arrived yet, or no longer kept.
  const startMs = n ? Number(base / 1000n) / 1000 : Date.parse(raw?.logs?.[0]?.ts ?? '') || 0;
  const lines = logsOf(raw?.logs ?? [], index, startMs);
  const errors = failed.reduce((sum, one) => sum + one, 0);
  return {
    id: String(raw?.trace_id ?? ''), spans, depth: Uint16Array.from(depths), parent, end: endsOf(parent), start, duration,
    failed, startMs, total, services: servicesOf(spans, duration, failed), errors, index, orphans, ...lines,
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
  const byId = new Map(spans.map((span, i) => [span.span_id, i]));
  /** @type {Map<number, number[]>} */
  const children = new Map();
  /** @type {number[]} */
  const roots = [];
  let orphans = 0;
  spans.forEach((span, i) => {
    const parent = span.parent_id ? byId.get(span.parent_id) : undefined;
    if (parent === undefined || parent === i) {
      if (span.parent_id) orphans += 1;
      roots.push(i);
    } else if (children.has(parent)) children.get(parent)?.push(i);
    else children.set(parent, [i]);
  });
  const sooner = (/** @type {number} */ a, /** @type {number} */ b) => offset[a] - offset[b] || a - b;
  for (const siblings of children.values()) siblings.sort(sooner);
  roots.sort(sooner);
  /** @type {number[]} */ const order = [];
  /** @type {number[]} */ const depths = [];
  /** @type {number[]} */ const parents = [];
  const seen = new Uint8Array(spans.length);
  const walk = (/** @type {number} */ root) => {
    const stack = [[root, 0, -1]];
    for (let top = stack.pop(); top; top = stack.pop()) {
      const [i, depth, parent] = top;
      if (seen[i]) continue;
      seen[i] = 1;
      const at = order.push(i) - 1;
      depths.push(Math.min(depth, 65_535));
      parents.push(parent);
      const below = children.get(i) ?? [];
      for (let c = below.length - 1; c >= 0; c -= 1) stack.push([below[c], depth + 1, at]);
    }
  };
  roots.forEach(walk);
  for (let i = 0; i < spans.length; i += 1) if (!seen[i]) walk(i);
  return { order, depths, parents, orphans };
}

/** For each span the position after its last descendant. @param {Int32Array} parent */
function endsOf(parent) {
  const end = Int32Array.from(parent, (_, i) => i + 1);
  for (let i = parent.length - 1; i >= 0; i -= 1) {
    if (parent[i] >= 0) end[parent[i]] = Math.max(end[parent[i]], end[i]);
  }
  return end;
}

/** @param {Span[]} spans @param {Float64Array} duration @param {Uint8Array} failed @returns {Service[]} */
function servicesOf(spans, duration, failed) {
  /** @type {Map<string, Service>} */
  const services = new Map();
  spans.forEach((span, i) => {
    const one = services.get(span.service) ?? { name: span.service, spans: 0, errors: 0, busy_ns: 0 };
    one.spans += 1;
    one.errors += failed[i];
    one.busy_ns += duration[i];
    services.set(span.service, one);
  });
  return [...services.values()];
}

/** @param {Log[]} told @param {Map<string, number>} index @param {number} startMs */
function logsOf(told, index, startMs) {
  const logs = [...told].sort((a, b) => (a.ts < b.ts ? -1 : a.ts > b.ts ? 1 : 0));
  const logAt = Float64Array.from(logs, (log) => (Date.parse(log.ts) - startMs) * 1e6);
  const logSpan = Int32Array.from(logs, (log) => (log.span_id ? index.get(log.span_id) ?? -1 : -1));
  /** @type {Map<number, number[]>} */
  const bySpan = new Map();
  logSpan.forEach((span, i) => {
    if (bySpan.has(span)) bySpan.get(span)?.push(i);
    else bySpan.set(span, [i]);
  });
  return { logs, logAt, logSpan, logsOf: bySpan };
}

/**
 * What is visible, from top to bottom: a span's position, or -1 - a log's position. Logs follow their span; those that
 * name no span of the trace come first, in time order.
 * @param {Trace} trace
 * @param {Set<number>} collapsed
 * @param {boolean} withLogs
 * @returns {Int32Array}
 */
export function rowsOf(trace, collapsed, withLogs) {
  const rows = new Int32Array(trace.spans.length + (withLogs ? trace.logs.length : 0));
  let n = 0;
  const put = (/** @type {number} */ span) => {
    for (const log of (withLogs && trace.logsOf.get(span)) || []) rows[n++] = -1 - log;
  };
  put(-1);
  for (let i = 0; i < trace.spans.length; ) {
    rows[n++] = i;
    put(i);
    i = collapsed.has(i) ? trace.end[i] : i + 1;
  }
  return rows.subarray(0, n);
}
