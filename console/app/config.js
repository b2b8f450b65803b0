// Config: what counts for a brick and where it comes from, changes while it runs with each instance's word, what was
// changed and the way back, levels of log lines.
import { classes, html, useMemo } from './html.js';
import { plural } from './format.js';
import { useKeys } from './keys.js';
import { connection, useLive } from './live.js';
import { usePolled } from './poll.js';
import { address, change, params } from './route.js';
import { instancesOf } from './bricks/model.js';
import { systemOf } from './overview/model.js';
import { ConfigDialog, acksUrl, configUrl } from './config/dialogs.js';
import { Compare, History } from './config/history.js';
import { LevelBack, LevelDialog, LevelText, useLevels } from './config/level.js';
import { changesOf, rowsOf, textOf, wordsOf } from './config/model.js';
import { Values, Words } from './config/values.js';

const EVERY_MS = 2_000;

export function Config() {
  const system = useLive({ topic: 'system' });
  const names = useMemo(() => systemOf(system.data).bricks.map((brick) => brick.name).sort(), [system.data]);
  const asked = params.value.get('brick') ?? '';
  const brick = asked || names[0] || '';
  useKeys('Config', KEYS);
  return html`<div class=${classes('screen', 'config', connection.value === 'reconnecting' && 'stale')}>
    <header class="screen-head"><h1>Config</h1><p class="muted" role="status">${names.length ? plural(names.length, 'brick') : ''}</p></header>
    ${system.error && html`<p class="card notice" role="alert">${system.error.detail}.</p>`}
    ${names.length > 0 && html`<nav class="brick-tabs" aria-label="Bricks">${names.map((name) => html`<a key=${name} href=${address('/console/config', { brick: name })} aria-current=${name === brick ? 'page' : undefined}><bdi>${name}</bdi></a>`)}</nav>`}
    ${brick ? html`<${Brick} key=${brick} brick=${brick} />` : html`<div class="card hint"><p>${system.data ? 'The system has no bricks.' : 'Asking which bricks there are…'}</p></div>`}
  </div>`;
}

/** @type {import('./keys.js').Binding[]} */
const KEYS = [
  { keys: 'e', text: 'Set a value', act: () => change({ do: 'set', key: '' }, { replace: true }) },
  { keys: 'v', text: 'Log level', act: () => change({ do: 'log', key: '' }, { replace: true }) },
];

