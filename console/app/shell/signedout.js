// Shown instead of every screen where nobody is signed in.
import { html } from '../html.js';
import { Command } from '../command.js';
import { reason } from '../live.js';

export function SignedOut() {
  return html`<section class="empty">
    <h1>You are signed out</h1>
    <p>The console opens with a link that works once, and a session lasts twelve hours. Ask for a fresh link in the folder of your system:</p>
    <${Command} text="brick open" />
    <p>Sign in there, and this tab goes on by itself.</p>
    ${reason.value && html`<p class="muted small">${reason.value}</p>`}
    <p><a class="button" href=${location.href} target="_self">Try again</a></p>
  </section>`;
}
