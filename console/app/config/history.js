// What was changed of a brick's configuration, by whom and how it ended; what differs between two changes; the way back.
import { html, useEffect } from '../html.js';
import { ago, dateTime } from '../format.js';
import { usePolled } from '../poll.js';
import { change } from '../route.js';
import { configUrl } from './dialogs.js';
import { differenceOf, textOf } from './model.js';
import { Differences } from './values.js';

/** @typedef {import('./model.js').Change} Change */

const EVERY_MS = 10_000;
const KINDS = /** @type {Record<string, string>} */ ({ set: 'changed', rollback: 'rolled back', manifest: 'changed in the manifest', repository: 'changed in the repository' });

/** @param {{ changes: Change[], onRollback: (change: string) => void }} props */
export function History({ changes, onRollback }) {
  if (!changes.length) return html`<p class="hint">Nothing was changed so far.</p>`;
  const newest = changes.find((one) => one.outcome === 'applied');
  return html`<ol class="changes" aria-label="Changes">${changes.map(
    (one) => html`<li key=${one.change}>
      <div class="change-head">
        <span class="state" data-tone=${one.outcome === 'applied' ? 'ok' : 'bad'}><span class="dot" aria-hidden="true"></span><b><bdi>${one.by}</bdi></b></span>
        <span>${one.outcome === 'applied' ? KINDS[one.kind] ?? one.kind : one.outcome}</span>
        <code>${one.change}</code>${one.revision !== null && html`<span class="muted small">revision ${one.revision}</span>`}
        <time class="muted small" title=${dateTime(one.at)}>${ago(one.at)}</time>
        ${one.outcome === 'applied' && one !== newest && html`<button type="button" class="button" onClick=${() => onRollback(one.change)}>Roll back…<span class="sr"> to ${one.change}</span></button>`}
      </div>
      ${one.why && html`<p class="quote"><bdi>${one.why}</bdi></p>`}
      ${one.refused.map((other) => html`<p key=${other.instance} class="small bad-text"><bdi>${other.instance}</bdi> refused: <bdi>${other.reason}</bdi></p>`)}
      <ul class="lines">${one.diff.map((line) => html`<li key=${line.key}><code>${line.key}</code> <span class="minus"><code>${line.before === undefined ? '–' : textOf(line.before)}</code></span> <span aria-hidden="true">→</span><span class="sr"> became </span> <span class="plus"><code>${line.after === undefined ? '–' : textOf(line.after)}</code></span></li>`)}</ul>
    </li>`,
  )}</ol>`;
}

/** @param {{ brick: string, changes: Change[], from: string, to: string }} props */
export function Compare({ brick, changes, from, to }) {
  const applied = changes.filter((one) => one.outcome === 'applied');
  const told = usePolled(`${configUrl(brick)}/diff?from=${encodeURIComponent(from || 'manifest')}&to=${encodeURIComponent(to || 'now')}`, EVERY_MS);
  const newest = changes[0]?.change ?? '';
  // What was changed just now differs at once.
  useEffect(() => told.again(), [newest]);
  const choices = applied.map((one) => [one.change, `${one.change}, ${ago(one.at)}`]);
  const items = Array.isArray(told.data?.items) ? told.data.items.map(differenceOf) : null;
  /** @param {string} label @param {string} name @param {string} chosen @param {string[]} first */
  const side = (label, name, chosen, first) => html`<label class="field">${label}
    <select onChange=${(/** @type {Event} */ event) => change({ [name]: /** @type {HTMLSelectElement} */ (event.currentTarget).value }, { replace: true })}>
      ${[['', first[0]], ...choices].map(([key, text]) => html`<option key=${key} value=${key} selected=${key === chosen}>${text}</option>`)}
    </select>
  </label>`;
  return html`<div class="compare">
    ${side('From', 'from', from, ['the manifest'])}${side('To', 'to', to, ['now'])}
    ${told.failure && html`<p class="problem" role="alert">${told.failure}</p>`}
    ${items && (items.length ? html`<${Differences} items=${items} />` : html`<p class="muted" role="status">Nothing differs.</p>`)}
  </div>`;
}
