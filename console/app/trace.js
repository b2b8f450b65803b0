// One trace: what it was at the top, the waterfall with its logs below, the chosen span beside it.
import { classes, html, useMemo, useState } from './html.js';
import { copyText } from './clipboard.js';
import { count, dateTime, duration, plural } from './format.js';
import { colourOf } from './colour.js';
import { change, params } from './route.js';
import { logsAddress } from './logs/query.js';
import { TRACE_ID } from './traces/query.js';
import { Comparison } from './trace/comparison.js';
import { rowsOf } from './trace/model.js';
import { useTrace } from './trace/source.js';
import { Shares } from './trace/shares.js';
import { Waterfall } from './trace/waterfall.js';
import { Detail } from './trace/detail.js';
import { Logs } from './trace/logs.js';

/** @typedef {import('./trace/model.js').Trace} TraceModel */

/** Collapsed spans kept in the URL; an address has to stay one that can be sent. */
const COLLAPSED_MAX = 40;

/** @param {{ id: string }} props */
export function Trace({ id }) {
  const source = useTrace(id);
  const { trace, failure, growing, reload } = source;
  const other = (params.value.get('compare') ?? '').toLowerCase();
  if (failure && !trace) return html`<${Missing} id=${id} failure=${failure} looking=${growing} onAgain=${reload} />`;
  if (!trace) return html`<p class="hint" role="status">Loading trace…</p>`;
  if (TRACE_ID.test(other)) return html`<${Comparison} key=${other} trace=${trace} id=${id} other=${other} />`;
  return html`<div class="screen">
    <${Summary} trace=${trace} id=${id} growing=${growing} partly=${source.partly} onReload=${reload} />
    ${failure && html`<p class="card notice" role="alert">${failure}</p>`}
    <${Views} trace=${trace} read=${source.span} />
  </div>`;
}

/** @param {{ id: string, failure: string, looking: boolean, onAgain: () => void }} props */
function Missing({ id, failure, looking, onAgain }) {
  return html`<section class="empty">
    <h1>${failure === 'missing' ? 'Trace not found' : 'No answer'}</h1>
    <p><code>${id}</code></p>
    <p>${failure === 'missing'
      ? 'Spans arrive a second or two after the request. If it was longer ago, the store was full and let the oldest traces go.'
      : failure}</p>
    <p class="muted" role="status">${looking ? 'Looking again every two seconds…' : ''}</p>
    <p><button type="button" class="button" onClick=${onAgain}>Look again</button> <a class="button" href="/console/traces">Search</a></p>
  </section>`;
}

/** @param {{ trace: TraceModel, id: string, growing: boolean, partly: boolean, onReload: () => void }} props */
function Summary({ trace, id, growing, partly, onReload }) {
  const rooted = trace.size > 0;
  return html`<header class="trace-head">
    <nav class="small" aria-label="Where you are"><a href="/console/traces">Traces</a> <span class="muted" aria-hidden="true">/</span> <code>${id.slice(0, 8)}</code></nav>
    <h1><span class="muted">${rooted ? trace.service(0) : ''}</span> ${rooted ? trace.operation(0) : 'Only log lines so far'}
      ${trace.synthetic && html` <span class="tag synthetic" title="Made by a test suite">synthetic: ${trace.synthetic}</span>`}</h1>
    <div class="trace-id"><code>${id}</code><${Copy} text=${id} /><button type="button" class="button" onClick=${onReload}>Reload</button>
      <a class="button" href=${logsAddress({ trace: id })}>Logs</a><${CompareWith} />
      <span class="muted small" role="status">${partly ? 'Reading the rest of a long trace…' : growing ? 'Young: new spans and lines show as they come' : ''}</span></div>
    <dl class="figures-list card">
      <div><dt>Duration</dt><dd>${duration(trace.total / 1e6)}</dd></div>
      <div><dt>Spans</dt><dd>${count(trace.size)}</dd></div>
      <div><dt>Services</dt><dd>${count(trace.services.length)}</dd></div>
      <div data-bad=${trace.errors > 0 || undefined}><dt>Errors</dt><dd>${count(trace.errors)}</dd></div>
      <div><dt>Logs</dt><dd>${count(trace.logs.length)}</dd></div>
      <div><dt>Started</dt><dd>${dateTime(trace.startMs)}</dd></div>
    </dl>
    <${Shares} trace=${trace} />
    ${trace.orphans > 0 && html`<p class="muted small">${plural(trace.orphans, 'span names', 'spans name')} a parent that is not here: not arrived yet, or no longer kept.</p>`}
  </header>`;
}

