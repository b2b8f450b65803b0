// What happened to a brick or an instance: starts, exits with their reason, what was done to it. The newest first.
import { html } from '../html.js';
import { ago, dateTime } from '../format.js';
import { toneOf } from './events.js';

/** @typedef {import('./events.js').Event} Event */

const SHOWN = 12;

/** @param {{ events: Event[], brick: string, slot: string }} props */
export function Happened({ events, brick, slot }) {
  const about = slot ? (/** @type {Event} */ one) => one.instance === slot || (one.brick === brick && !one.instance) : (/** @type {Event} */ one) => one.brick === brick;
  const own = events.filter((one) => about(one) && one.kind !== 'build-progress').slice(-SHOWN).reverse();
  return html`<h3>What happened</h3>
    ${own.length
      ? html`<ol class="happened">${own.map((one) => html`<${Entry} key=${one.seq} one=${one} />`)}</ol>`
      : html`<p class="muted small">Nothing since the agent began.</p>`}`;
}

/** @param {{ one: Event }} props */
export function Entry({ one }) {
  const at = Date.parse(one.ts);
  return html`<li>
    <span class="state" data-tone=${toneOf(one)}><span class="dot" aria-hidden="true"></span></span>
    <span class="entry-text"><bdi>${one.msg}</bdi>${one.lines.length > 0 && html`<details><summary>${one.lines.length === 1 ? 'its last line' : `its last ${one.lines.length} lines`}</summary><pre><code>${one.lines.join('\n')}</code></pre></details>`}</span>
    <time class="muted small" dateTime=${one.ts} title=${dateTime(at)}>${ago(at)}</time>
  </li>`;
}
