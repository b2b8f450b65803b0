// Two traces side by side: what is in one alone, what took longer, what failed.
import { classes, html, useMemo, useRef } from '../html.js';
import { dateTime, duration, plural } from '../format.js';
import { colourOf } from '../colour.js';
import { change, navigate, params } from '../route.js';
import { compare, differs } from './compare.js';
import { useTrace } from './source.js';
import { useVisible } from './virtual.js';

/** @typedef {import('./model.js').Trace} Trace */

const ROW = 30;
const INDENT_MAX = 14;

/** @param {{ trace: Trace, id: string, other: string }} props */
export function Comparison({ trace, id, other }) {
  const { trace: second, failure } = useTrace(other);
  return html`<div class="screen">
    <header class="trace-head">
      <nav class="small" aria-label="Where you are"><a href="/console/traces">Traces</a> <span class="muted" aria-hidden="true">/</span> <a href=${`/console/traces/${id}`}><code>${id.slice(0, 8)}</code></a> <span class="muted" aria-hidden="true">/</span> compared</nav>
      <h1>Two traces</h1>
      <div class="sides">
        <${Side} name="A" trace=${trace} id=${id} />
        ${second ? html`<${Side} name="B" trace=${second} id=${other} beside=${trace} />` : html`<p class="card hint" role="status">${failure === 'missing' ? `Trace ${other.slice(0, 8)} is not kept.` : failure || 'Loading…'}</p>`}
      </div>
      <p class="ways">
        <button type="button" class="button" onClick=${() => navigate(`/console/traces/${other}?compare=${id}`)}>Swap</button>
        <button type="button" class="button" onClick=${() => change({ compare: '', differences: '' })}>Only A</button>
        <label class="check"><input type="checkbox" checked=${Boolean(params.value.get('differences'))} onChange=${() => change({ differences: params.peek().get('differences') ? '' : 1 }, { replace: true })} /> Differences only</label>
      </p>
    </header>
    ${second && html`<${Rows} a=${trace} b=${second} />`}
  </div>`;
}

/** @param {{ name: string, trace: Trace, id: string, beside?: Trace }} props */
function Side({ name, trace, id, beside }) {
  return html`<section class="card side" aria-label=${`Trace ${name}`}>
    <h2><span class="tag">${name}</span> <a href=${`/console/traces/${id}`}>${trace.size ? `${trace.service(0)} ${trace.operation(0)}` : id.slice(0, 8)}</a></h2>
    <p><b>${duration(trace.total / 1e6)}</b> ${beside && html`<${Delta} a=${beside.total} b=${trace.total} />`}
      <span class="muted small">${plural(trace.size, 'span')}${trace.errors ? `, ${plural(trace.errors, 'error')}` : ''} · ${dateTime(trace.startMs)} · <code>${id.slice(0, 8)}</code></span></p>
  </section>`;
}

/** @param {{ a: number, b: number }} props */
function Delta({ a, b }) {
  const gap = b - a;
  if (Math.abs(gap) < 1000) return html`<span class="delta muted">=</span>`;
  return html`<span class="delta" data-worse=${gap > 0}>${gap > 0 ? '+' : '−'}${duration(Math.abs(gap) / 1e6)}</span>`;
}

/** @param {{ a: Trace, b: Trace }} props */
function Rows({ a, b }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const all = useMemo(() => compare(a, b), [a, b]);
  const only = Boolean(params.value.get('differences'));
  const rows = useMemo(() => (only ? all.filter(differs) : all), [all, only]);
  const [first, last] = useVisible(frame, rows.length, ROW);
  const longest = Math.max(a.total, b.total, 1);
  return html`<section class="card waterfall comparison" aria-label="Spans of both traces">
    <div class="compare-row compare-head" aria-hidden="true"><span>Service and operation</span><span>A and B</span><span class="number">A</span><span class="number">B</span><span class="number">Change</span></div>
    ${rows.length === 0 && html`<p class="hint">No difference: the same spans, the same errors, about the same times.</p>`}
    <div class="rows" ref=${frame} role="list" tabindex="0" aria-label="Spans of both traces, matched by service and operation">
      <div class="spacer" role="presentation" style=${{ height: `${rows.length * ROW}px` }}>
        ${rows.slice(first, last).map((row, i) => html`<${Row} key=${first + i} row=${row} top=${(first + i) * ROW} longest=${longest} />`)}
      </div>
    </div>
  </section>`;
}

/** @param {{ row: import('./compare.js').Row, top: number, longest: number }} props */
function Row({ row, top, longest }) {
  const { a, b } = row;
  const share = (/** @type {import('./compare.js').Side | null} */ side) => ({ width: `${Math.min(100, ((side?.ns ?? 0) / longest) * 100).toFixed(2)}%` });
  return html`<div class=${classes('row compare-row', !a && 'only-b', !b && 'only-a')} role="listitem" style=${{ top: `${top}px` }}>
    <span class="what" style=${{ '--depth': Math.min(row.depth, INDENT_MAX) }}>
      <span class="swatch" aria-hidden="true" style=${{ background: colourOf(row.service) }}></span>
      <b>${row.service}</b> <span class="operation">${row.operation}</span>
      ${!a && html`<span class="tag">only in B</span>`}${!b && html`<span class="tag">only in A</span>`}
      ${((a?.errors ?? 0) > 0 || (b?.errors ?? 0) > 0) && html`<span class="tag bad">error${a?.errors && b?.errors ? '' : a?.errors ? ' in A' : ' in B'}</span>`}
    </span>
    <span class="pair" aria-hidden="true" style=${{ '--service': colourOf(row.service) }}><span style=${share(a)}></span><span style=${share(b)}></span></span>
    <span class="number">${a ? duration(a.ns / 1e6) : '–'}${a && a.count > 1 && html` <span class="muted">×${a.count}</span>`}</span>
    <span class="number">${b ? duration(b.ns / 1e6) : '–'}${b && b.count > 1 && html` <span class="muted">×${b.count}</span>`}</span>
    <span class="number">${a && b ? html`<${Delta} a=${a.ns} b=${b.ns} />` : ''}</span>
  </div>`;
}
