// One edge as a cell: who calls whom, the breaker's state as shape, word and colour, and the figures.
import { classes, html, memo } from '../html.js';
import { count, duration, percent, rate } from '../format.js';
import { callerName, wordOf } from './model.js';

/** @typedef {import('./model.js').Edge} Edge */

/**
 * A switch in a line: closed lets pass, open does not, half open is in between. By hand it has a bar above.
 * @param {{ of: import('./model.js').Figures }} props
 */
export function Switch({ of }) {
  const lever = { closed: 'M5 9L15 9', 'half-open': 'M5 9L14 5.8', open: 'M5 9L12.5 2.5', none: 'M7 9L13 9' }[of.mode];
  return html`<svg class=${classes('switch', of.mode)} viewBox="0 0 20 13" width="20" height="13" aria-hidden="true">
    <path d="M0 9H3M17 9H20" /><circle cx="4" cy="9" r="1.4" /><circle cx="16" cy="9" r="1.4" /><path class="lever" d=${lever} />
    ${of.forced && html`<path d="M2 1H18" />`}
  </svg>`;
}

/** The state in a word, with its shape. @param {{ of: import('./model.js').Figures, tone: string }} props */
export function State({ of, tone }) {
  return html`<span class="breaker-state" data-tone=${tone}><${Switch} of=${of} /><span>${wordOf(of)}</span></span>`;
}

/** @param {{ edge: Edge, id: string, place: number, of: number, chosen: boolean, onSelect: (id: string) => void }} props */
function One({ edge, id, place, of, chosen, onSelect }) {
  const quiet = edge.mode === 'none';
  const used = edge.limit > 0 ? Math.min(1, edge.inFlight / edge.limit) : 0;
  return html`<div id=${id} role="option" aria-posinset=${place} aria-setsize=${of} aria-selected=${chosen} class=${classes('edge-cell', quiet && 'quiet-edge')} data-tone=${edge.tone} onClick=${() => onSelect(chosen ? '' : edge.id)}>
    <span class="edge-name"><b><bdi>${callerName(edge.caller)}</bdi></b><span class="arrow" aria-label="to"> → </span><b><bdi>${edge.callee}</bdi></b></span>
    <${State} of=${edge} tone=${edge.tone} />
    <span class="edge-figures">
      <span><i>Rate</i>${quiet ? '–' : edge.rate === null ? `${count(edge.calls)} calls` : rate(edge.rate)}</span>
      <span data-tone=${edge.share >= 0.05 ? 'bad' : edge.share >= 0.01 ? 'warn' : undefined}><i>Errors</i>${quiet ? '–' : percent(edge.share)}</span>
      <span><i>p50</i>${duration(edge.p50)}</span>
      <span><i>p99</i>${duration(edge.p99)}</span>
      <span data-tone=${edge.rejected > 0 ? 'warn' : undefined}><i><abbr title="Rejected">Rej.</abbr></i>${quiet ? '–' : count(edge.rejected)}</span>
      <span><i>In flight</i>${quiet ? '–' : html`${count(edge.inFlight)}<span class="of">/${count(edge.limit)}</span>`}</span>
    </span>
    <span class="fill" aria-hidden="true"><span style=${{ transform: `scaleX(${used})` }}></span></span>
  </div>`;
}

/** News of a second change few of many cells; the others are not drawn again. */
export const Cell = memo(One);