/** @param {{ text: string }} props */
function Copy({ text }) {
  const [told, setTold] = useState('');
  const copy = async () => setTold(await copyText(text));
  return html`<button type="button" class="button" onClick=${copy}>Copy id</button><span class="small muted" role="status">${told}</span>`;
}

/** Another trace beside this one, by its id. */
function CompareWith() {
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    const asked = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget)).get('compare');
    change({ compare: String(asked).trim().toLowerCase() });
  };
  return html`<form class="compare-with" onSubmit=${submit}>
    <label><span class="sr">Trace id to compare with</span><input name="compare" required pattern="\\s*[0-9a-fA-F]{32}\\s*" title="32 hex digits" placeholder="Trace id to compare with" autocomplete="off" spellcheck=${false} /></label>
    <button type="submit" class="button">Compare</button>
  </form>`;
}

/** @param {{ trace: TraceModel, read: import('./trace/source.js').Source['span'] }} props */
function Views({ trace, read }) {
  const asked = params.value;
  const view = asked.get('view') === 'logs' ? 'logs' : 'timeline';
  const withPath = asked.get('path') !== 'off';
  const withLogs = asked.get('logs') !== 'off';
  const folded = asked.get('fold') ?? '';
  const collapsed = useMemo(() => {
    const positions = folded ? folded.split(',').map((id) => trace.find(id)) : [];
    return new Set(positions.filter((position) => position >= 0));
  }, [trace, folded]);
  const rows = useMemo(() => rowsOf(trace, collapsed, withLogs), [trace, collapsed, withLogs]);
  const named = asked.get('span') ?? '';
  const selected = named ? trace.find(named) : -1;
  const detailed = selected >= 0 && asked.get('detail') !== 'off';
  /** @param {Set<number>} next */
  const fold = (next) => {
    const ids = [...next].slice(-COLLAPSED_MAX).map((position) => trace.idOf(position));
    change({ fold: ids.join(',') }, { replace: true });
  };
  /** @param {number} span @param {boolean} [open] */
  const select = (span, open = true) => {
    change({ span: span < 0 ? '' : trace.idOf(span), detail: open ? '' : 'off' }, { replace: true });
  };
  return html`<div class="view-head">
      <div class="segments" role="group" aria-label="View">
        <button type="button" aria-pressed=${view === 'timeline'} onClick=${() => change({ view: '' })}>Timeline</button>
        <button type="button" aria-pressed=${view === 'logs'} onClick=${() => change({ view: 'logs' })}>Logs <span class="muted">${count(trace.logs.length)}</span></button>
      </div>
      ${view === 'timeline' &&
      html`<label class="check"><input type="checkbox" checked=${withLogs} onChange=${() => change({ logs: withLogs ? 'off' : '' }, { replace: true })} /> Logs inline</label>
        <label class="check"><input type="checkbox" checked=${withPath} onChange=${() => change({ path: withPath ? 'off' : '' }, { replace: true })} /> Critical path</label>
        <p class="muted small keys">↑ ↓ or j k choose · ← → fold · Enter details · Esc close</p>`}
    </div>
    <div class=${classes('stage', detailed && 'with-panel')}>
      ${view === 'logs'
        ? html`<${Logs} trace=${trace} selected=${selected} onSelect=${select} />`
        : html`<${Waterfall} trace=${trace} rows=${rows} collapsed=${collapsed} selected=${selected} withPath=${withPath} onFold=${fold} onSelect=${select} />`}
      ${detailed && html`<${Detail} trace=${trace} at=${selected} read=${read} onClose=${() => select(selected, false)} onSelect=${select} />`}
    </div>`;
}
