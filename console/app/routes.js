// Routes: which version of a brick requests go to, who would move if that were changed, and canaries.
import { classes, html, useEffect, useMemo } from './html.js';
import { plural } from './format.js';
import { useKeys } from './keys.js';
import { connection, useLive } from './live.js';
import { usePolled } from './poll.js';
import { change, params } from './route.js';
import { useFigures } from './bricks/figures.js';
import { instancesOf } from './bricks/model.js';
import { RouteDialog } from './routes/dialogs.js';
import { poolsOf } from './routes/model.js';
import { PoolCard } from './routes/pool.js';

/** @typedef {import('./routes/model.js').Pool} Pool */

/** A canary's instances are asked each second, and so are we. */
const EVERY_MS = 1_000;

export function Routes() {
  const asked = params.value;
  const told = usePolled('/api/pools/v1', EVERY_MS);
  const canaries = usePolled('/api/canaries/v1', EVERY_MS);
  const bricks = useLive({ topic: 'bricks' });
  const figures = useFigures();
  const instances = useMemo(() => instancesOf(bricks.data), [bricks.data]);
  const pools = useMemo(() => poolsOf(told.data, canaries.data, instances, figures), [told.data, canaries.data, instances, figures]);
  const text = asked.get('q') ?? '';
  const shown = useMemo(() => pools.filter((pool) => pool.brick.toLowerCase().includes(text.trim().toLowerCase())), [pools, text]);
  const selected = asked.get('select') ?? '';
  const pool = pools.find((one) => one.brick === selected) ?? null;
  const found = Boolean(pool);
  useKeys('Routes', KEYS);
  useEffect(() => {
    if (found) document.getElementById(`brick-${selected}`)?.scrollIntoView({ block: 'nearest' });
  }, [selected, found]);
  const again = () => {
    told.again();
    canaries.again();
  };
  const failure = told.failure || canaries.failure;
  const close = () => change({ do: '', rule: '' }, { replace: true });
  return html`<div class=${classes('screen', 'routes', (connection.value === 'reconnecting' || (failure && told.data)) && 'stale')}>
    <header class="screen-head"><h1>Routes</h1><p class="muted" role="status">${told.data ? summary(pools) : ''}</p></header>
    ${failure && html`<p class="card notice" role="alert">${failure}${told.data ? ' This is what was last known.' : ''}</p>`}
    ${pools.length > 3 && html`<div class="brick-filter" role="search" aria-label="Bricks"><label class="finder"><span class="sr">Filter by brick</span>
      <svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true" class="mark"><circle cx="7" cy="7" r="4.5" /><path d="M10.5 10.5L14 14" /></svg>
      <input data-search type="search" placeholder="Filter: a brick" value=${text} onInput=${(/** @type {InputEvent} */ event) => change({ q: /** @type {HTMLInputElement} */ (event.currentTarget).value }, { replace: true })} autocomplete="off" spellcheck=${false} /><kbd aria-hidden="true">/</kbd></label></div>`}
    ${!told.data && !failure && html`<div class="card bricks-wait" role="status" aria-label="Loading">${Array.from({ length: 4 }, (_, i) => html`<span key=${i}></span>`)}</div>`}
    ${shown.map((one) => html`<${PoolCard} key=${one.brick} pool=${one} />`)}
    ${told.data && !shown.length && html`<${Nothing} narrowed=${Boolean(text)} />`}
    ${pool && asked.get('do') && html`<${RouteDialog} key=${`${asked.get('do')} ${pool.brick} ${asked.get('rule')}`} kind=${asked.get('do')} rule=${asked.get('rule') ?? ''} pool=${pool} onDone=${again} onClose=${close} />`}
  </div>`;
}

/** @param {Pool[]} pools */
function summary(pools) {
  const running = pools.filter((pool) => pool.canary?.phase === 'running').length;
  return `${plural(pools.length, 'brick')} with versions${running ? `, ${plural(running, 'canary', 'canaries')} running` : ''}`;
}

/** Keys are about the chosen brick, or the only one. @param {string} kind */
function act(kind) {
  return () => {
    const cards = [...document.querySelectorAll('.routes .pool')];
    const focused = document.activeElement?.closest('.routes .pool') ?? (cards.length === 1 ? cards[0] : null);
    const brick = focused?.id.slice('brick-'.length) || params.peek().get('select');
    if (brick) change({ select: brick, do: kind, rule: '' }, { replace: true });
  };
}

/** @type {import('./keys.js').Binding[]} */
const KEYS = [
  { keys: 's', text: 'Shares of the chosen brick', act: act('weights') },
  { keys: 'u', text: 'Add a rule', act: act('rule') },
  { keys: 'y', text: 'Begin a canary', act: act('canary') },
];

/** @param {{ narrowed: boolean }} props */
function Nothing({ narrowed }) {
  return html`<div class="card hint">
    ${narrowed
      ? html`<p>Nothing matches. <button type="button" class="link accent" onClick=${() => change({ q: '' })}>Clear the filter</button></p>`
      : html`<p>No brick has another version than its base. Write one into <code>brick.toml</code>, then <code>brick up</code> once more:</p>
          <pre><code>[brick.payment.version.v2]</code></pre>`}
  </div>`;
}
