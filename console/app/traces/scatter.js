// The found traces over time: when, how long, failed or not. A picture beside the list, which tells the same.
import { html } from '../html.js';
import { duration, time } from '../format.js';
import { navigate } from '../route.js';

/** @typedef {import('../traces.js').Summary} Summary */

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [1000, 120, 0, 18];

/** @param {{ items: Summary[] }} props */
export function Scatter({ items }) {
  if (items.length < 2) return null;
  const starts = items.map((one) => Date.parse(one.start));
  const [from, to] = [Math.min(...starts), Math.max(...starts)];
  const logs = items.map((one) => Math.log10(Math.max(one.duration_ms, 0.01)));
  const [low, high] = [Math.floor(Math.min(...logs)), Math.ceil(Math.max(...logs) + 0.01)];
  const x = (/** @type {number} */ at) => LEFT + 12 + ((at - from) / (to - from || 1)) * (WIDTH - LEFT - 24);
  const y = (/** @type {number} */ log) => 8 + (1 - (log - low) / (high - low || 1)) * (HEIGHT - BOTTOM - 14);
  const decades = Array.from({ length: high - low + 1 }, (_, i) => low + i);
  return html`<figure class="card scatter" aria-hidden="true">
    <div class="scatter-scale">${[...decades].reverse().map((decade) => html`<span key=${decade}>${duration(10 ** decade)}</span>`)}</div>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT - BOTTOM}`} preserveAspectRatio="none">
      ${decades.map((decade) => html`<line key=${decade} x1="0" x2=${WIDTH} y1=${y(decade)} y2=${y(decade)} />`)}
      ${items.map(
        (one, i) => html`<path
          key=${one.trace_id}
          class=${one.error ? 'bad' : ''}
          d=${`M${x(starts[i]).toFixed(1)} ${y(logs[i]).toFixed(1)}h0`}
          onClick=${() => navigate(`/console/traces/${one.trace_id}`)}
        />`,
      )}
    </svg>
    <div class="scatter-time"><span>${time(from).slice(0, 8)}</span><span>${time(to).slice(0, 8)}</span></div>
  </figure>`;
}
