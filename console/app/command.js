// A command line to take along: shown as it is typed, copied with one press.
import { copyText } from './clipboard.js';
import { html, useState } from './html.js';

/** @param {{ text: string }} props */
export function Command({ text }) {
  const [told, setTold] = useState('');
  const copy = async () => setTold(await copyText(text));
  return html`<div class="command">
    <code><span class="muted" aria-hidden="true">$ </span>${text}</code>
    <span class="muted small" role="status">${told}</span>
    <button type="button" class="button" onClick=${copy}>Copy<span class="sr"> ${text}</span></button>
  </div>`;
}

/** A word as a shell takes it: in quotes where it holds more than letters that mean nothing to one. @param {string} text */
export function word(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A command with the reason, where one was said. @param {string} command @param {string} why */
export function because(command, why) {
  return why.trim() ? `${command} --why ${word(why.trim())}` : command;
}
