// Lays the map out away from the page: dagre takes 0.3 s for a hundred nodes.
import dagre from '../../vendor/dagre.js';
import { grid } from './grid.js';

/** Lines that can still be followed when all are drawn. */
const EDGES_MAX = 70;

/**
 * @typedef {{ id: number, down: boolean, nodes: { id: string, width: number, height: number, frame?: string }[], frames: string[], columns: number,
 *   edges: { id: string, from: string, to: string, width: number, height: number }[] }} Question
 * @typedef {{ id: number, dense: boolean, width: number, height: number, nodes: Record<string, { x: number, y: number }>,
 *   frames: Record<string, { x: number, y: number, width: number, height: number }>,
 *   edges: Record<string, { points: { x: number, y: number }[], x: number, y: number, hidden: boolean }> }} Answer
 */

addEventListener('message', (event) => {
  const question = /** @type {Question} */ (event.data);
  postMessage(question.frames.length || question.edges.length > EDGES_MAX ? grid(question) : ranked(question));
});

/** @param {Question} question @returns {Answer} */
function ranked({ id, down, nodes, edges }) {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  const spacing = down ? { nodesep: 18, ranksep: 34, edgesep: 14 } : { nodesep: 30, ranksep: 44, edgesep: 22 };
  graph.setGraph({ rankdir: down ? 'TB' : 'LR', marginx: 8, marginy: 8, ...spacing });
  for (const node of nodes) graph.setNode(node.id, { width: node.width, height: node.height });
  for (const edge of edges) {
    graph.setEdge(edge.from, edge.to, { width: edge.width, height: edge.height, labelpos: 'c' }, edge.id);
  }
  dagre.layout(graph);
  const { width = 0, height = 0 } = graph.graph();
  /** @type {Answer} */
  const answer = { id, dense: false, width, height, nodes: {}, frames: {}, edges: {} };
  for (const node of nodes) {
    const { x = 0, y = 0 } = graph.node(node.id);
    answer.nodes[node.id] = { x, y };
  }
  for (const { id: edge, from, to } of edges) {
    const { points = [], x = 0, y = 0 } = graph.edge({ v: from, w: to, name: edge });
    answer.edges[edge] = { points, x, y, hidden: false };
  }
  return answer;
}
