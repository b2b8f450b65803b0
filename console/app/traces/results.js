// The traces that were found, each with how long it took beside the longest of the list.
import { html } from '../html.js';
import { ago, dateTime, duration, plural } from '../format.js';
import { colourOf } from '../colour.js';
import { address, change, params } from '../route.js';

/** @typedef {import('../traces.js').Summary} Summary */

/** Chips per trace; the rest is told as a number. */
const CHIPS_MAX = 8;

/** @param {{ items: Summary[] }} props */
export function Results({ items }) {
  const longest = items.reduce((most, one) => Math.max(most, one.duration_ms), 0) || 1;
  return html`<ul class="results">
    ${items.map((one) => html`<${Result} key=${one.trace_id} one=${one} longest=${longest} />`)}
  </ul>`;
}

/** @param {{ one: Summary, longest: number }} props */
function Result({ one, longest }) {
  const start = Date.parse(one.start);
  const services = one.services ?? [];
  const share = Math.max(0.4, (one.duration_ms / longest) * 100);
  return html`<li data-error=${one.error || undefined}>
    <a class="result" href=${`/console/traces/${one.trace_id}`}>
      <span class="result-head">
        <span class="operation"><b>${one.root_service}</b> ${one.root_operation}</span>
        ${one.error && html`<span class="tag bad">error</span>`}
        ${one.synthetic && html`<span class="tag synthetic" title="Made by a test suite">synthetic: ${one.synthetic}</span>`}
        <span class="took">${duration(one.duration_ms)}</span>
      </span>
      <span class="bar" aria-hidden="true"><span style=${{ width: `${share.toFixed(2)}%` }}></span></span>
      <span class="result-foot">
        <span class="chips">
          ${services.slice(0, CHIPS_MAX).map(
            (service) => html`<span class="service" key=${service.name} data-error=${service.errors > 0 || undefined}>
              <span class="swatch" aria-hidden="true" style=${{ background: colourOf(service.name) }}></span>${service.name}
              <span class="muted">${service.spans}</span>${service.errors > 0 && html`<span class="sr">, ${plural(service.errors, 'error')}</span>`}
            </span>`,
          )}
          ${services.length > CHIPS_MAX && html`<span class="muted">+${services.length - CHIPS_MAX}</span>`}
        </span>
        <span class="muted small when"><time dateTime=${one.start} title=${dateTime(start)}>${ago(start)}</time> · ${plural(one.spans, 'span')} · <code>${one.trace_id.slice(0, 8)}</code></span>
      </span>
    </a>
    <${Pick} id=${one.trace_id} />
  </li>`;
}

/** Chooses a trace to compare; the second one leads to both. @param {{ id: string }} props */
function Pick({ id }) {
  const first = params.value.get('a') ?? '';
  if (first && first !== id) return html`<a class="pick" href=${address(`/console/traces/${first}`, { compare: id })}>Compare<span class="sr"> ${id.slice(0, 8)} with ${first.slice(0, 8)}</span></a>`;
  return html`<button type="button" class="pick" aria-pressed=${first === id} onClick=${() => change({ a: first === id ? '' : id }, { replace: true })}>
    ${first === id ? 'Picked' : 'Compare'}<span class="sr"> ${id.slice(0, 8)}</span>
  </button>`;
}

/** The trace that waits for another one. */
export function Picked() {
  const first = params.value.get('a');
  if (!first) return null;
  return html`<p class="card picked" role="status"><code>${first.slice(0, 8)}</code> is picked. Choose the trace to compare it with.
    <button type="button" class="button" onClick=${() => change({ a: '' }, { replace: true })}>Cancel</button></p>`;
}