/** @param {{ brick: string }} props */
function Brick({ brick }) {
  const asked = params.value;
  const [told, past, acks] = [usePolled(configUrl(brick), EVERY_MS), usePolled(`${configUrl(brick)}/history`, EVERY_MS), usePolled(acksUrl(`config/${brick}`), EVERY_MS)];
  const levels = useLevels(brick);
  const registry = useLive({ topic: 'instances' });
  const instances = useMemo(() => instancesOf(registry.data).filter((one) => one.brick === brick), [registry.data, brick]);
  const rows = useMemo(() => rowsOf(told.data), [told.data]);
  const changes = useMemo(() => changesOf(past.data), [past.data]);
  const words = useMemo(() => wordsOf(instances, acks.data), [instances, acks.data]);
  const text = asked.get('q') ?? '';
  const shown = useMemo(() => rows.filter((row) => `${row.key} ${textOf(row.value)} ${row.origin}`.toLowerCase().includes(text.trim().toLowerCase())), [rows, text]);
  const shadowed = useMemo(() => shadowedOf(words), [words]);
  const again = () => [told, past, acks, levels].forEach((one) => one.again());
  const open = (/** @type {string} */ kind, key = '') => change({ do: kind, key }, { replace: true });
  const close = () => change({ do: '', key: '' }, { replace: true });
  const [kind, key] = [asked.get('do') ?? '', asked.get('key') ?? ''];
  const given = { brick, rows, changes, instances, onDone: again, onClose: close };
  if (told.failure && !told.data) return html`<p class="card notice" role="alert">${told.failure}</p>`;
  return html`
    ${told.failure && html`<p class="card notice" role="alert">${told.failure} This is what was last known.</p>`}
    ${told.data?.problem && html`<p class="card notice" role="alert">An encrypted value does not count: ${String(told.data.problem)}. What it was before stays.</p>`}
    <section class="card" aria-labelledby="values-title">
      <header class="card-head"><h2 id="values-title">What counts</h2>
        ${told.data && html`<p class="muted small" role="status">${plural(rows.length, 'value')}, revision ${told.data.revision}</p>`}
        <span class="head-ways">${rows.length > 5 && html`<label class="finder"><span class="sr">Filter by key, value or origin</span><svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true" class="mark"><circle cx="7" cy="7" r="4.5" /><path d="M10.5 10.5L14 14" /></svg><input data-search type="search" placeholder="Filter: key, value, origin" value=${text} onInput=${(/** @type {InputEvent} */ event) => change({ q: /** @type {HTMLInputElement} */ (event.currentTarget).value }, { replace: true })} autocomplete="off" spellcheck=${false} /><kbd aria-hidden="true">/</kbd></label>`}
        <button type="button" class="button" onClick=${() => open('set')}>Set a value…</button></span>
      </header>
      ${!told.data && html`<div class="bricks-wait" role="status" aria-label="Loading">${Array.from({ length: 3 }, (_, i) => html`<span key=${i}></span>`)}</div>`}
      ${shown.length > 0 && html`<${Values} rows=${shown} shadowed=${shadowed} onDo=${open} />`}
      ${told.data && !shown.length && html`<p class="hint">${text ? html`Nothing matches. <button type="button" class="link accent" onClick=${() => change({ q: '' })}>Clear the filter</button>` : html`Nobody says anything of <bdi>${brick}</bdi>: the defaults in its code count.`}</p>`}
    </section>
    <div class="config-pair">
      <section class="card" aria-labelledby="words-title">
        <header class="card-head"><h2 id="words-title">Instances</h2><p class="muted small">who has taken it</p></header>
        <div class="card-rest">${acks.failure && html`<p class="problem" role="alert">${acks.failure}</p>`}${words.length ? html`<${Words} words=${words} />` : html`<p class="muted">No instance of it is registered.</p>`}</div>
      </section>
      <section class="card" aria-labelledby="levels-title">
        <header class="card-head"><h2 id="levels-title">Log level</h2><button type="button" class="button" onClick=${() => open('log')}>Set a level…</button></header>
        <div class="card-rest"><${Levels} levels=${levels} brick=${brick} onBack=${(/** @type {string} */ slot) => open('unlog', slot)} /></div>
      </section>
    </div>
    <section class="card" aria-labelledby="past-title">
      <header class="card-head"><h2 id="past-title">What was changed</h2><a class="button" href=${address('/console/audit', { target: `config/${brick}` })}>Audit<span class="sr"> of the configuration of ${brick}</span></a></header>
      <div class="card-rest">${past.failure && html`<p class="problem" role="alert">${past.failure}</p>`}<${History} changes=${changes} onRollback=${(/** @type {string} */ id) => open('rollback', id)} /></div>
    </section>
    <section class="card" aria-labelledby="differs-title">
      <header class="card-head"><h2 id="differs-title">What differs</h2></header>
      <div class="card-rest"><${Compare} brick=${brick} changes=${changes} from=${asked.get('from') ?? ''} to=${asked.get('to') ?? ''} /></div>
    </section>
    ${kind === 'log' && html`<${LevelDialog} brick=${brick} slots=${instances.map((one) => one.slot)} first=${key} onDone=${again} onClose=${close} />`}
    ${kind === 'unlog' && html`<${LevelBack} brick=${brick} slot=${key} onDone=${again} onClose=${close} />`}
    ${['set', 'unset', 'rollback'].includes(kind) && told.data && html`<${ConfigDialog} key=${`${kind} ${key}`} kind=${kind} asked=${key} ...${given} />`}
  `;
}

/** @param {{ levels: ReturnType<typeof useLevels>, brick: string, onBack: (slot: string) => void }} props */
function Levels({ levels, brick, onBack }) {
  if (levels.failure) return html`<p class="problem" role="alert">${levels.failure}</p>`;
  const all = /** @type {[string, import('./config/model.js').Level][]} */ ([...(levels.all ? [['', levels.all]] : []), ...levels.instances]);
  if (!all.length) return html`<p class="muted">As it was started with.</p>`;
  return html`<ul class="words">${all.map(([slot, level]) => html`<li key=${slot}>
    <span><bdi>${slot || `all of ${brick}`}</bdi></span><span><${LevelText} of=${level} /></span>
    <button type="button" class="button" onClick=${() => onBack(slot)}>Take back…<span class="sr"> the level of ${slot || brick}</span></button>
  </li>`)}</ul>`;
}

/** By key, the instances where another layer has the word. @param {import('./config/model.js').Word[]} words */
function shadowedOf(words) {
  /** @type {Map<string, string[]>} */
  const all = new Map();
  for (const { slot, shadowed } of words) for (const [key, by] of shadowed) all.set(key, [...(all.get(key) ?? []), `${slot} goes on with its ${by}`]);
  return all;
}
