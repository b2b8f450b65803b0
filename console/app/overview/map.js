// The service map: edge on the left, what it leads to on the right. Thickness is the rate, colour the state.
import { classes, html, useEffect, useRef, useState } from '../html.js';
import { duration, percent, rate } from '../format.js';
import { address } from '../route.js';
import { logsAddress } from '../logs/query.js';
import { WARN_SHARE } from './model.js';
import { LABEL, NODE, curve, useLayout } from './layout.js';

/**
 * @typedef {import('./model.js').Node} Node
 * @typedef {import('./model.js').Edge} Edge
 * @typedef {import('./layout.js').Layout} Layout
 * @typedef {(id: string) => void} Select
 */

/** Below this scale the figures can no longer be read; the map scrolls instead. */
const SCALE_MIN = 0.65;
const SCALE_MAX = 1.25;
/** Left and right padding of the frame, in style/overview.css. */
const PADDING = 16;

/** @param {{ map: import('./group.js').Drawn, selected: string, onSelect: Select }} props */
export function ServiceMap({ map, selected, onSelect }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const width = useWidth(frame);
  const layout = useLayout(map, width);
  const scale = layout && width ? Math.min(SCALE_MAX, Math.max(SCALE_MIN, width / layout.width)) : 1;
  const door = layout?.nodes.edge;
  // Where the map is wider than the screen it begins with where the traffic comes in.
  useEffect(() => {
    if (frame.current && door) frame.current.scrollLeft = door.x * scale - frame.current.clientWidth / 2;
  }, [layout]);
  return html`<div class="map" ref=${frame} tabindex="0" role="group" aria-label="Service map; the table below tells the same">
    ${layout &&
    html`<svg
      width=${Math.round(layout.width * scale)}
      height=${Math.round(layout.height * scale)}
      viewBox=${`0 0 ${layout.width} ${layout.height}`}
    >
      <${Arrows} />
      ${map.frames.map((frame) => html`<${Frame} key=${frame.id} frame=${frame} layout=${layout} />`)}
      ${map.edges.map((edge) => html`<${Line} key=${edge.id} faint=${layout.dense && !stands(edge, selected)} edge=${edge} layout=${layout} selected=${selected} onSelect=${onSelect} />`)}
      ${map.nodes.map((node) => html`<${Box} key=${node.id} node=${node} layout=${layout} selected=${selected} onSelect=${onSelect} />`)}
      ${map.nodes.map((node) => html`<${Badge} key=${node.id} node=${node} layout=${layout} />`)}
      ${map.edges.filter((edge) => !layout.dense || telling(edge, selected)).map((edge) => html`<${Figures} key=${edge.id} edge=${edge} layout=${layout} selected=${selected} />`)}
    </svg>`}
  </div>`;
}

/** What is told with figures where not every line is: what is wrong, and what is chosen. @param {Edge} edge @param {string} selected */
function telling(edge, selected) {
  return edge.health === 'bad' || edge.health === 'warn' || edge.slow || selected === `edge:${edge.id}`;
}

