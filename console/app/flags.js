// Flags: every feature flag with who gets what and where that is said, set and taken back while the bricks run.
import { classes, html, useMemo } from './html.js';
import { plural } from './format.js';
import { useKeys } from './keys.js';
import { connection } from './live.js';
import { usePolled } from './poll.js';
import { address, change, params } from './route.js';
import { FlagDialog } from './flags/dialogs.js';
import { flagsOf, givesText, searched, variantText } from './flags/model.js';

/** @typedef {import('./flags/model.js').Flag} Flag */

const EVERY_MS = 2_000;

export function Flags() {
  const asked = params.value;
  const told = usePolled('/api/flags/v1', EVERY_MS);
  const flags = useMemo(() => flagsOf(told.data), [told.data]);
  const text = asked.get('q') ?? '';
  const shown = useMemo(() => flags.filter((flag) => text.toLowerCase().split(/\s+/).every((part) => searched(flag).includes(part))), [flags, text]);
  const flag = flags.find((one) => one.key === asked.get('select')) ?? null;
  const kind = asked.get('do') ?? '';
  useKeys('Flags', KEYS);
  const close = () => change({ do: '' }, { replace: true });
  return html`<div class=${classes('screen', 'flags', (connection.value === 'reconnecting' || (told.failure && told.data)) && 'stale')}>
    <header class="screen-head"><h1>Flags</h1><p class="muted" role="status">${told.data && flags.length ? summary(flags) : ''}</p></header>
    ${told.failure && html`<p class="card notice" role="alert">${told.failure}${told.data ? ' This is what was last known.' : ''}</p>`}
    ${told.data?.problem && html`<p class="card notice" role="alert">The flags of the configuration repository are not those of its newest revision: ${String(told.data.problem)}</p>`}
    ${flags.length > 5 && html`<div class="brick-filter" role="search" aria-label="Flags"><label class="finder"><span class="sr">Filter by key, brick or origin</span>
      <svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true" class="mark"><circle cx="7" cy="7" r="4.5" /><path d="M10.5 10.5L14 14" /></svg>
      <input data-search type="search" placeholder="Filter: key, brick, origin" value=${text} onInput=${(/** @type {InputEvent} */ event) => change({ q: /** @type {HTMLInputElement} */ (event.currentTarget).value }, { replace: true })} autocomplete="off" spellcheck=${false} /><kbd aria-hidden="true">/</kbd></label></div>`}
    ${!told.data && !told.failure && html`<div class="card bricks-wait" role="status" aria-label="Loading">${Array.from({ length: 4 }, (_, i) => html`<span key=${i}></span>`)}</div>`}
    ${shown.length > 0 && html`<section class="card" aria-label="Flags"><div class="scroll" tabindex="0" role="region" aria-label="All flags"><table class="sheet flag-sheet">
      <thead><tr><th scope="col">Flag</th><th scope="col">Who gets what</th><th scope="col">Seen by</th><th scope="col">Origin</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
      <tbody>${shown.map((one) => html`<${Row} key=${one.key} flag=${one} chosen=${one.key === flag?.key} />`)}</tbody>
    </table></div></section>`}
    ${told.data && !shown.length && html`<${Nothing} narrowed=${Boolean(text)} />`}
    ${flag && kind && html`<${FlagDialog} key=${`${kind} ${flag.key}`} kind=${kind} flag=${flag} onDone=${told.again} onClose=${close} />`}
  </div>`;
}

/** @param {Flag[]} flags */
function summary(flags) {
  const live = flags.filter((flag) => flag.below || flag.origin === 'live').length;
  return `${plural(flags.length, 'flag')}${live ? `, ${live} set while the system runs` : ''}`;
}

/** @param {{ flag: Flag, chosen: boolean }} props */
function Row({ flag, chosen }) {
  const open = (/** @type {string} */ kind) => () => change({ select: flag.key, do: kind }, { replace: true });
  return html`<tr class=${classes(chosen && 'chosen')}>
    <th scope="row"><code>${flag.key}</code></th>
    <td class="gives">
      <span class="state" data-tone=${flag.enabled ? 'ok' : 'idle'}><span class="dot" aria-hidden="true"></span><span><bdi>${givesText(flag)}</bdi></span></span>
      ${flag.enabled && flag.shares && html`<div class="share-bar" aria-hidden="true">${flag.shares.map(([name, share], i) => html`<span key=${name} data-place=${i % 4} style=${{ flexGrow: share }}></span>`)}</div>`}
      <details><summary class="small muted">${plural(flag.variants.length, 'variant')}${flag.targeting ? ' and rules' : ''}</summary>
        <ul class="lines">${flag.variants.map(([name]) => html`<li key=${name}><bdi>${variantText(flag, name)}</bdi>${name === flag.defaultVariant && html` <span class="tag plain-tag">default</span>`}</li>`)}</ul>
        ${flag.targeting && html`<pre class="rules-text" tabindex="0" role="region" aria-label=${`Rules of ${flag.key}`}><code>${JSON.stringify(flag.targeting, null, 2)}</code></pre>`}
      </details>
    </td>
    <td>${flag.bricks ? flag.bricks.map((brick, i) => html`<span key=${brick}>${i > 0 && ', '}<a href=${address('/console/config', { brick })}><bdi>${brick}</bdi></a></span>`) : 'every brick'}</td>
    <td><span class=${flag.origin === 'live' ? 'tag warn-tag' : 'tag plain-tag'}><bdi>${flag.origin || 'unknown'}</bdi></span>
      ${flag.below && html`<p class="small muted">else <bdi>${flag.below.origin}</bdi>: <bdi>${givesText(flag.below)}</bdi></p>`}</td>
    <td class="acts"><button type="button" class="button" onClick=${open('set')}>Set…<span class="sr"> ${flag.key}</span></button>
      ${flag.below && html`<button type="button" class="button" onClick=${open('reset')}>Take back…<span class="sr"> ${flag.key}</span></button>`}
      <a class="button" href=${address('/console/audit', { target: `flags/${flag.key}` })}>Audit<span class="sr"> of ${flag.key}</span></a></td>
  </tr>`;
}

/** The key is about the flag that has the focus, the chosen one, or the only one. */
function set() {
  const rows = [...document.querySelectorAll('.flag-sheet tbody tr')];
  const row = document.activeElement?.closest('.flag-sheet tbody tr') ?? (rows.length === 1 ? rows[0] : null);
  const key = row?.querySelector('th')?.textContent || params.peek().get('select');
  if (key) change({ select: key, do: 'set' }, { replace: true });
}

/** @type {import('./keys.js').Binding[]} */
const KEYS = [{ keys: 'e', text: 'Set the chosen flag', act: set }];

/** @param {{ narrowed: boolean }} props */
function Nothing({ narrowed }) {
  return html`<div class="card hint">
    ${narrowed
      ? html`<p>Nothing matches. <button type="button" class="link accent" onClick=${() => change({ q: '' })}>Clear the filter</button></p>`
      : html`<p>No flag is declared. Write one into <code>brick.toml</code>, then <code>brick up</code> once more:</p>
          <pre><code>[flag.express_checkout]${'\n'}default = false</code></pre>`}
  </div>`;
}
