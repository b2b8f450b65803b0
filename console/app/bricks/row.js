// One row of the list: a brick, one of its instances, or a brick whose only instance stands for it.
import { classes, html, memo } from '../html.js';
import { age, count, duration, percent, rate } from '../format.js';
import { colourOf } from '../colour.js';
import { idleVersions, restartsOf } from './model.js';

/** @typedef {import('./model.js').Row} Row */

/** From this share of failed requests on the figure is marked. */
const WARN_SHARE = 0.01;
const BAD_SHARE = 0.05;

/**
 * @param {{ id: string, row: Row, now: number, top: number, place: number, folded: boolean, chosen: boolean,
 *   onToggle: (name: string) => void, onSelect: (id: string) => void }} props
 */
function One({ id, row, now, top, place, folded, chosen, onToggle, onSelect }) {
  const { kind, group, instance } = row;
  const about = instance ?? { state: group.state, tone: row.version ? 'idle' : group.tone, version: row.version || group.versions.join(', '), revision: '', zone: '', port: null, pid: null, since: null, problem: '' };
  const restarts = row.version ? null : instance ? instance.restarts : group.instances.some((one) => one.restarts !== null) ? restartsOf(group) : null;
  return html`<div
    id=${id} class=${classes('brick-row', kind === 'version' ? 'instance idle' : kind === 'zone' ? 'group zone' : kind, chosen && 'chosen')} style=${{ top: `${top}px` }} role="row" aria-level=${kind === 'instance' || kind === 'version' ? 2 : 1} aria-rowindex=${place}
    aria-expanded=${(kind === 'group' || kind === 'zone') && isParent(group) ? !folded : undefined} aria-selected=${chosen} onClick=${() => onSelect(chosen ? '' : row.id)}
  >
    <span class="c-name" role="gridcell"><${Name} row=${row} folded=${folded} onToggle=${onToggle} /></span>
    <span class="c-state" role="gridcell"><${State} row=${row} tone=${about.tone} state=${about.state} problem=${about.problem} /></span>
    <span class="c-version" role="gridcell"><bdi>${about.version}</bdi></span>
    <span class="c-revision" role="gridcell"><code title=${about.revision || undefined}>${about.revision.slice(0, 9)}</code></span>
    <span class="c-zone" role="gridcell"><bdi>${about.zone}</bdi></span>
    <span class="c-port number" role="gridcell">${about.port ?? ''}</span>
    <span class="c-pid number" role="gridcell">${about.pid ?? ''}</span>
    <span class="c-restarts number" role="gridcell" data-some=${(restarts ?? 0) > 0 || undefined}>${restarts === null ? '' : count(restarts)}</span>
    <span class="c-up number" role="gridcell">${about.since && about.pid !== null ? age(now - about.since) : ''}</span>
    <${Figures} of=${row.figures} />
  </div>`;
}

/** Scrolling shows a few new rows; those that stay are not drawn again. */
export const BrickRow = memo(One);

/** Whether rows stand below its own. @param {import('./model.js').Group} group */
function isParent(group) {
  return group.instances.length > 0 || idleVersions(group).length > 0;
}

/** The same elements whatever the row is: one is drawn where another was. @param {{ row: Row, folded: boolean, onToggle: (name: string) => void }} props */
function Name({ row, folded, onToggle }) {
  const { kind, group, instance } = row;
  const fold = (/** @type {Event} */ event) => {
    event.stopPropagation();
    onToggle(group.name);
  };
  const many = (kind === 'group' || kind === 'zone') && isParent(group);
  const below = kind === 'instance' || kind === 'version';
  return html`<span class=${classes('fold', folded && !below && 'folded')} aria-hidden="true" onClick=${many ? fold : undefined}>${many ? '▾' : ''}</span>
    <span class="swatch" aria-hidden="true" style=${{ background: group.platform ? 'var(--strong)' : colourOf(group.name) }}></span>
    <span class="name" title=${kind === 'single' ? instance?.slot : undefined}><bdi>${below ? instance?.slot ?? row.id : group.name}</bdi></span>
    ${instance?.outsider && html`<span class="tag plain-tag" title=${`It joined as ${instance.outsider}`}>outsider</span>`}
    ${!below && group.platform && html`<span class="tag plain-tag">platform</span>`}
    ${!below && group.optional && html`<span class="tag plain-tag">optional</span>`}`;
}

/** @param {{ row: Row, tone: string, state: string, problem: string }} props */
function State({ row, tone, state, problem }) {
  const { kind, group } = row;
  const text = kind === 'version' ? 'no instance' : kind === 'group' || kind === 'zone' ? (group.instances.length ? `${group.ready} of ${group.instances.length} ready` : 'no instance') : state;
  return html`<span class="state" data-tone=${tone} title=${problem || row.instance?.quarantine || undefined}><span class="dot" aria-hidden="true"></span><span>${text}</span></span>`;
}

/** @param {{ of: import('./model.js').Figures | null }} props */
function Figures({ of }) {
  const errors = of?.errors ?? 0;
  const tone = errors >= BAD_SHARE ? 'bad' : errors >= WARN_SHARE ? 'warn' : undefined;
  return html`<span class="c-rate number" role="gridcell">${of ? rate(of.rate) : '–'}</span>
    <span class="c-errors number" role="gridcell" data-tone=${tone}>${of ? percent(of.errors) : '–'}</span>
    <span class="c-p99 number" role="gridcell">${duration(of?.p99)}</span>`;
}
