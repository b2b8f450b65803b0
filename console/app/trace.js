// One trace: what it was at the top, the waterfall with its logs below, the chosen span beside it.
import { classes, html, useEffect, useMemo, useState } from './html.js';
import { count, dateTime, duration, plural } from './format.js';
import { get } from './api.js';
import { colourOf } from './colour.js';
import { change, params } from './route.js';
import { rowsOf, traceOf } from './trace/model.js';
import { Waterfall } from './trace/waterfall.js';
import { Detail } from './trace/detail.js';
import { Logs } from './trace/logs.js';

/** @typedef {import('./trace/model.js').Trace} TraceModel */

/** Collapsed spans kept in the URL; an address has to stay one that can be sent. */
const COLLAPSED_MAX = 40;

/** @param {{ id: string }} props */
export function Trace({ id }) {
  const [trace, setTrace] = useState(/** @type {TraceModel | null} */ (null));
  const [failure, setFailure] = useState('');
  const [round, setRound] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    get(`/api/telemetry/v1/traces/${id}`, stop.signal).then(
      (raw) => {
        setTrace(traceOf(raw));
        setFailure('');
      },
      (error) => {
        if (!stop.signal.aborted) setFailure(error.status === 404 ? 'missing' : error.message);
      },
    );
    return () => stop.abort();
  }, [id, round]);
  const reload = () => setRound(round + 1);
  if (failure && !trace) return html`<${Missing} id=${id} failure=${failure} onAgain=${reload} />`;
  if (!trace) return html`<p class="hint" role="status">Loading trace…</p>`;
  return html`<div class="screen">
    <${Summary} trace=${trace} id=${id} onReload=${reload} />
    ${failure && html`<p class="card notice" role="alert">${failure}</p>`}
    <${Views} trace=${trace} />
  </div>`;
}

/** @param {{ id: string, failure: string, onAgain: () => void }} props */
function Missing({ id, failure, onAgain }) {
  return html`<section class="empty">
    <h1>${failure === 'missing' ? 'Trace not found' : 'No answer'}</h1>
    <p><code>${id}</code></p>
    <p>${failure === 'missing'
      ? 'Spans arrive a second or two after the request. If it was longer ago, the store was full and let the oldest traces go.'
      : failure}</p>
    <p><button type="button" class="button" onClick=${onAgain}>Look again</button> <a class="button" href="/console/traces">Search</a></p>
  </section>`;
}

/** @param {{ trace: TraceModel, id: string, onReload: () => void }} props */
function Summary({ trace, id, onReload }) {
  const root = trace.spans[0];
  return html`<header class="trace-head">
    <nav class="small" aria-label="Where you are"><a href="/console/traces">Traces</a> <span class="muted" aria-hidden="true">/</span> <code>${id.slice(0, 8)}</code></nav>
    <h1><span class="muted">${root?.service ?? ''}</span> ${root?.operation ?? 'Only log lines so far'}</h1>
    <p class="trace-id"><code>${id}</code><${Copy} text=${id} /><button type="button" class="button" onClick=${onReload}>Reload</button></p>
    <dl class="figures-list card">
      <div><dt>Duration</dt><dd>${duration(trace.total / 1e6)}</dd></div>
      <div><dt>Spans</dt><dd>${count(trace.spans.length)}</dd></div>
      <div><dt>Services</dt><dd>${count(trace.services.length)}</dd></div>
      <div data-bad=${trace.errors > 0 || undefined}><dt>Errors</dt><dd>${count(trace.errors)}</dd></div>
      <div><dt>Logs</dt><dd>${count(trace.logs.length)}</dd></div>
      <div><dt>Started</dt><dd>${dateTime(trace.startMs)}</dd></div>
    </dl>
    <p class="chips" aria-label="Services">
      ${trace.services.map(
        (one) => html`<span class="service" key=${one.name} data-error=${one.errors > 0 || undefined}>
          <span class="swatch" aria-hidden="true" style=${{ background: colourOf(one.name) }}></span>${one.name} <span class="muted">${count(one.spans)}</span>
          ${one.errors > 0 && html`<span class="sr">, ${plural(one.errors, 'error')}</span>`}
        </span>`,
      )}
    </p>
    ${trace.orphans > 0 && html`<p class="muted small">${plural(trace.orphans, 'span names', 'spans name')} a parent that is not here: not arrived yet, or no longer kept.</p>`}
  </header>`;
}

/** @param {{ text: string }} props */
function Copy({ text }) {
  const [told, setTold] = useState('');
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setTold('Copied');
    } catch {
      setTold('Not allowed by the browser');
    }
  };
  return html`<button type="button" class="button" onClick=${copy}>Copy id</button><span class="small muted" role="status">${told}</span>`;
}

/** @param {{ trace: TraceModel }} props */
function Views({ trace }) {
  const asked = params.value;
  const view = asked.get('view') === 'logs' ? 'logs' : 'timeline';
  const withLogs = asked.get('logs') !== 'off';
  const folded = asked.get('fold') ?? '';
  const collapsed = useMemo(() => {
    const positions = folded.split(',').map((id) => trace.index.get(id));
    return new Set(positions.filter((position) => position !== undefined));
  }, [trace, folded]);
  const rows = useMemo(() => rowsOf(trace, collapsed, withLogs), [trace, collapsed, withLogs]);
  const selected = trace.index.get(asked.get('span') ?? '') ?? -1;
  const detailed = selected >= 0 && asked.get('detail') !== 'off';
  /** @param {Set<number>} next */
  const fold = (next) => {
    const ids = [...next].slice(-COLLAPSED_MAX).map((position) => trace.spans[position].span_id);
    change({ fold: ids.join(',') }, { replace: true });
  };
  /** @param {number} span @param {boolean} [open] */
  const select = (span, open = true) => {
    change({ span: span < 0 ? '' : trace.spans[span].span_id, detail: open ? '' : 'off' }, { replace: true });
  };
  return html`<div class="view-head">
      <div class="segments" role="group" aria-label="View">
        <button type="button" aria-pressed=${view === 'timeline'} onClick=${() => change({ view: '' })}>Timeline</button>
        <button type="button" aria-pressed=${view === 'logs'} onClick=${() => change({ view: 'logs' })}>Logs <span class="muted">${count(trace.logs.length)}</span></button>
      </div>
      ${view === 'timeline' &&
      html`<label class="check"><input type="checkbox" checked=${withLogs} onChange=${() => change({ logs: withLogs ? 'off' : '' }, { replace: true })} /> Logs inline</label>
        <p class="muted small keys">↑ ↓ choose · ← → fold · Enter details · Esc close</p>`}
    </div>
    <div class=${classes('stage', detailed && 'with-panel')}>
      ${view === 'logs'
        ? html`<${Logs} trace=${trace} selected=${selected} onSelect=${select} />`
        : html`<${Waterfall} trace=${trace} rows=${rows} collapsed=${collapsed} selected=${selected} onFold=${fold} onSelect=${select} />`}
      ${detailed && html`<${Detail} trace=${trace} at=${selected} onClose=${() => select(selected, false)} onSelect=${select} />`}
    </div>`;
}
