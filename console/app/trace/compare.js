// Two traces as one tree: spans are matched by their path of service and operation, and spans of the same path count as
// one row with their number and their time. Pure.

/**
 * @typedef {{ count: number, ns: number, errors: number }} Side
 * @typedef {{ service: string, operation: string, depth: number, a: Side | null, b: Side | null }} Row
 * @typedef {{ service: string, operation: string, a: Side | null, b: Side | null, children: Map<string, Branch> }} Branch
 */

/** @param {import('./model.js').Trace} a @param {import('./model.js').Trace} b @returns {Row[]} parents before children, in the order of the first trace */
export function compare(a, b) {
  const root = branch('', '');
  add(root, a, 'a');
  add(root, b, 'b');
  /** @type {Row[]} */
  const rows = [];
  const stack = [...root.children.values()].reverse().map((one) => ({ one, depth: 0 }));
  for (let top = stack.pop(); top; top = stack.pop()) {
    const { one, depth } = top;
    rows.push({ service: one.service, operation: one.operation, depth, a: one.a, b: one.b });
    for (const child of [...one.children.values()].reverse()) stack.push({ one: child, depth: depth + 1 });
  }
  return rows;
}

/** @param {string} service @param {string} operation @returns {Branch} */
function branch(service, operation) {
  return { service, operation, a: null, b: null, children: new Map() };
}

/** @param {Branch} root @param {import('./model.js').Trace} trace @param {'a' | 'b'} side */
function add(root, trace, side) {
  /** @type {Branch[]} */
  const places = [];
  for (let i = 0; i < trace.size; i += 1) {
    const [service, operation] = [trace.service(i), trace.operation(i)];
    const above = trace.parent[i] >= 0 ? places[trace.parent[i]] : root;
    const key = `${service}\u0000${operation}`;
    let one = above.children.get(key);
    if (!one) above.children.set(key, (one = branch(service, operation)));
    const held = one[side] ?? (one[side] = { count: 0, ns: 0, errors: 0 });
    held.count += 1;
    held.ns += trace.duration[i];
    held.errors += trace.failed[i];
    places.push(one);
  }
}

/** Whether a row shows a difference: there once only, another number, errors on one side, or a quarter (and a millisecond) more or less time. @param {Row} row */
export function differs({ a, b }) {
  if (!a || !b) return true;
  const gap = Math.abs(a.ns - b.ns);
  return a.count !== b.count || a.errors !== b.errors || (gap > 1e6 && gap > 0.25 * Math.min(a.ns, b.ns));
}
