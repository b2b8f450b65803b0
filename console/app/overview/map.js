// The service map: edge on the left, what it leads to on the right. Thickness is the rate, colour the state.
import { classes, html, useEffect, useRef, useState } from '../html.js';
import { duration, percent, rate } from '../format.js';
import { WARN_SHARE } from './model.js';
import { LABEL, NODE, curve, useLayout } from './layout.js';

/**
 * @typedef {import('./model.js').Node} Node
 * @typedef {import('./model.js').Edge} Edge
 * @typedef {import('./layout.js').Layout} Layout
 * @typedef {(id: string) => void} Select
 */

/** Below this scale the figures can no longer be read; the map scrolls instead. */
const SCALE_MIN = 0.7;
const SCALE_MAX = 1.25;
const NARROW = 720;
/** Left and right padding of the frame, in style/overview.css. */
const PADDING = 16;

/** @param {{ map: import('./model.js').ServiceMap, selected: string, onSelect: Select }} props */
export function ServiceMap({ map, selected, onSelect }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const width = useWidth(frame);
  const layout = useLayout(map, width > 0 && width < NARROW);
  const scale = layout && width ? Math.min(SCALE_MAX, Math.max(SCALE_MIN, width / layout.width)) : 1;
  return html`<div class="map" ref=${frame} tabindex="0" role="group" aria-label="Service map; the table below tells the same">
    ${layout &&
    html`<svg
      width=${Math.round(layout.width * scale)}
      height=${Math.round(layout.height * scale)}
      viewBox=${`0 0 ${layout.width} ${layout.height}`}
    >
      <${Arrows} />
      ${map.edges.map((edge) => html`<${Line} key=${edge.id} edge=${edge} layout=${layout} selected=${selected} onSelect=${onSelect} />`)}
      ${map.nodes.map((node) => html`<${Box} key=${node.id} node=${node} layout=${layout} selected=${selected} onSelect=${onSelect} />`)}
      ${map.nodes.map((node) => html`<${Badge} key=${node.id} node=${node} layout=${layout} />`)}
      ${map.edges.map((edge) => html`<${Figures} key=${edge.id} edge=${edge} layout=${layout} selected=${selected} />`)}
    </svg>`}
  </div>`;
}

/** Width of an element, followed. @param {{ current: HTMLElement | null }} frame */
function useWidth(frame) {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth - PADDING));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return width;
}

function Arrows() {
  const states = ['idle', 'ok', 'warn', 'bad'];
  return html`<defs>
    ${states.map(
      (state) => html`<marker id=${`arrow-${state}`} key=${state} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">
        <path d="M0 0.5 7.5 4 0 7.5z" class=${`arrow ${state}`} />
      </marker>`,
    )}
  </defs>`;
}

/** Enter and space do what a click does. @param {() => void} act */
function pressed(act) {
  return (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    act();
  };
}

/** @param {{ edge: Edge, layout: Layout, selected: string, onSelect: Select }} props */
function Line({ edge, layout, selected, onSelect }) {
  const placed = layout.edges[edge.id];
  if (!placed) return null;
  const path = curve(placed.points);
  const id = `edge:${edge.id}`;
  const thickness = edge.rate > 0 ? 1.25 + Math.min(4, Math.log10(1 + edge.rate) * 1.5) : 1.25;
  const told = edge.seen
    ? `${rate(edge.rate)}, ${percent(edge.errors)} errors, p99 ${duration(edge.p99)}`
    : 'no calls seen';
  const choose = () => onSelect(id);
  return html`<g
    class=${classes('edge', edge.health, selected === id && 'selected')}
    role="button"
    tabindex="0"
    aria-pressed=${selected === id}
    aria-label=${`${edge.from} to ${edge.to}: ${told}`}
    onClick=${choose}
    onKeyDown=${pressed(choose)}
  >
    <path class="reach" d=${path} />
    <path class="wire" d=${path} stroke-width=${thickness.toFixed(2)} marker-end=${`url(#arrow-${edge.health})`} />
  </g>`;
}

/** @param {{ edge: Edge, layout: Layout, selected: string }} props */
function Figures({ edge, layout, selected }) {
  const placed = layout.edges[edge.id];
  if (!placed || !edge.seen || edge.rate <= 0) return null;
  const second = edge.errors > 0 ? `${percent(edge.errors)} err` : duration(edge.p99);
  const chosen = selected === `edge:${edge.id}`;
  return html`<g class=${classes('figures', edge.health, chosen && 'selected')} transform=${`translate(${placed.x} ${placed.y})`} aria-hidden="true">
    <rect x=${-LABEL.width / 2 + 8} y=${-LABEL.height / 2} width=${LABEL.width - 16} height=${LABEL.height} rx="6" />
    <text y="-3" class="strong">${rate(edge.rate)}</text>
    <text y="11" class="second">${second}</text>
  </g>`;
}

/** @param {{ node: Node, layout: Layout, selected: string, onSelect: Select }} props */
function Box({ node, layout, selected, onSelect }) {
  const placed = layout.nodes[node.id];
  if (!placed) return null;
  const id = `brick:${node.id}`;
  const choose = () => onSelect(id);
  const [x, y] = [placed.x - NODE.width / 2, placed.y - NODE.height / 2];
  const instances = node.kind === 'brick' ? `${node.up}/${node.total} up` : node.kind === 'edge' ? 'gateway' : 'external';
  const told = `${instances}, ${rate(node.rate)}${node.errors > 0 ? `, ${percent(node.errors)} errors` : ''}`;
  // The button is a shape of its own above the drawing, so that its name is the label and not the drawn letters.
  return html`<g class=${classes('node', `kind-${node.kind}`, node.health, selected === id && 'selected')} transform=${`translate(${x.toFixed(1)} ${y.toFixed(1)})`}>
    <g aria-hidden="true">
      <rect class="body" width=${NODE.width} height=${NODE.height} rx="10" />
      <circle class="state" cx="17" cy="21" r="4.5" />
      <text class="name" x="30" y="25.5">${clip(node.id, 16)}</text>
      <text class="second" x="17" y="45">${instances}</text>
      <text class="second end" x=${NODE.width - 14} y="45">${node.kind === 'external' && !node.rate ? '' : rate(node.rate)}</text>
    </g>
    <rect
      class="press"
      width=${NODE.width}
      height=${NODE.height}
      role="button"
      tabindex="0"
      aria-pressed=${selected === id}
      aria-label=${`${node.id}: ${told}`}
      onClick=${choose}
      onKeyDown=${pressed(choose)}
    />
  </g>`;
}

/** Share of failed requests at the corner of a brick; the brick's own label says it too. @param {{ node: Node, layout: Layout }} props */
function Badge({ node, layout }) {
  const placed = layout.nodes[node.id];
  if (!placed || node.errors <= 0) return null;
  const at = `translate(${placed.x + NODE.width / 2 - 52} ${placed.y - NODE.height / 2 - 9})`;
  return html`<g class=${classes('badge', node.errors < WARN_SHARE ? 'few' : node.health)} transform=${at} aria-hidden="true">
    <rect width="46" height="18" rx="9" /><text x="23" y="13">${percent(node.errors)}</text>
  </g>`;
}

/** @param {string} text @param {number} letters */
function clip(text, letters) {
  return text.length > letters ? `${text.slice(0, letters - 1)}…` : text;
}
