// What of the list is shown: words that a row must hold, and a state.
import { html } from '../html.js';
import { change } from '../route.js';

/** @typedef {import('./model.js').Tone} Tone */

/** @type {{ tone: Tone, text: string }[]} */
const TONES = [
  { tone: 'ok', text: 'Ready' },
  { tone: 'busy', text: 'Starting' },
  { tone: 'warn', text: 'Degraded' },
  { tone: 'bad', text: 'Failing' },
  { tone: 'idle', text: 'Stopped' },
];

/** @param {{ instances: import('./model.js').Instance[], text: string, tone: string, zone: string, byZone: boolean }} props */
export function Filter({ instances, text, tone, zone, byZone }) {
  const zones = [...new Set(instances.map((one) => one.zone).filter(Boolean))].sort();
  if (zone && !zones.includes(zone)) zones.push(zone);
  const counts = new Map(TONES.map((one) => [one.tone, 0]));
  for (const one of instances) counts.set(one.tone, (counts.get(one.tone) ?? 0) + 1);
  const shown = TONES.filter((one) => counts.get(one.tone) || one.tone === tone);
  /** @param {InputEvent} event */
  const write = (event) => change({ q: /** @type {HTMLInputElement} */ (event.currentTarget).value }, { replace: true });
  return html`<div class="brick-filter" role="search" aria-label="Bricks">
    <label class="finder">
      <span class="sr">Filter by name, state, version, revision, zone, port or pid</span>
      <svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true" class="mark"><circle cx="7" cy="7" r="4.5" /><path d="M10.5 10.5L14 14" /></svg>
      <input data-search type="search" placeholder="Filter: name, state, version, zone, pid…" value=${text} onInput=${write} autocomplete="off" spellcheck=${false} />
      <kbd aria-hidden="true">/</kbd>
    </label>
    <div class="tones" role="group" aria-label="State">
      <button type="button" class="chip" aria-pressed=${!tone} onClick=${() => change({ state: '' }, { replace: true })}>All <span class="muted">${instances.length}</span></button>
      ${shown.map(
        (one) => html`<button type="button" class="chip" key=${one.tone} data-tone=${one.tone} aria-pressed=${tone === one.tone} onClick=${() => change({ state: tone === one.tone ? '' : one.tone }, { replace: true })}>
          <span class="dot" aria-hidden="true"></span>${one.text} <span class="muted">${counts.get(one.tone)}</span>
        </button>`,
      )}
    </div>
    ${(zones.length > 1 || zone) && html`<div class="tones" role="group" aria-label="Zone">
      ${zones.map((one) => html`<button type="button" class="chip" key=${one} aria-pressed=${zone === one} onClick=${() => change({ zone: zone === one ? '' : one }, { replace: true })}>Zone <bdi>${one}</bdi></button>`)}
      <label class="check"><input type="checkbox" checked=${byZone} onChange=${() => change({ by: byZone ? '' : 'zone' }, { replace: true })} /> By zone</label>
    </div>`}
  </div>`;
}
