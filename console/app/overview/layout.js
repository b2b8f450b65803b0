// Asks the worker for a layout, only when the structure of the map changes; rates move without it.
import { useEffect, useState } from '../html.js';

/**
 * @typedef {import('./layout.worker.js').Answer} Layout
 * @typedef {import('./group.js').Drawn} Drawn
 */

const NARROW = 720;
/** Width of a column where boxes stand in rows. */
const COLUMN = 208;
export const NODE = { width: 172, height: 58 };
/** Room that dagre keeps free for the figures of an edge. */
export const LABEL = { width: 84, height: 34 };

/** @type {Worker | null} */
let worker = null;
let questions = 0;

/**
 * @param {Drawn} map
 * @param {number} width of the screen's part for the map; narrow maps go from top to bottom
 * @returns {Layout | null}
 */
export function useLayout(map, width) {
  const [layout, setLayout] = useState(/** @type {Layout | null} */ (null));
  const down = width > 0 && width < NARROW;
  const columns = Math.max(1, Math.floor(width / COLUMN));
  const shape = JSON.stringify([down, columns, map.nodes.map((node) => node.id), map.edges.map((edge) => edge.id), map.frames]);
  const frameOf = new Map(map.frames.flatMap((frame) => frame.members.map((id) => [id, frame.id])));
  useEffect(() => {
    worker ??= new Worker(new URL('./layout.worker.js', import.meta.url), { type: 'module' });
    const asked = worker;
    questions += 1;
    const id = questions;
    /** @param {MessageEvent<Layout>} event */
    const hear = (event) => {
      if (event.data.id === id) setLayout(event.data);
    };
    asked.addEventListener('message', hear);
    asked.postMessage({
      id,
      down,
      columns,
      nodes: map.nodes.map((node) => ({ id: node.id, ...NODE, frame: frameOf.get(node.id) })),
      frames: map.frames.map((frame) => frame.id),
      edges: map.edges.map(({ id: edge, from, to }) => ({ id: edge, from, to, ...LABEL })),
    });
    return () => asked.removeEventListener('message', hear);
  }, [shape]);
  return layout;
}

/**
 * A soft line through the points (midpoint quadratic, so that it never overshoots).
 * @param {{ x: number, y: number }[]} points
 */
export function curve(points) {
  if (points.length < 2) return '';
  const at = (/** @type {{ x: number, y: number }} */ p) => `${p.x.toFixed(1)} ${p.y.toFixed(1)}`;
  let path = `M${at(points[0])}`;
  for (let i = 1; i < points.length - 1; i += 1) {
    const [here, next] = [points[i], points[i + 1]];
    const end = i === points.length - 2 ? next : { x: (here.x + next.x) / 2, y: (here.y + next.y) / 2 };
    path += ` Q${at(here)} ${at(end)}`;
  }
  return points.length === 2 ? `${path} L${at(points[1])}` : path;
}
