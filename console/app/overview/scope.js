// Which part of the map is shown, and how it is grouped.
import { html } from '../html.js';
import { plural } from '../format.js';
import { change } from '../route.js';
import { NODES_MAX } from './group.js';

const MODES = /** @type {const} */ ([['auto', ''], ['zone', 'zone'], ['none', 'none']]);
const TEXTS = { auto: 'Automatic', zone: 'By zone', none: 'Not' };

/** @param {{ drawn: import('./group.js').Drawn, total: number, focus: string, depth: number, mode: 'auto' | 'zone' | 'none' }} props */
export function Scope({ drawn, total, focus, depth, mode }) {
  const opened = drawn.frames.length > 0 && total > NODES_MAX && drawn.groups.length > 0;
  return html`<div class="scope">
    ${focus &&
    html`<p class="pill"><b>${focus}</b> and its neighbours
        <span class="segments" role="group" aria-label="Steps">
          ${[1, 2].map((steps) => html`<button type="button" key=${steps} aria-pressed=${steps === depth} onClick=${() => change({ depth: steps === 1 ? '' : steps })}>${steps}<span class="sr"> ${steps === 1 ? 'step' : 'steps'}</span></button>`)}
        </span>
        <button type="button" class="link" onClick=${() => change({ focus: '', depth: '' })}>Whole map</button>
      </p>`}
    ${drawn.holder.size > 0 && html`<p class="muted small" role="status">${plural(drawn.holder.size, 'brick')} in ${plural(drawn.nodes.filter((node) => node.kind === 'group').length, 'group')}</p>`}
    ${opened && html`<button type="button" class="link small" onClick=${() => change({ open: '' })}>Close all groups</button>`}
    <label class="small muted">Group <select onChange=${(/** @type {any} */ event) => change({ group: event.currentTarget.value, open: '' })}>
      ${MODES.map(([id, value]) => html`<option key=${id} value=${value} selected=${mode === id}>${TEXTS[id]}</option>`)}
    </select></label>
  </div>`;
}
