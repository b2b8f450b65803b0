// How the connection stands, said plainly.
import { html, useEffect, useState } from '../html.js';
import { connection, heardOnce, lostAt, retryAt, retryNow } from '../live.js';
import { time } from '../format.js';

const LINE = { connecting: 'Connecting', live: 'Live', reconnecting: 'Connection lost', 'signed-out': 'Signed out' };
/** A line that is back within this time is not worth a banner. */
const PATIENCE_MS = 700;

/** In the header. Only changes are read out, not the countdown. */
export function Line() {
  const state = connection.value;
  return html`<p class="line" data-state=${state} role="status">
    <span class="dot" aria-hidden="true"></span><span class="line-text">${LINE[state]}</span>
  </p>`;
}

/** Below the header, while the line is lost. */
export function LostLine() {
  const lost = connection.value === 'reconnecting';
  const now = useClock(lost ? 250 : 0);
  if (!lost || now - lostAt.value < PATIENCE_MS) return null;
  const rest = Math.ceil((retryAt.value - now) / 1000);
  return html`<div class="lost">
    <p>
      <b>Connection lost</b>, ${rest > 0 ? `trying again in ${rest} s` : 'trying again now'}.
      <span class="muted"> ${heardOnce.value && `What you see is as of ${time(lostAt.value).slice(0, 8)}. `}Is <code>brick up</code> still running?</span>
    </p>
    <button type="button" class="button" onClick=${retryNow}>Try now</button>
  </div>`;
}

/** The time, anew each so many milliseconds; 0 stands still. @param {number} ms */
function useClock(ms) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!ms) return undefined;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), ms);
    return () => clearInterval(timer);
  }, [ms]);
  return now;
}
