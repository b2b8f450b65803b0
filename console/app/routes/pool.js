// One brick's versions: what each is to get, what it gets, how it does, and the rules that come before the shares.
import { html } from '../html.js';
import { colourOf } from '../colour.js';
import { duration, percent, plural, rate } from '../format.js';
import { address, change } from '../route.js';
import { CanaryView } from './canary.js';
import { whenOf } from './model.js';

/** @typedef {import('./model.js').Pool} Pool @typedef {import('./model.js').Version} Version */

/** @param {{ pool: Pool }} props */
export function PoolCard({ pool }) {
  const { brick, wanted, canary } = pool;
  const moving = canary?.phase === 'running';
  const open = (/** @type {string} */ kind, rule = '') => () => change({ select: brick, do: kind, rule }, { replace: true });
  const free = pool.versions.every((one) => one.share === null);
  return html`<article class="card pool" aria-labelledby=${`pool-${brick}`} id=${`brick-${brick}`}>
    <header class="card-head">
      <h2 id=${`pool-${brick}`}><span class="swatch" aria-hidden="true" style=${{ background: colourOf(brick) }}></span> <bdi>${brick}</bdi></h2>
      <p class="muted small">${free ? 'Nothing is said: requests go to any instance.' : wanted.sticky ? html`A share sticks to <bdi>${wanted.sticky.replace(':', ' ')}</bdi>.` : 'A share sticks to nothing.'}${wanted.mirror && html` <bdi>${wanted.mirror.version}</bdi> gets copies of ${wanted.mirror.percent} % of the requests that change nothing.`}</p>
    </header>
    <div class="pool-body">
      <${Bar} versions=${pool.versions} />
      <div class="scroll" tabindex="0" role="region" aria-label=${`Versions of ${brick}`}><table class="sheet versions">
        <thead><tr><th scope="col">Version</th><th scope="col">Instances</th><th scope="col" class="number">Share</th><th scope="col" class="number">Measured</th><th scope="col" class="number">Rate</th><th scope="col" class="number">Errors</th><th scope="col" class="number">p99</th></tr></thead>
        <tbody>${pool.versions.map((one, i) => html`<${Row} key=${one.version} pool=${pool} of=${one} place=${i} />`)}</tbody>
      </table></div>
      ${wanted.rules.length > 0 && html`<${Rules} pool=${pool} onDrop=${(/** @type {number} */ at) => open('drop', String(at))()} locked=${moving} />`}
      <p class="ways">
        <button type="button" class="button" onClick=${open('weights')} disabled=${moving || pool.versions.length < 2}>Shares…</button>
        <button type="button" class="button" onClick=${open('rule')} disabled=${moving}>Add a rule…</button>
        ${!moving && html`<button type="button" class="button" onClick=${open('canary')} disabled=${pool.versions.length < 2}>Canary…</button>`}
        <button type="button" class="button danger" onClick=${open('reset')} disabled=${moving || free}>Reset…</button>
        <a class="button" href=${address('/console/audit', { target: `pools/${brick}` })}>Audit<span class="sr"> of the versions of ${brick}</span></a>
        ${canary && html`<a class="button" href=${address('/console/audit', { target: `canary/${brick}` })}>Audit of canaries</a>`}
      </p>
      ${moving && html`<p class="muted small">While a canary runs it alone moves the shares.</p>`}
      ${canary && html`<${CanaryView} canary=${canary} />`}
    </div>
  </article>`;
}

/** The shares as they are wanted; the words are in the table. @param {{ versions: Version[] }} props */
function Bar({ versions }) {
  if (versions.every((one) => one.share === null)) return null;
  return html`<div class="share-bar" aria-hidden="true">${versions.map((one, i) => html`<span key=${one.version} data-place=${i % 4} style=${{ flexGrow: one.share ?? 0 }}></span>`)}</div>`;
}

/** @param {{ pool: Pool, of: Version, place: number }} props */
function Row({ pool, of, place }) {
  return html`<tr>
    <th scope="row"><span class="key" aria-hidden="true" data-place=${place % 4}></span><bdi>${of.version}</bdi>${of.base && html` <span class="tag plain-tag">base</span>`}</th>
    <td><a href=${address('/console/bricks', { q: `${pool.brick} ${of.version}` })}>${of.ready} ready</a>${of.quarantined > 0 && html` <span class="tag warn-tag">${plural(of.quarantined, 'quarantined', 'quarantined')}</span>`}</td>
    <td class="number">${of.share === null ? 'any' : percent(of.share / 100)}</td>
    <td class="number">${of.measured === null ? '–' : percent(of.measured)}</td>
    <td class="number">${of.rate === null ? '–' : rate(of.rate)}</td>
    <td class="number" data-tone=${of.errors >= 0.05 ? 'bad' : of.errors >= 0.01 ? 'warn' : undefined}>${of.rate === null ? '–' : percent(of.errors)}</td>
    <td class="number">${duration(of.p99)}</td>
  </tr>`;
}

/** @param {{ pool: Pool, locked: boolean, onDrop: (at: number) => void }} props */
function Rules({ pool, locked, onDrop }) {
  return html`<h3>Rules, in order</h3>
    <ol class="rules">
      ${pool.wanted.rules.map(
        (rule, i) => html`<li key=${i}>
          <span class="rule-text"><bdi>${whenOf(rule.when)}</bdi> <span class="muted" aria-hidden="true">→</span><span class="sr"> leads to </span> <b><bdi>${rule.to}</bdi></b></span>
          <button type="button" class="button" disabled=${locked} onClick=${() => onDrop(i + 1)}>Take back…<span class="sr"> ${whenOf(rule.when)}</span></button>
        </li>`,
      )}
    </ol>`;
}
