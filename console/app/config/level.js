// Levels of log lines of a brick or of one of its instances: what is set, and setting one for a while.
import { ActDialog } from '../act.js';
import { send } from '../api.js';
import { age, dateTime } from '../format.js';
import { html, useState } from '../html.js';
import { usePolled } from '../poll.js';
import { levelCommand, levelsOf } from './model.js';

const EVERY_MS = 3_000;
const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'];
/** How long a level may last: as the command line takes it, in seconds, in words. */
const LASTS = /** @type {[string, number, string][]} */ ([['5m', 300, '5 minutes'], ['10m', 600, '10 minutes'], ['1h', 3_600, 'an hour'], ['24h', 86_400, 'a day'], ['', 0, 'until it is taken back']]);

/** @param {string} brick */
function levelUrl(brick) {
  return `/api/config/v1/${encodeURIComponent(brick)}/log`;
}

/** The levels of a brick, asked again while one looks. @param {string} brick none asks for nothing */
export function useLevels(brick) {
  const told = usePolled(brick ? levelUrl(brick) : '', EVERY_MS);
  return { ...levelsOf(told.data), failure: told.failure, again: told.again };
}

/** How long a level still counts. @param {import('./model.js').Level} level */
export function lasting(level) {
  if (level.until === null) return 'until it is taken back';
  const left = level.until - Date.now();
  return left > 0 ? `for ${age(left)} more` : 'over any moment';
}

/** A level with its end. @param {{ of: import('./model.js').Level }} props */
export function LevelText({ of }) {
  return html`<b><bdi>${of.level}</bdi></b> <span class="muted small" title=${of.until ? dateTime(of.until) : undefined}>${lasting(of)}</span>`;
}

/** @param {{ brick: string, slots: string[], first: string, onDone: () => void, onClose: () => void }} props `first` is the chosen slot, none is the brick */
export function LevelDialog({ brick, slots, first, onDone, onClose }) {
  const [target, setTarget] = useState(first);
  const [level, setLevel] = useState('debug');
  const [lasts, setLasts] = useState('10m');
  const seconds = LASTS.find(([key]) => key === lasts)?.[1] ?? 0;
  const value = (/** @type {Event} */ event) => /** @type {HTMLInputElement | HTMLSelectElement} */ (event.currentTarget).value;
  const act = async (/** @type {string} */ why) => {
    await send('PUT', levelUrl(brick), { level: level.trim(), ...(target && { instance: target }), ...(seconds && { for_s: seconds }) }, { why });
    onDone();
    return `${target || brick} writes ${level.trim()}${seconds ? `, back in ${LASTS.find(([key]) => key === lasts)?.[2]}` : ''}.`;
  };
  return html`<${ActDialog} title=${`Log level of ${target || brick}`} go="Set" command=${levelCommand(target || brick, level.trim(), lasts)} act=${act} blocked=${!level.trim()} onClose=${onClose}>
    <label class="field">Of
      <select onChange=${(/** @type {Event} */ event) => setTarget(value(event))}><option value="" selected=${!target}>all of ${brick}</option>${slots.map((slot) => html`<option key=${slot} value=${slot} selected=${slot === target}>${slot}</option>`)}</select>
    </label>
    <label class="field">Level<input list="log-levels" required autofocus value=${level} onInput=${(/** @type {Event} */ event) => setLevel(value(event))} autocomplete="off" spellcheck=${false} /></label>
    <datalist id="log-levels">${LEVELS.map((one) => html`<option key=${one} value=${one}></option>`)}</datalist>
    <label class="field">For
      <select onChange=${(/** @type {Event} */ event) => setLasts(value(event))}>${LASTS.map(([key, , text]) => html`<option key=${key} value=${key} selected=${key === lasts}>${text}</option>`)}</select>
    </label>
    <p class="muted small">A level for all, or for parts: <code>info,order=debug</code>. Nothing is started again; afterwards it is what it was before, also when control was away meanwhile.</p>
  </${ActDialog}>`;
}

/** @param {{ brick: string, slot: string, onDone: () => void, onClose: () => void }} props the level of the brick where there is no slot */
export function LevelBack({ brick, slot, onDone, onClose }) {
  const name = slot || brick;
  const act = async (/** @type {string} */ why) => {
    await send('DELETE', slot ? `${levelUrl(brick)}?instance=${encodeURIComponent(slot)}` : levelUrl(brick), undefined, { why });
    onDone();
    return `The log level of ${name} is what it was before.`;
  };
  return html`<${ActDialog} title=${`Log level of ${name}`} go="Take back" command=${`brick config log ${name} --reset`} act=${act} onClose=${onClose}>
    <p>The level of <b><bdi>${name}</bdi></b> is taken back: what was said before it counts again.</p>
  </${ActDialog}>`;
}
