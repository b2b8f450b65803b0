// Everything about one span.
import { html, useEffect, useState } from '../html.js';
import { dateTime, duration } from '../format.js';
import { colourOf } from '../colour.js';
import { address } from '../route.js';
import { logsAddress } from '../logs/query.js';
import { LogLine } from './logs.js';

/** @typedef {import('./model.js').Trace} Trace */

/** Longest list shown at once. */
const LINES_MAX = 200;

/** @param {unknown} value */
function text(value) {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** @param {{ trace: Trace, at: number, read: (at: number) => Promise<import('./model.js').Span | null>, onClose: () => void, onSelect: (span: number) => void }} props */
export function Detail({ trace, at, read, onClose, onSelect }) {
  const [span, setSpan] = useState(/** @type {import('./model.js').Span | null} */ (null));
  useEffect(() => {
    let current = true;
    void read(at).then((found) => current && setSpan(found));
    return () => {
      current = false;
    };
  }, [trace, at]);
  if (!span) return null;
  const parent = trace.parent[at];
  const onPath = trace.critical.span.reduce((sum, one, i) => (one === at ? sum + trace.critical.to[i] - trace.critical.from[i] : sum), 0);
  const logs = trace.logsOf.get(at) ?? [];
  const attributes = Object.entries(span.attributes ?? {}).sort(([a], [b]) => a.localeCompare(b));
  return html`<aside class="card panel detail" aria-label="Span">
    <header>
      <h2><span class="swatch" aria-hidden="true" style=${{ background: colourOf(span.service) }}></span> ${span.service}</h2>
      <button type="button" class="quiet" onClick=${onClose} aria-label="Close">✕</button>
    </header>
    <p class="operation-full">${span.operation}</p>
    ${span.status_message && html`<p class="status-message">${span.status_message}</p>`}
    <dl class="figures-list">
      <div><dt>Duration</dt><dd>${duration(trace.duration[at] / 1e6)}</dd></div>
      <div><dt>Begins at</dt><dd>${duration(trace.start[at] / 1e6)}</dd></div>
      ${onPath > 0 && html`<div><dt>Critical</dt><dd>${duration(onPath / 1e6)}</dd></div>`}
      <div data-bad=${trace.failed[at] === 1 || undefined}><dt>Status</dt><dd>${trace.failed[at] ? 'error' : 'ok'}</dd></div>
    </dl>
    <${Facts} title="Where" rows=${[
      ['kind', span.kind],
      ['version', span.version],
      ['instance', span.instance],
      ['zone', span.zone],
      ['started', dateTime(trace.startMs + trace.start[at] / 1e6)],
      ['span id', span.span_id],
    ].filter(([, value]) => value)} />
    ${attributes.length > 0 && html`<${Facts} title="Attributes" rows=${attributes.map(([key, value]) => [key, text(value)])} search=${span.service} />`}
    ${span.events?.length > 0 && html`<h3>Events</h3>${span.events.slice(0, LINES_MAX).map((event, i) => html`<${EventFacts} key=${i} event=${event} base=${trace.startMs} />`)}`}
    ${logs.length > 0 && html`<h3>Logs</h3><ol class="log-lines">${logs.slice(0, LINES_MAX).map((log) => html`<li key=${log}><${LogLine} log=${trace.logs[log]} /></li>`)}</ol>`}
    <p class="ways">
      ${parent >= 0 && html`<button type="button" class="button" onClick=${() => onSelect(parent)}>Parent: ${trace.service(parent)} ${trace.operation(parent)}</button>`}
      <a class="button" href=${logsAddress({ trace: trace.id, brick: span.service })}>Logs of ${span.service} in this trace</a>
    </p>
  </aside>`;
}

/** @param {{ title: string, rows: string[][], search?: string }} props */
function Facts({ title, rows, search }) {
  return html`<h3>${title}</h3>
    <dl class="facts">
      ${rows.map(
        ([key, value]) => html`<div key=${key}>
          <dt>${key}</dt>
          <dd>${search ? html`<a href=${address('/console/traces', { service: search, attr: `${key}=${value}` })} title="Traces with this value">${value}</a>` : value}</dd>
        </div>`,
      )}
    </dl>`;
}

/** @param {{ event: import('./model.js').Event, base: number }} props */
function EventFacts({ event, base }) {
  const at = Number(BigInt(event.time_unix_ns ?? 0) / 1000n) / 1000 - base;
  const rows = Object.entries(event.attributes ?? {}).map(([key, value]) => [key, text(value)]);
  return html`<p class="event"><b>${event.name}</b> <span class="muted small">at ${duration(at)}</span></p>
    ${rows.length > 0 && html`<dl class="facts">${rows.map(([key, value]) => html`<div key=${key}><dt>${key}</dt><dd>${value}</dd></div>`)}</dl>`}`;
}
