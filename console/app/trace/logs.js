// All log lines of the trace in time order, from every service that wrote one.
import { classes, html, useRef } from '../html.js';
import { time } from '../format.js';
import { colourOf } from '../colour.js';
import { logsAddress } from '../logs/query.js';
import { useVisible } from './virtual.js';

/** @typedef {import('./model.js').Log} Log */

const ROW = 26;

/** @param {{ trace: import('./model.js').Trace, selected: number, onSelect: (span: number) => void }} props */
export function Logs({ trace, selected, onSelect }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const [first, last] = useVisible(frame, trace.logs.length, ROW);
  if (!trace.logs.length) {
    return html`<section class="card"><p class="hint">No log line names this trace. JSON lines carry <code>trace_id</code>; plain lines are found where they say <code>trace_id=…</code>.</p></section>`;
  }
  const shown = trace.logs.slice(first, last);
  return html`<section class="card waterfall" aria-label="Logs">
    <div class="rows" ref=${frame} tabindex="0" role="list" aria-label="Log lines in time order">
      <div class="spacer" role="presentation" style=${{ height: `${trace.logs.length * ROW}px` }}>
        ${shown.map((log, i) => {
          const span = trace.logSpan[first + i];
          return html`<div
            class=${classes('row', 'line-row', span >= 0 && span === selected && 'chosen')}
            key=${first + i}
            role="listitem"
            style=${{ top: `${(first + i) * ROW}px` }}
            onClick=${() => span >= 0 && onSelect(span)}
          ><${LogLine} log=${log} /></div>`;
        })}
      </div>
    </div>
  </section>`;
}

/** @param {{ log: Log }} props */
export function LogLine({ log }) {
  const fields = Object.entries(log.fields ?? {}).filter(([key]) => key !== 'target');
  const around = log.id ? logsAddress({ context: log.id, at: log.id }) : logsAddress({ trace: log.trace_id });
  return html`<span class="log-line" data-level=${log.level}>
    <a class="muted at" href=${around} title="The lines around it, in Logs">${time(Date.parse(log.ts))}</a>
    <span class="level">${log.level}</span>
    <span class="who"><span class="swatch" aria-hidden="true" style=${{ background: colourOf(log.brick) }}></span>${log.brick}</span>
    <span class="msg">${log.msg}${fields.map(([key, value]) => html` <span class="muted" key=${key}>${key}=${typeof value === 'string' ? value : JSON.stringify(value)}</span>`)}</span>
  </span>`;
}
