// The dialog of an action: what it will do, why somebody does it, the command that does the same, and what came of it.
import { html, useState } from './html.js';
import { Command, because } from './command.js';
import { Dialog } from './dialog.js';
import { say } from './notices.js';

/** As much as the audit trail keeps of a reason. */
const WHY_MAX = 500;

/** @param {{ why: string, onWhy: (why: string) => void }} props */
export function Why({ why, onWhy }) {
  return html`<label class="why"><span>Why <span class="muted">for the audit trail</span></span>
    <input name="why" maxlength=${WHY_MAX} value=${why} onInput=${(/** @type {InputEvent} */ event) => onWhy(/** @type {HTMLInputElement} */ (event.currentTarget).value)} autocomplete="off" />
  </label>`;
}

/** @param {{ command: string, why: string }} props */
export function Same({ command, why }) {
  return html`<div class="same"><p class="muted small">The same from the command line:</p><${Command} text=${because(command, why)} /></div>`;
}

/** The head of every dialog. @param {{ title: string, onClose: () => void }} props */
export function DialogHead({ title, onClose }) {
  return html`<header class="dialog-head"><h2><bdi>${title}</bdi></h2><button type="button" class="quiet" onClick=${onClose} aria-label="Close">✕</button></header>`;
}

/**
 * Does one thing and closes; a refusal stays, with its reason. `act` answers what is said when it is done, none where the
 * dialog goes on to show what came of it (`outcome`).
 * @param {{ title: string, go: string, command: string, act: (why: string) => Promise<string>, danger?: boolean, blocked?: boolean,
 *   wide?: boolean, onClose: () => void, outcome?: any, progress?: any, children?: any }} props
 */
export function ActDialog({ title, go, command, act, danger = false, blocked = false, wide = false, onClose, outcome, progress, children }) {
  const [state, setState] = useState({ busy: false, failure: '' });
  const [why, setWhy] = useState('');
  /** @param {SubmitEvent} event */
  const submit = async (event) => {
    event.preventDefault();
    if (state.busy || blocked || outcome) return;
    setState({ busy: true, failure: '' });
    try {
      const told = await act(why);
      if (told) {
        say('ok', told);
        onClose();
      } else {
        setState({ busy: false, failure: '' });
      }
    } catch (error) {
      setState({ busy: false, failure: /** @type {Error} */ (error).message });
    }
  };
  return html`<${Dialog} label=${title} className=${wide ? 'wide' : ''} onClose=${onClose}>
    <${DialogHead} title=${title} onClose=${onClose} />
    <form class="dialog-form" onSubmit=${submit}>
      ${outcome || children}
      ${state.busy && progress}
      ${state.failure && html`<p class="problem" role="alert">${state.failure}</p>`}
      ${!outcome && html`<${Why} why=${why} onWhy=${setWhy} />`}
      ${!outcome && command && html`<${Same} command=${command} why=${why} />`}
      <p class="dialog-foot">
        ${outcome
          ? html`<button type="button" class="button primary" onClick=${onClose}>Close</button>`
          : html`<button type="button" class="button" onClick=${onClose}>Cancel</button>
              <button type="submit" class=${danger ? 'button primary danger' : 'button primary'} disabled=${state.busy || blocked} autofocus=${!danger && !blocked}>${state.failure ? 'Try again' : go}</button>`}
      </p>
    </form>
  </${Dialog}>`;
}
