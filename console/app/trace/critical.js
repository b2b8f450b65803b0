// The critical path: what a trace waited for. From the end backwards, time belongs to the child that finished last before
// then, and to the span itself where no child ran (CRISP, Zhang et al., USENIX ATC 2022, section 3). A child that outlives
// its parent is cut at the parent's end; spans that go on after the answer are on nobody's path. Pure.

/** Pieces in no order: the position of the span, and from when to when, in nanoseconds. @typedef {{ span: Int32Array, from: Float64Array, to: Float64Array }} Critical */

/** @param {{ parent: Int32Array, start: Float64Array, duration: Float64Array }} trace parents stand before their children @returns {Critical} */
export function criticalOf({ parent, start, duration }) {
  /** @type {number[]} */ const span = [];
  /** @type {number[]} */ const from = [];
  /** @type {number[]} */ const to = [];
  if (!parent.length) return { span: new Int32Array(), from: new Float64Array(), to: new Float64Array() };
  const ended = endedIn(parent, start, duration);
  const put = (/** @type {number} */ at, /** @type {number} */ begin, /** @type {number} */ end) => {
    if (end <= begin) return;
    span.push(at);
    from.push(begin);
    to.push(end);
  };
  const stack = [[0, start[0], start[0] + duration[0]]];
  for (let top = stack.pop(); top; top = stack.pop()) {
    const [at, begin, end] = top;
    let cursor = end;
    for (const child of ended.of(at)) {
      const [low, high] = [Math.max(start[child], begin), Math.min(start[child] + duration[child], end)];
      if (high > cursor || high <= low) continue;
      put(at, high, cursor);
      stack.push([child, low, high]);
      cursor = low;
    }
    put(at, begin, cursor);
  }
  return { span: Int32Array.from(span), from: Float64Array.from(from), to: Float64Array.from(to) };
}

/** Children of each span, those that ended last first. @param {Int32Array} parent @param {Float64Array} start @param {Float64Array} duration */
function endedIn(parent, start, duration) {
  const first = new Int32Array(parent.length + 1);
  for (const one of parent) if (one >= 0) first[one + 1] += 1;
  for (let i = 0; i < parent.length; i += 1) first[i + 1] += first[i];
  const next = first.slice();
  const children = new Int32Array(first[parent.length]);
  for (let i = 0; i < parent.length; i += 1) if (parent[i] >= 0) children[next[parent[i]]++] = i;
  const later = (/** @type {number} */ a, /** @type {number} */ b) => start[b] + duration[b] - (start[a] + duration[a]) || start[b] - start[a];
  return { of: (/** @type {number} */ at) => children.subarray(first[at], first[at + 1]).sort(later) };
}

/** The pieces of each span. @param {Critical} critical @returns {Map<number, number[]>} */
export function piecesOf(critical) {
  /** @type {Map<number, number[]>} */
  const found = new Map();
  critical.span.forEach((span, i) => {
    const held = found.get(span);
    if (held) held.push(i);
    else found.set(span, [i]);
  });
  return found;
}