/** Which lines of a dense map can be followed: those, and the ones of the chosen node. @param {Edge} edge @param {string} selected */
function stands(edge, selected) {
  return telling(edge, selected) || selected === `brick:${edge.from}` || selected === `brick:${edge.to}`;
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

/** What belongs together, framed. @param {{ frame: import('./group.js').Group, layout: Layout }} props */
function Frame({ frame, layout }) {
  const placed = layout.frames[frame.id];
  if (!placed) return null;
  const [x, y] = [placed.x - placed.width / 2, placed.y - placed.height / 2];
  return html`<g class="frame" aria-hidden="true">
    <rect x=${x} y=${y} width=${placed.width} height=${placed.height} rx="14" />
    <text x=${x + 12} y=${y + 16}>${frame.label}</text>
  </g>`;
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

/** @param {{ edge: Edge, faint: boolean, layout: Layout, selected: string, onSelect: Select }} props */
function Line({ edge, faint, layout, selected, onSelect }) {
  const placed = layout.edges[edge.id];
  if (!placed) return null;
  const path = curve(placed.points);
  const id = `edge:${edge.id}`;
  const thickness = edge.rate > 0 ? 1.25 + Math.min(4, Math.log10(1 + edge.rate) * 1.5) : 1.25;
  const told = edge.seen
    ? `${rate(edge.rate)}, ${percent(edge.errors)} errors, p99 ${duration(edge.p99)}${edge.slow ? ', slow' : ''}${lossOf(edge)}`
    : 'no calls seen';
  const choose = () => onSelect(id);
  const state = edge.slow && edge.health === 'ok' ? 'warn' : edge.health;
  if (faint) return html`<path class="wire faint" d=${path} />`;
  return html`<g
    class=${classes('edge', state, edge.lossy && 'lossy', selected === id && 'selected')}
    role="button"
    tabindex="0"
    aria-pressed=${selected === id}
    aria-label=${`${edge.from} to ${edge.to}: ${told}`}
    onClick=${choose}
    onKeyDown=${pressed(choose)}
  >
    <path class="reach" d=${path} />
    <path class="wire" d=${path} stroke-width=${thickness.toFixed(2)} marker-end=${`url(#arrow-${state})`} />
  </g>`;
}

/** The part of a line's name that says that both ends differ. @param {Edge} edge */
function lossOf(edge) {
  if (!edge.lossy) return '';
  const there = edge.callee ? `, ${edge.to} saw ${percent(edge.callee.errors)} errors` : '';
  return edge.lost === null ? ', calls are lost on the way' : `, ${percent(edge.lost)} of calls are lost on the way${there}`;
}

/** Where the figures of a call lead: what is slow to its slow traces, what fails to its failed ones. @param {Edge} edge */
function cause(edge) {
  if (edge.from.startsWith('group ') || edge.to.startsWith('group ') || edge.from.startsWith('zone ') || edge.to.startsWith('zone ')) return null;
  if (edge.lossy) return { href: callAddress(edge, { errors: 1 }), text: `${edge.from} to ${edge.to} loses ${percent(edge.lost)} of its calls on the way: its failed traces` };
  if (edge.errors >= WARN_SHARE) return { href: callAddress(edge, { errors: 1 }), text: `${edge.from} to ${edge.to} fails, ${percent(edge.errors)} errors: its failed traces` };
  if (edge.slow) return { href: callAddress(edge, { min: Math.floor((edge.p99 ?? 0) / 2), sort: 'duration' }), text: `${edge.from} to ${edge.to} is slow, p99 ${duration(edge.p99)}: its slow traces` };
  return null;
}

/** The traces in which this call was made. @param {Edge} edge @param {import('../route.js').Changes} more */
export function callAddress(edge, more) {
  // The edge's own process calls itself gateway; a call names whom it called.
  return address('/console/traces', { service: edge.from === 'edge' ? 'gateway' : edge.from, attr: `server.address=${edge.to}`, ...more });
}

/** @param {{ edge: Edge, layout: Layout, selected: string }} props */
function Figures({ edge, layout, selected }) {
  const placed = layout.edges[edge.id];
  if (!placed || placed.hidden || !edge.seen || edge.rate <= 0) return null;
  const second = edge.lossy && edge.lost !== null ? `${percent(edge.lost)} lost` : edge.errors >= WARN_SHARE || (edge.errors > 0 && !edge.slow) ? `${percent(edge.errors)} err` : duration(edge.p99);
  const chosen = selected === `edge:${edge.id}`;
  const leads = cause(edge);
  const drawn = html`<rect x=${-LABEL.width / 2 + 8} y=${-LABEL.height / 2} width=${LABEL.width - 16} height=${LABEL.height} rx="6" />
    <text y="-3" class="strong">${rate(edge.rate)}</text>
    <text y="11" class="second">${second}</text>`;
  return html`<g class=${classes('figures', edge.slow && edge.health === 'ok' ? 'warn' : edge.health, chosen && 'selected', leads && 'leads')} transform=${`translate(${placed.x} ${placed.y})`} >
    <g aria-hidden="true">${drawn}</g>
    ${leads && html`<a href=${leads.href} aria-label=${leads.text}><rect class="hit" x=${-LABEL.width / 2 + 8} y=${-LABEL.height / 2} width=${LABEL.width - 16} height=${LABEL.height} rx="6" /></a>`}
  </g>`;
}

/** @param {{ node: Node, layout: Layout, selected: string, onSelect: Select }} props */
function Box({ node, layout, selected, onSelect }) {
  const placed = layout.nodes[node.id];
  if (!placed) return null;
  const id = `brick:${node.id}`;
  const choose = () => onSelect(id);
  const [x, y] = [placed.x - NODE.width / 2, placed.y - NODE.height / 2];
  const instances = aboutOf(node);
  const name = node.kind === 'group' ? node.about : node.id;
  const told = `${instances}, ${rate(node.rate)}${node.errors > 0 ? `, ${percent(node.errors)} errors` : ''}`;
  // The button is a shape of its own above the drawing, so that its name is the label and not the drawn letters.
  return html`<g class=${classes('node', `kind-${node.kind}`, node.health, selected === id && 'selected')} transform=${`translate(${x.toFixed(1)} ${y.toFixed(1)})`}>
    <g aria-hidden="true">
      ${node.kind === 'group' && html`<rect class="body behind" x="6" y="-6" width=${NODE.width} height=${NODE.height} rx="10" />`}
      <rect class="body" width=${NODE.width} height=${NODE.height} rx="10" />
      ${node.kind === 'platform' ? html`<rect class="state" x="12.5" y="16.5" width="9" height="9" rx="2" />` : html`<circle class="state" cx="17" cy="21" r="4.5" />`}
      <text class="name" x="30" y="25.5">${clip(name, node.kind === 'group' ? 15 : 16)}</text>
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
      aria-label=${`${name}: ${told}`}
      onClick=${choose}
      onKeyDown=${pressed(choose)}
    />
  </g>`;
}

/** What stands below the name. @param {Node} node */
function aboutOf(node) {
  if (node.kind === 'group') return `${node.members?.length} bricks · ${node.up}/${node.total}`;
  if (node.kind === 'brick') return `${node.up}/${node.total} up`;
  return node.kind === 'edge' ? 'gateway' : node.kind;
}

/** Share of failed requests at the corner of a brick: the way to what it says about them. @param {{ node: Node, layout: Layout }} props */
function Badge({ node, layout }) {
  const placed = layout.nodes[node.id];
  if (!placed || node.errors <= 0) return null;
  const at = `translate(${placed.x + NODE.width / 2 - 52} ${placed.y - NODE.height / 2 - 9})`;
  const drawn = html`<rect width="46" height="18" rx="9" /><text x="23" y="13">${percent(node.errors)}</text>`;
  const names = classes('badge', node.errors < WARN_SHARE ? 'few' : node.health);
  if (node.kind === 'group' || node.kind === 'external') return html`<g class=${names} transform=${at} aria-hidden="true">${drawn}</g>`;
  const brick = node.kind === 'edge' ? 'gateway' : node.id;
  const text = `${percent(node.errors)} of requests to ${node.id} fail: its warnings and errors`;
  return html`<g class=${names} transform=${at}>
    <g aria-hidden="true">${drawn}</g>
    <a href=${logsAddress({ brick, level: 'warn' })} aria-label=${text}><rect class="hit" width="46" height="18" rx="9" /></a>
  </g>`;
}

/** @param {string} text @param {number} letters */
function clip(text, letters) {
  return text.length > letters ? `${text.slice(0, letters - 1)}…` : text;
}
