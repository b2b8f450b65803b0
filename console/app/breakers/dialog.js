// Holding a breaker by hand: says what will happen, then does it.
import { html, useState } from '../html.js';
import { Command } from '../command.js';
import { Dialog } from '../dialog.js';
import { say } from '../notices.js';
import { KINDS, act, commandOf } from './action.js';
import { callerName } from './model.js';

/** @typedef {import('./model.js').Edge} Edge @typedef {import('./action.js').Kind} Kind */

/** @param {{ kind: string | null, edge: Edge, onClose: () => void }} props */
export function HoldDialog({ kind, edge, onClose }) {
  const [state, setState] = useState({ busy: false, failure: '' });
  if (kind !== 'open' && kind !== 'close' && kind !== 'auto') return null;
  const { go, title } = KINDS[kind];
  const name = `${callerName(edge.caller)} → ${edge.callee}`;
  const danger = kind === 'open';
  /** @param {SubmitEvent} event */
  const submit = async (event) => {
    event.preventDefault();
    if (state.busy) return;
    setState({ busy: true, failure: '' });
    try {
      await act(kind, edge);
      say('ok', `${name}: ${{ open: 'held open', close: 'held closed', auto: 'decides by itself again' }[kind]}.`);
      onClose();
    } catch (error) {
      setState({ busy: false, failure: /** @type {Error} */ (error).message });
    }
  };
  return html`<${Dialog} label=${title(name)} onClose=${onClose}>
    <header class="dialog-head"><h2><bdi>${title(name)}</bdi></h2><button type="button" class="quiet" onClick=${onClose} aria-label="Close">✕</button></header>
    <form class="dialog-form" onSubmit=${submit}>
      <${Effect} kind=${kind} edge=${edge} />
      ${state.failure && html`<p class="problem" role="alert">${state.failure}</p>`}
      <div class="same"><p class="muted small">The same from the command line:</p><${Command} text=${commandOf(kind, edge)} /></div>
      <p class="dialog-foot">
        <button type="button" class="button" onClick=${onClose}>Cancel</button>
        <button type="submit" class=${danger ? 'button primary danger' : 'button primary'} disabled=${state.busy} autofocus=${!danger}>${state.failure ? 'Try again' : go}</button>
      </p>
    </form>
  </${Dialog}>`;
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
