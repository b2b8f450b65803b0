// The breakers: every edge from a caller to a callee, live; what is behind one; and holding it by hand.
import { classes, html, useMemo, useRef } from './html.js';
import { plural } from './format.js';
import { useKeys } from './keys.js';
import { connection, useLive } from './live.js';
import { change, params } from './route.js';
import { HoldDialog } from './breakers/dialog.js';
import { Grid } from './breakers/grid.js';
import { FILTERS, edgesOf, shownOf, steady } from './breakers/model.js';
import { Panel } from './breakers/panel.js';

/** @typedef {import('./breakers/model.js').Edge} Edge */

const ORDERS = [['', 'Worst first'], ['name', 'Name'], ['rate', 'Rate'], ['errors', 'Errors'], ['p99', 'p99']];

export function Breakers() {
  const asked = params.value;
  const told = useLive({ topic: 'edges' });
  const system = useLive({ topic: 'system' });
  const [text, state, sort, selected] = ['q', 'state', 'sort', 'select'].map((name) => asked.get(name) ?? '');
  const before = useRef(/** @type {Edge[]} */ ([]));
  const edges = useMemo(() => (before.current = told.data ? steady(before.current, edgesOf(told.data, system.data)) : []), [told.data, system.data]);
  const shown = useMemo(() => shownOf(edges, { text, state, sort }), [edges, text, state, sort]);
  const edge = edges.find((one) => one.id === selected) ?? null;
  useKeys('Breakers', KEYS);
  const stale = connection.value === 'reconnecting' || (told.error !== null && told.data !== null);
  return html`<div class=${classes('screen', 'breakers', stale && 'stale')}>
    <header class="screen-head"><h1>Breakers</h1><p class="muted" role="status">${told.data ? summary(edges) : ''}</p></header>
    ${told.error && html`<p class="card notice" role="alert">${told.error.detail}.${told.data ? ' This is what was last known.' : ''}</p>`}
    <${Filter} edges=${edges} text=${text} state=${state} sort=${sort} />
    <div class=${classes('stage', edge && 'with-panel')}>
      <section aria-label="Edges">
        ${told.data ? html`<${Grid} shown=${shown} selected=${selected} onSelect=${select} />` : !told.error && html`<div class="card bricks-wait" role="status" aria-label="Loading">${Array.from({ length: 6 }, (_, i) => html`<span key=${i}></span>`)}</div>`}
        ${told.data && !shown.length && html`<${Nothing} narrowed=${Boolean(text || state)} />`}
      </section>
      ${edge && html`<${Panel} key=${edge.id} edge=${edge} onClose=${() => select('')} />`}
    </div>
    ${edge && asked.get('do') && html`<${HoldDialog} key=${`${asked.get('do')} ${edge.id}`} kind=${asked.get('do')} edge=${edge} onClose=${() => change({ do: '' }, { replace: true })} />`}
  </div>`;
}

/** @param {Edge[]} edges */
function summary(edges) {
  const open = edges.filter((edge) => edge.mode === 'open').length;
  const half = edges.filter((edge) => edge.mode === 'half-open').length;
  return `${plural(edges.length, 'edge')}, ${open} open${half ? `, ${half} half open` : ''}`;
}

/** @param {string} id */
function select(id) {
  change({ select: id, do: '' }, { replace: true });
}

/** @param {string} kind */
function act(kind) {
  return () => {
    if (params.peek().get('select')) change({ do: kind }, { replace: true });
  };
}

/** @type {import('./keys.js').Binding[]} */
const KEYS = [
  { keys: 'o', text: 'Hold the chosen breaker open', act: act('open') },
  { keys: 'c', text: 'Hold the chosen breaker closed', act: act('close') },
  { keys: 'a', text: 'Let the chosen breaker decide by itself', act: act('auto') },
];

/** @param {{ edges: Edge[], text: string, state: string, sort: string }} props */
function Filter({ edges, text, state, sort }) {
  const counts = FILTERS.map((one) => ({ ...one, count: edges.filter(one.holds).length }));
  const value = (/** @type {Event} */ event) => /** @type {HTMLInputElement | HTMLSelectElement} */ (event.currentTarget).value;
  return html`<div class="brick-filter" role="search" aria-label="Edges">
    <label class="finder">
      <span class="sr">Filter by caller, callee or state</span>
      <svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true" class="mark"><circle cx="7" cy="7" r="4.5" /><path d="M10.5 10.5L14 14" /></svg>
      <input data-search type="search" placeholder="Filter: order, order → payment, open…" value=${text} onInput=${(/** @type {Event} */ event) => change({ q: value(event) }, { replace: true })} autocomplete="off" spellcheck=${false} />
      <kbd aria-hidden="true">/</kbd>
    </label>
    <div class="tones" role="group" aria-label="State">
      <button type="button" class="chip" aria-pressed=${!state} onClick=${() => change({ state: '' }, { replace: true })}>All <span class="muted">${edges.length}</span></button>
      ${counts.filter((one) => one.count || one.key === state).map(
        (one) => html`<button type="button" class="chip" key=${one.key} data-tone=${one.tone} aria-pressed=${state === one.key} onClick=${() => change({ state: state === one.key ? '' : one.key }, { replace: true })}><span class="dot" aria-hidden="true"></span>${one.text} <span class="muted">${one.count}</span></button>`,
      )}
    </div>
    <label class="edge-sort">Order <select onChange=${(/** @type {Event} */ event) => change({ sort: value(event) }, { replace: true })}>${ORDERS.map(([key, title]) => html`<option key=${key} value=${key} selected=${key === sort}>${title}</option>`)}</select></label>
  </div>`;
}

/** @param {{ narrowed: boolean }} props */
function Nothing({ narrowed }) {
  return html`<div class="card hint">
    ${narrowed
      ? html`<p>Nothing matches. <button type="button" class="link accent" onClick=${() => change({ q: '', state: '' })}>Clear the filter</button></p>`
      : html`<p>No brick needs another, and no route leads to one. Write <code>needs</code> in <code>brick.toml</code>.</p>`}
  </div>`;
}
