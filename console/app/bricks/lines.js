// The last lines that an instance or a brick wrote, the newest below, as in a terminal.
import { html, useEffect, useState } from '../html.js';
import { get } from '../api.js';
import { address } from '../route.js';
import { time } from '../format.js';

const LINES = 12;
const EVERY_MS = 2_000;

/** @param {{ brick: string, version: string, slot: string }} props */
export function LastLines({ brick, version, slot }) {
  const [told, setTold] = useState(/** @type {{ items: any[] | null, failure: string }} */ ({ items: null, failure: '' }));
  const asked = slot ? { instance: slot } : { brick, version };
  useEffect(() => {
    const stop = new AbortController();
    const url = address('/api/telemetry/v1/logs', { ...asked, limit: LINES, since: '1h' });
    const look = () => {
      if (document.visibilityState !== 'visible') return;
      get(url, stop.signal).then(
        (data) => setTold({ items: [...(data.items ?? [])].reverse(), failure: '' }),
        (error) => stop.signal.aborted || setTold((before) => ({ items: before.items, failure: error.message })),
      );
    };
    look();
    const timer = setInterval(look, EVERY_MS);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [brick, version, slot]);
  return html`<h3>Last lines <a class="small more-link" href=${address('/console/logs', asked)}>All its logs</a></h3>
    ${told.failure && html`<p class="muted small">No log lines: ${told.failure}. Asked again every two seconds.</p>`}
    ${told.items?.length === 0 && html`<p class="muted small">It wrote nothing in the last hour.</p>`}
    ${told.items && told.items.length > 0 && html`<ol class="last-lines" aria-label="Last lines">${told.items.map((one, i) => html`<${Line} key=${one.id ?? i} line=${one} />`)}</ol>`}`;
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
