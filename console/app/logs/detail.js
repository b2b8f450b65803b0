// Everything about one line, and the ways from it.
import { html } from '../html.js';
import { dateTime } from '../format.js';
import { colourOf } from '../colour.js';
import { address } from '../route.js';
import { logsAddress, plain } from './query.js';
import { highlight } from './rows.js';

/**
 * @param {{ line: import('./ring.js').Line, sought: string, told: string, onClose: () => void, onContext: (() => void) | null, onCopy: () => void }} props
 */
export function Detail({ line, sought, told, onClose, onContext, onCopy }) {
  const fields = Object.entries(line.fields).sort(([a], [b]) => a.localeCompare(b));
  const where = [['instance', line.instance], ['version', line.version], ['time', dateTime(line.ms)], ['trace', line.trace_id], ['span', line.span_id]].filter(([, value]) => value);
  return html`<aside class="card panel detail log-detail" aria-label="Log line" data-level=${line.level}>
    <header>
      <h2><span class="swatch" aria-hidden="true" style=${{ background: colourOf(line.brick) }}></span> ${line.brick} <span class="level">${line.level}</span></h2>
      <button type="button" class="quiet" onClick=${onClose} aria-label="Close">✕</button>
    </header>
    <pre class="message">${highlight(line.msg, sought)}</pre>
    <p class="ways">
      ${line.trace_id && html`<a class="button primary" href=${traceAddress(line)}>Trace <kbd>t</kbd></a>`}
      ${onContext && html`<button type="button" class="button" onClick=${onContext}>Context <kbd>c</kbd></button>`}
      <button type="button" class="button" onClick=${onCopy}>Copy <kbd>y</kbd></button>
      <span class="small muted" role="status">${told}</span>
    </p>
    ${fields.length > 0 && html`<h3>Fields</h3>
      <dl class="facts">${fields.map(([key, value]) => html`<div key=${key}><dt>${key}</dt>
        <dd><a href=${logsAddress({ brick: line.brick, q: plain(value) })} title="Lines with this value">${highlight(plain(value), sought)}</a></dd></div>`)}</dl>`}
    <h3>Where</h3>
    <dl class="facts">${where.map(([key, value]) => html`<div key=${key}><dt>${key}</dt><dd>${value}</dd></div>`)}</dl>
    <p class="ways">
      <a class="button" href=${logsAddress({ instance: line.instance })}>Lines of ${line.instance}</a>
      <a class="button" href=${address('/console/traces', { service: line.brick })}>Traces of ${line.brick}</a>
    </p>
  </aside>`;
}

/** @param {import('./ring.js').Line} line */
export function traceAddress(line) {
  return address(`/console/traces/${line.trace_id}`, { span: line.span_id });
}
