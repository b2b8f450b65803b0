// The layout of maps that are too dense for ranks and routed lines: rows of boxes, callers before those they call, what
// belongs together in a frame of its own. Lines go straight; the map draws few of them. Pure.

/**
 * @typedef {import('./layout.worker.js').Question} Question
 * @typedef {import('./layout.worker.js').Answer} Answer
 * @typedef {{ x: number, y: number }} Point
 */

const GAP = { x: 34, y: 44 };
const MARGIN = 12;
const FRAME = { pad: 14, top: 26 };
/** How far a line bends, so that both directions between two boxes can be told apart. */
const BEND = 0.12;

/** @param {Question} question @returns {Answer} */
export function grid({ id, nodes, frames, edges, columns }) {
  const rank = ranksOf(nodes.map((node) => node.id), edges);
  const sorted = [...nodes].sort((a, b) => (rank.get(a.id) ?? 0) - (rank.get(b.id) ?? 0) || a.id.localeCompare(b.id, 'en', { numeric: true }));
  /** @type {Answer} */
  const answer = { id, dense: true, width: 0, height: MARGIN, nodes: {}, frames: {}, edges: {} };
  place(answer, sorted.filter((node) => !node.frame), columns, MARGIN);
  for (const frame of frames) {
    const members = sorted.filter((node) => node.frame === frame);
    if (!members.length) continue;
    const top = answer.height;
    answer.height += FRAME.top;
    place(answer, members, columns, MARGIN + FRAME.pad);
    const height = answer.height - GAP.y + FRAME.pad - top;
    answer.frames[frame] = { x: 0, y: top + height / 2, width: 0, height };
    answer.height = top + height + GAP.y / 2;
  }
  for (const placed of Object.values(answer.frames)) {
    placed.width = answer.width - 2 * MARGIN + FRAME.pad;
    placed.x = MARGIN + placed.width / 2;
  }
  answer.width += frames.length ? FRAME.pad : 0;
  const size = new Map(nodes.map((node) => [node.id, node]));
  for (const edge of edges) {
    const [from, to] = [answer.nodes[edge.from], answer.nodes[edge.to]];
    const points = line(from, to, size.get(edge.from) ?? edge, size.get(edge.to) ?? edge);
    answer.edges[edge.id] = { points, ...labelOf(points, edge, nodes, answer) };
  }
  return answer;
}

/** Boxes in rows from the answer's present height on. @param {Answer} answer @param {Question['nodes']} nodes @param {number} columns @param {number} left */
function place(answer, nodes, columns, left) {
  nodes.forEach((node, i) => {
    const [column, row] = [i % columns, Math.floor(i / columns)];
    const x = left + column * (node.width + GAP.x) + node.width / 2;
    answer.nodes[node.id] = { x, y: answer.height + row * (node.height + GAP.y) + node.height / 2 };
    answer.width = Math.max(answer.width, x + node.width / 2 + MARGIN);
  });
  if (nodes.length) answer.height += Math.ceil(nodes.length / columns) * (nodes[0].height + GAP.y);
}

/** Steps from the nodes that nobody calls; what is only called in rings comes last. @param {string[]} ids @param {Question['edges']} edges */
function ranksOf(ids, edges) {
  const called = new Set(edges.map((edge) => edge.to));
  /** @type {Map<string, number>} */
  const rank = new Map(ids.filter((id) => !called.has(id)).map((id) => [id, 0]));
  /** @type {Map<string, string[]>} */
  const calls = new Map();
  for (const edge of edges) calls.set(edge.from, [...(calls.get(edge.from) ?? []), edge.to]);
  // Who neither calls nor is called stands at the end, not before everything.
  const queue = [...rank.keys()].filter((id) => calls.has(id));
  for (const id of rank.keys()) if (!calls.has(id)) rank.set(id, ids.length);
  for (let i = 0; i < queue.length; i += 1) {
    for (const to of calls.get(queue[i]) ?? []) {
      if (rank.has(to)) continue;
      rank.set(to, (rank.get(queue[i]) ?? 0) + 1);
      queue.push(to);
    }
  }
  for (const id of ids) if (!rank.has(id)) rank.set(id, ids.length);
  return rank;
}

/** A slightly bent line from border to border. @param {Point} from @param {Point} to @param {{ width: number, height: number }} a @param {{ width: number, height: number }} b */
function line(from, to, a, b) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const middle = { x: (from.x + to.x) / 2 - dy * BEND, y: (from.y + to.y) / 2 + dx * BEND };
  return [border(from, middle, a), middle, border(to, middle, b)];
}

/** A place for the figures of a line where they hide no box; none where there is no such place. @param {Point[]} points @param {{ width: number, height: number }} label @param {Question['nodes']} nodes @param {Answer} answer */
function labelOf([start, middle, end], label, nodes, answer) {
  for (const t of [0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8]) {
    const [a, b, c] = [(1 - t) ** 2, 2 * t * (1 - t), t ** 2];
    const at = { x: a * start.x + b * middle.x + c * end.x, y: a * start.y + b * middle.y + c * end.y };
    const hides = nodes.some((node) => {
      const { x, y } = answer.nodes[node.id];
      return Math.abs(x - at.x) < (node.width + label.width - 24) / 2 && Math.abs(y - at.y) < (node.height + label.height) / 2;
    });
    if (!hides) return { ...at, hidden: false };
  }
  return { x: middle.x, y: middle.y, hidden: true };
}

/** Where the way from the centre of a box to a point leaves the box. @param {Point} centre @param {Point} to @param {{ width: number, height: number }} box @returns {Point} */
function border(centre, to, box) {
  const [dx, dy] = [to.x - centre.x, to.y - centre.y];
  const share = Math.min(box.width / 2 / (Math.abs(dx) || 1e-6), box.height / 2 / (Math.abs(dy) || 1e-6), 1);
  return { x: centre.x + dx * share, y: centre.y + dy * share };
}
