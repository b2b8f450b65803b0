// Where the time of the trace went: its critical path, divided by service. The shares sum to the trace's time, which
// durations of spans that overlap never do.
import { html } from '../html.js';
import { count, duration, percent, plural } from '../format.js';
import { colourOf } from '../colour.js';

/** @param {{ trace: import('./model.js').Trace }} props */
export function Shares({ trace }) {
  const whole = trace.services.reduce((sum, one) => sum + one.critical, 0) || 1;
  const sorted = [...trace.services].sort((a, b) => b.critical - a.critical || b.spans - a.spans);
  if (!sorted.length) return null;
  return html`<section class="shares card" aria-labelledby="shares-title">
    <h2 id="shares-title">Where the time went <span class="muted small">critical path by service</span></h2>
    <div class="share-bar" aria-hidden="true">
      ${sorted.filter((one) => one.critical > 0).map((one) => html`<span key=${one.name} title=${`${one.name} ${percent(one.critical / whole)}`} style=${{ flexGrow: one.critical / whole, background: colourOf(one.name) }}></span>`)}
    </div>
    <ul class="chips">
      ${sorted.map(
        (one) => html`<li class="service" key=${one.name} data-error=${one.errors > 0 || undefined}>
          <span class="swatch" aria-hidden="true" style=${{ background: colourOf(one.name) }}></span>${one.name}
          <b>${one.critical > 0 ? percent(one.critical / whole) : '–'}</b>
          <span class="muted">${one.critical > 0 ? `${duration(one.critical / 1e6)} · ` : ''}${count(one.spans)}<span class="sr"> spans</span></span>
          ${one.errors > 0 && html`<span class="sr">, ${plural(one.errors, 'error')}</span>`}
        </li>`,
      )}
    </ul>
  </section>`;
}
