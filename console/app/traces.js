// Search for traces. What is asked for stands in the URL; the form only writes it.
import { html, signal, useEffect, useState } from './html.js';
import { plural } from './format.js';
import { get } from './api.js';
import { useKeys } from './keys.js';
import { useLive } from './live.js';
import { address, change, navigate, params } from './route.js';
import { systemOf } from './overview/model.js';
import { Facets, useFacets } from './facets.js';
import { Form } from './traces/form.js';
import { Heatmap } from './traces/heatmap.js';
import { PAGE, facetsUrl, pageUrl } from './traces/query.js';
import { Picked, Results } from './traces/results.js';
import { slowest } from './traces/slowest.js';

/**
 * @typedef {{ trace_id: string, root_service: string, root_operation: string, start: string, duration_ms: number,
 *   spans: number, services: { name: string, spans: number, errors: number }[], error: boolean, synthetic?: string }} Summary
 * @typedef {{ items: Summary[], next: string | null, failure: string, busy: boolean }} Found
 */

/** More than this is not kept in the page; a narrower search is the better answer. */
const ITEMS_MAX = 500;
const again = signal(0);
const GROUPS = [
  { key: 'status', title: 'Status', order: ['error', 'ok'] },
  { key: 'service', title: 'Service', coloured: true },
  { key: 'operation', title: 'Operation' },
];

/** @param {number} by */
function step(by) {
  const all = /** @type {HTMLElement[]} */ ([...document.querySelectorAll('.results .result')]);
  const here = all.findIndex((one) => one === document.activeElement);
  all[Math.min(Math.max(here + by, 0), all.length - 1)]?.focus();
}

const KEYS = [
  { keys: 'j', text: 'Next trace', act: () => step(1) },
  { keys: 'k', text: 'Trace before', act: () => step(-1) },
];

export function Traces() {
  useKeys('Traces', KEYS);
  const { data } = useLive({ topic: 'system' });
  const [found, setFound] = useState(/** @type {Found} */ ({ items: [], next: null, failure: '', busy: true }));
  const sorted = params.value.get('sort') === 'duration';
  const url = pageUrl(params.value);
  const round = again.value;
  const [wanted, setWanted] = useState(PAGE);
  useEffect(() => setWanted(PAGE), [url, sorted]);
  useEffect(() => {
    const stop = new AbortController();
    setFound((before) => ({ ...before, busy: true }));
    const asked = sorted ? slowest(params.peek(), wanted, stop.signal) : get(url, stop.signal);
    void tell(asked, [], setFound, stop.signal);
    return () => stop.abort();
  }, [url, sorted, wanted, round]);
  const more = () => {
    if (sorted) return setWanted(wanted + PAGE);
    setFound((before) => ({ ...before, busy: true }));
    return void tell(get(pageUrl(params.peek(), found.next ?? '')), found.items, setFound);
  };
  const { items } = found;
  return html`<div class="screen">
    <header class="screen-head"><h1>Traces</h1></header>
    <${Form} key=${params.value.toString()} services=${systemOf(data).bricks.map((brick) => brick.name)} onSearch=${search} />
    ${found.failure && html`<p class="card notice" role="alert">${found.failure}</p>`}
    <div class="logs-stage">
    <${TraceFacets} round=${round} />
    <div class="screen">
    <${Heatmap} round=${round} />
    <${Picked} />
    <section class="card" aria-labelledby="found-title" aria-busy=${found.busy}>
      <header class="card-head">
        <h2 id="found-title" role="status">${found.busy && !items.length ? 'Searching…' : plural(items.length, 'trace')}</h2>
        <button type="button" class="button" onClick=${() => change({ sort: sorted ? '' : 'duration' })}>
          ${sorted ? 'Slowest first' : 'Newest first'}<span class="sr">, ${sorted ? 'show the newest first' : 'show the slowest first'}</span>
        </button>
      </header>
      <${Results} items=${items} />
      ${!items.length && !found.busy && !found.failure && html`<${Nothing} />`}
      ${found.next && items.length < ITEMS_MAX && html`<p class="more"><button type="button" class="button" disabled=${found.busy} onClick=${more}>Load more</button></p>`}
      ${found.next && items.length >= ITEMS_MAX && html`<p class="muted small more">The first ${ITEMS_MAX} are shown. Narrow the search to see others.</p>`}
    </section>
    </div>
    </div>
  </div>`;
}

/** @param {{ round: number }} props */
function TraceFacets({ round }) {
  const asked = params.value;
  const status = { 0: 'ok', 1: 'error' }[asked.get('errors') ?? ''] ?? '';
  const chosen = (/** @type {string} */ key) => (key === 'status' ? status : asked.get(key) ?? '');
  const active = GROUPS.map((group) => group.key).filter(chosen);
  const facets = useFacets(`${facetsUrl(asked)} ${round}`, active, (without) => facetsUrl(asked, without));
  /** @param {string} key @param {string} value */
  const choose = (key, value) => change(key === 'status' ? { errors: value && (value === 'error' ? '1' : '0') } : { [key]: value });
  return html`<${Facets} groups=${GROUPS} facets=${facets} chosen=${chosen} onChoose=${choose} />`;
}

/** @param {Record<string, string>} asked */
function search(asked) {
  const [sort, a] = [params.peek().get('sort'), params.peek().get('a')];
  const target = address('/console/traces', { ...asked, sort, a });
  if (new URL(target, location.href).href === location.href) again.value += 1;
  else navigate(target);
}

/**
 * Shows an answer behind what was there before, or why there is none.
 * @param {Promise<{ items?: Summary[], next?: string | null }>} asked
 * @param {Summary[]} before
 * @param {(found: Found) => void} show
 * @param {AbortSignal} [signal]
 */
async function tell(asked, before, show, signal) {
  try {
    const { items = [], next = null } = await asked;
    if (!signal?.aborted) show({ items: [...before, ...items], next, failure: '', busy: false });
  } catch (error) {
    if (signal?.aborted) return;
    show({ items: before, next: null, failure: /** @type {Error} */ (error).message, busy: false });
  }
}

function Nothing() {
  const narrowed = ['service', 'operation', 'errors', 'min', 'max', 'attr', 'until', 'synthetic'].some((key) => params.value.get(key));
  return html`<div class="hint">
    ${narrowed
      ? html`<p>No trace of this time matches. <a href="/console/traces">Clear the search</a>, or look further back.</p>`
      : html`<p>No trace yet. Open the system's edge in a browser, or make some traffic:</p>
          <pre><code>brick load checkout --rps 50 --for 30s</code></pre>`}
  </div>`;
}
