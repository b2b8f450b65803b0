// The search over the lines, and the time it looks at.
import { html, useEffect, useRef, useState } from '../html.js';
import { change, params } from '../route.js';

const RANGES = [
  ['', 'All that is kept'],
  ['5m', 'Last 5 minutes'],
  ['15m', 'Last 15 minutes'],
  ['1h', 'Last hour'],
  ['6h', 'Last 6 hours'],
  ['24h', 'Last day'],
];
const TYPING_MS = 300;

export function Form() {
  const asked = params.value;
  const sought = asked.get('q') ?? '';
  const [text, setText] = useState(sought);
  const timer = useRef(0);
  useEffect(() => setText(sought), [sought]);
  useEffect(() => () => clearTimeout(timer.current), []);
  /** @param {string} value */
  const type = (value) => {
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => change({ q: value.trim(), context: '' }, { replace: true }), TYPING_MS);
  };
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    clearTimeout(timer.current);
    change({ q: text.trim(), context: '' });
  };
  return html`<form class="log-search" role="search" aria-label="Logs" onSubmit=${submit}>
    <label class="wide"><span class="sr">Search messages and fields</span>
      <input type="search" name="q" data-search value=${text} placeholder="Search messages and fields" autocomplete="off" spellcheck=${false} onInput=${(/** @type {any} */ event) => type(event.currentTarget.value)} />
    </label>
    <${Range} asked=${asked} />
    ${asked.get('trace') && html`<span class="pill">trace <code>${asked.get('trace')?.slice(0, 8)}</code><button type="button" class="link" aria-label="All traces" onClick=${() => change({ trace: '' })}>✕</button></span>`}
  </form>`;
}

/** @param {{ asked: URLSearchParams }} props */
function Range({ asked }) {
  const [since, until] = [asked.get('since') ?? '', asked.get('until') ?? ''];
  const fixed = until !== '' || !RANGES.some(([id]) => id === since);
  const [open, setOpen] = useState(fixed);
  useEffect(() => setOpen(fixed), [fixed]);
  /** @param {string} value */
  const pick = (value) => {
    setOpen(value === 'fixed');
    if (value !== 'fixed') change({ since: value, until: '', context: '' });
  };
  /** @param {string} key @param {string} local */
  const set = (key, local) => change({ [key]: local ? new Date(local).toISOString() : '', context: '' }, { replace: true });
  return html`<label><span class="sr">Time</span>
      <select name="since" onChange=${(/** @type {any} */ event) => pick(event.currentTarget.value)}>
        ${RANGES.map(([id, text]) => html`<option key=${id} value=${id} selected=${!open && id === since}>${text}</option>`)}
        <option value="fixed" selected=${open}>From … to …</option>
      </select>
    </label>
    ${open &&
    html`<label><span class="sr">From</span><input type="datetime-local" step="1" value=${localOf(since)} onChange=${(/** @type {any} */ event) => set('since', event.currentTarget.value)} /></label>
      <label><span class="sr">To</span><input type="datetime-local" step="1" value=${localOf(until)} onChange=${(/** @type {any} */ event) => set('until', event.currentTarget.value)} /></label>`}`;
}

/** As a date field takes it: local time without a zone. @param {string} text */
function localOf(text) {
  const ms = Date.parse(text);
  if (!Number.isFinite(ms)) return '';
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
