// The values that count with their origins; what each instance says of them; what differs.
import { html } from '../html.js';
import { ago, dateTime } from '../format.js';
import { HIDDEN, textOf } from './model.js';

/** @typedef {import('./model.js').Row} Row */

/** @param {{ rows: Row[], shadowed: Map<string, string[]>, onDo: (kind: string, key: string) => void }} props `shadowed` says by key which instances go on with another layer */
export function Values({ rows, shadowed, onDo }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Values"><table class="sheet values">
    <thead><tr><th scope="col">Key</th><th scope="col">Value</th><th scope="col">Origin</th><th scope="col"><span class="sr">Actions</span></th></tr></thead>
    <tbody>${rows.map(
      (row) => html`<tr key=${row.key}>
        <th scope="row"><code>${row.key}</code></th>
        <td>${row.secret ? html`<span class="muted" title="A secret is shown nowhere">${HIDDEN}</span> <span class="tag plain-tag">secret</span>` : html`<code>${textOf(row.value)}</code>`}</td>
        <td><span class=${row.origin === 'live' ? 'tag warn-tag' : 'tag plain-tag'}><bdi>${row.origin || 'unknown'}</bdi></span>
          ${(shadowed.get(row.key) ?? []).map((text) => html`<br key=${text} /><span class="small">${text}</span>`)}</td>
        <td class="acts"><button type="button" class="button" onClick=${() => onDo('set', row.key)}>Change…<span class="sr"> ${row.key}</span></button>
          ${row.origin === 'live' && html`<button type="button" class="button" onClick=${() => onDo('unset', row.key)}>Take back…<span class="sr"> ${row.key}</span></button>`}</td>
      </tr>`,
    )}</tbody>
  </table></div>`;
}

/** @param {{ words: import('./model.js').Word[] }} props */
export function Words({ words }) {
  return html`<ul class="words" aria-label="Instances">${words.map(
    (one) => html`<li key=${one.incarnation || one.slot}>
      <span class="state" data-tone=${one.tone}><span class="dot" aria-hidden="true"></span><bdi>${one.slot}</bdi></span>
      <span>${one.state}${one.at > 0 && html` <time class="muted small" title=${dateTime(one.at)}>since ${ago(one.at)}</time>`}</span>
    </li>`,
  )}</ul>`;
}

/** Key by key, before and after; what was not there, or is gone, says so. @param {{ items: import('./model.js').Difference[] }} props */
export function Differences({ items }) {
  if (!items.length) return null;
  const side = (/** @type {any} */ one, /** @type {'before' | 'after'} */ name) => (one[name] === undefined ? html`<span class="muted">${name === 'before' ? 'was not there' : 'is gone'}</span>` : html`<code>${textOf(one[name])}</code>`);
  return html`<div class="scroll" tabindex="0" role="region" aria-label="What differs"><table class="sheet differences">
    <thead><tr><th scope="col">Key</th><th scope="col">Before</th><th scope="col">After</th></tr></thead>
    <tbody>${items.map((one) => html`<tr key=${one.key}><th scope="row"><code>${one.key}</code></th><td class="minus">${side(one, 'before')}</td><td class="plus">${side(one, 'after')}</td></tr>`)}</tbody>
  </table></div>`;
}
