// What happened while somebody looked elsewhere: a few lines in the corner, read out by screen readers.
import { html, signal } from './html.js';

/** @typedef {{ id: number, tone: 'ok' | 'bad' | 'busy', text: string }} Notice */

const NOTICES_MAX = 4;
const STAY_MS = 6_000;
const notices = signal(/** @type {Notice[]} */ ([]));
let last = 0;

/**
 * Says something. Good news go by themselves, bad ones stay until they are closed.
 * @param {Notice['tone']} tone
 * @param {string} text
 */
export function say(tone, text) {
  const id = (last += 1);
  notices.value = [...notices.value, { id, tone, text }].slice(-NOTICES_MAX);
  if (tone !== 'bad') setTimeout(() => drop(id), STAY_MS);
}

/** @param {number} id */
function drop(id) {
  notices.value = notices.value.filter((one) => one.id !== id);
}

export function Notices() {
  return html`<div class="notices" role="status" aria-label="News">
    ${notices.value.map(
      (one) => html`<p key=${one.id} class="card" data-tone=${one.tone}>
        <span class="dot" aria-hidden="true"></span><span>${one.text}</span>
        <button type="button" class="quiet" onClick=${() => drop(one.id)} aria-label="Close">✕</button>
      </p>`,
    )}
  </div>`;
}
