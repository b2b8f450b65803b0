// The last lines that an instance or a brick wrote, the newest below, as in a terminal.
import { html } from '../html.js';
import { address } from '../route.js';
import { time } from '../format.js';
import { usePolled } from '../poll.js';

const LINES = 12;
const EVERY_MS = 2_000;

/** @param {{ brick: string, version: string, slot: string }} props */
export function LastLines({ brick, version, slot }) {
  const asked = slot ? { instance: slot } : { brick, version };
  const told = usePolled(address('/api/telemetry/v1/logs', { ...asked, limit: LINES, since: '1h' }), EVERY_MS);
  const items = told.data ? [...(told.data.items ?? [])].reverse() : null;
  return html`<h3>Last lines <a class="small more-link" href=${address('/console/logs', asked)}>All its logs</a></h3>
    ${told.failure && html`<p class="muted small">No log lines: ${told.failure}. Asked again every two seconds.</p>`}
    ${items?.length === 0 && html`<p class="muted small">It wrote nothing in the last hour.</p>`}
    ${items && items.length > 0 && html`<ol class="last-lines" aria-label="Last lines">${items.map((/** @type {any} */ one, /** @type {number} */ i) => html`<${Line} key=${one.id ?? i} line=${one} />`)}</ol>`}`;
}

/** @param {{ line: any }} props */
function Line({ line }) {
  const at = time(Date.parse(line.ts)).slice(0, 8);
  return html`<li data-level=${line.level}>
    <time class="muted" dateTime=${line.ts}>${at}</time>
    <span class="last-level">${line.level}</span>
    <span class="last-msg"><bdi>${line.msg}</bdi>${line.trace_id && html` <a href=${`/console/traces/${line.trace_id}`} aria-label=${`Trace of the line of ${at}`}>trace</a>`}</span>
  </li>`;
}
