// The dialog of an action: what it will do, why somebody does it, the command that does the same, and what came of it.
import { html, useState } from './html.js';
import { send } from './api.js';
import { Command, because } from './command.js';
import { Dialog } from './dialog.js';
import { say } from './notices.js';

/** As much as the audit trail keeps of a reason. */
const WHY_MAX = 500;

/** What stands in the field. @param {Event} event */
export const valueOf = (event) => /** @type {HTMLInputElement | HTMLSelectElement} */ (event.currentTarget).value;

/**
 * Puts what is wanted in the place of what the dialog shows, or takes that back; refused where it is something else by now.
 * @param {string} url @param {string} tag @param {unknown} wanted none takes it back @param {string} why @param {() => void} onDone
 */
export async function replace(url, tag, wanted, why, onDone) {
  try {
    await (wanted ? send('PUT', url, wanted, { why, tag }) : send('DELETE', url, undefined, { why, tag }));
  } finally {
    // Also of what was refused: it may say what somebody else made of it.
    onDone();
  }
}

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
 * What a dialog changes is what was there when it opened, until one goes on from what somebody else made of it.
 * @template {{ tag: string }} T
 * @param {T} now what is there now; `tag` tells one state of it from another
 * @returns {{ held: T, changed: boolean, take: () => void }}
 */
export function useHeld(now) {
  const [held, setHeld] = useState(now);
  return { held, changed: held.tag !== now.tag, take: () => setHeld(now) };
}

/** Instead of the way on, where somebody else was there first. @param {{ now: string, onTake: () => void }} props */
export function Meanwhile({ now, onTake }) {
  return html`<div class="meanwhile" role="alert"><p>Somebody changed it since this was opened. Now: <b><bdi>${now}</bdi></b>.</p>
    <button type="button" class="button" onClick=${onTake}>Go on from that</button></div>`;
}

/**
 * Does one thing and closes; a refusal stays, with its reason. `act` answers what is said when it is done, none where the
 * dialog goes on to show what came of it (`outcome`). `meanwhile` stands in the way until it is settled; what was refused of one
 * `round` is not said of the next.
 * @param {{ title: string, go: string, command: string, act: (why: string) => Promise<string>, danger?: boolean, blocked?: boolean,
 *   wide?: boolean, round?: string, meanwhile?: any, onClose: () => void, outcome?: any, progress?: any, children?: any }} props
 */
export function ActDialog({ title, go, command, act, danger = false, blocked = false, wide = false, round = '', meanwhile, onClose, outcome, progress, children }) {
  const [state, setState] = useState({ busy: false, failure: '', round });
  const failure = state.round === round && !meanwhile ? state.failure : '';
  const barred = blocked || Boolean(meanwhile);
  const [why, setWhy] = useState('');
  /** @param {SubmitEvent} event */
  const submit = async (event) => {
    event.preventDefault();
    if (state.busy || barred || outcome) return;
    setState({ busy: true, failure: '', round });
    try {
      const told = await act(why);
      if (told) {
        say('ok', told);
        onClose();
      } else {
        setState({ busy: false, failure: '', round });
      }
    } catch (error) {
      setState({ busy: false, failure: /** @type {Error} */ (error).message, round });
    }
  };
  return html`<${Dialog} label=${title} className=${wide ? 'wide' : ''} onClose=${onClose}>
    <${DialogHead} title=${title} onClose=${onClose} />
    <form class="dialog-form" onSubmit=${submit}>
      ${outcome || children}
      ${state.busy && progress}
      ${failure && html`<p class="problem" role="alert">${failure}</p>`}
      ${!state.busy && meanwhile}
      ${!outcome && html`<${Why} why=${why} onWhy=${setWhy} />`}
      ${!outcome && command && html`<${Same} command=${command} why=${why} />`}
      <p class="dialog-foot">
        ${outcome
          ? html`<button type="button" class="button primary" onClick=${onClose}>Close</button>`
          : html`<button type="button" class="button" onClick=${onClose}>Cancel</button>
              <button type="submit" class=${danger ? 'button primary danger' : 'button primary'} disabled=${state.busy || barred} autofocus=${!danger && !barred}>${failure ? 'Try again' : go}</button>`}
      </p>
    </form>
  </${Dialog}>`;
}
