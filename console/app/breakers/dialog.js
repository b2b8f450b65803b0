// Holding a breaker by hand: says what will happen, then does it.
import { ActDialog } from '../act.js';
import { html } from '../html.js';
import { KINDS, act, commandOf } from './action.js';
import { callerName } from './model.js';

/** @typedef {import('./model.js').Edge} Edge @typedef {import('./action.js').Kind} Kind */

/** @param {{ kind: string | null, edge: Edge, onClose: () => void }} props */
export function HoldDialog({ kind, edge, onClose }) {
  if (kind !== 'open' && kind !== 'close' && kind !== 'auto') return null;
  const { go, title } = KINDS[kind];
  const name = `${callerName(edge.caller)} → ${edge.callee}`;
  const hold = async (/** @type {string} */ why) => {
    await act(kind, edge, why);
    return `${name}: ${{ open: 'held open', close: 'held closed', auto: 'decides by itself again' }[kind]}.`;
  };
  return html`<${ActDialog} title=${title(name)} go=${go} command=${commandOf(kind, edge)} act=${hold} danger=${kind === 'open'} onClose=${onClose}>
    <${Effect} kind=${kind} edge=${edge} />
  </${ActDialog}>`;
}

/** In words. @param {{ kind: Kind, edge: Edge }} props */
function Effect({ kind, edge }) {
  const [caller, callee] = [html`<b><bdi>${callerName(edge.caller)}</bdi></b>`, html`<b><bdi>${edge.callee}</bdi></b>`];
  const lasts = html`<p>It holds in every instance of ${caller}, new ones too and after a restart, until somebody takes it back.</p>`;
  if (kind === 'open') {
    return html`<p>No call of ${caller} reaches ${callee} any more: each fails at once with 503 <code>breaker_open</code>, or gives its fallback where the manifest has one. Calls under way are finished.</p>${lasts}`;
  }
  if (kind === 'close') {
    return html`<p>Every call of ${caller} goes to ${callee}, however many of them fail: the breaker does not open by itself. Limits of time and number stay.</p>${lasts}`;
  }
  return html`<p>The breaker opens and closes by itself again: by how many calls of ${caller} to ${callee} fail or are slow within its window.</p>`;
}
