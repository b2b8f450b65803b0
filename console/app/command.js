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
