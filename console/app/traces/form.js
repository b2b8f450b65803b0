// The search form. A pasted trace id goes straight to its trace.
import { html } from '../html.js';
import { time } from '../format.js';
import { navigate, params } from '../route.js';
import { TRACE_ID } from './query.js';

const SINCE = [
  ['5m', '5 minutes'],
  ['15m', '15 minutes'],
  ['1h', '1 hour'],
  ['6h', '6 hours'],
  ['24h', '1 day'],
  ['7d', '7 days'],
];
const SYNTHETIC = [
  ['', 'Shown too'],
  ['false', 'Left out'],
  ['only', 'Alone'],
];

/** @param {string} text */
function clock(text) {
  const ms = Date.parse(text);
  return Number.isFinite(ms) ? time(ms).slice(0, 8) : text;
}

/** @param {{ services: string[], onSearch: (asked: Record<string, string>) => void }} props */
export function Form({ services, onSearch }) {
  const asked = params.value;
  /** @param {string} name */
  const value = (name) => asked.get(name) ?? '';
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    const fields = Object.fromEntries([...form].map(([name, text]) => [name, String(text).trim()]));
    if (TRACE_ID.test(fields.trace)) navigate(`/console/traces/${fields.trace.toLowerCase()}`);
    else onSearch({ ...fields, trace: '', errors: value('errors'), since: fields.since === '15m' ? '' : fields.since, until: fields.since === value('since') ? value('until') : '' });
  };
  const [since, until] = [value('since') || '15m', value('until')];
  const fixed = until || !SINCE.some(([id]) => id === since);
  const known = [...new Set(['gateway', ...services, value('service')])].filter(Boolean);
  return html`<form class="card search" role="search" aria-label="Traces" onSubmit=${submit}>
    <label>Service
      <select name="service">
        <option value="">All services</option>
        ${known.map((name) => html`<option key=${name} value=${name} selected=${value('service') === name}>${name}</option>`)}
      </select>
    </label>
    <label>Operation <input name="operation" data-search defaultValue=${value('operation')} placeholder="GET /cart" autocomplete="off" spellcheck=${false} /></label>
    <label>Attribute <input name="attr" defaultValue=${value('attr')} placeholder="key=value" autocomplete="off" spellcheck=${false} pattern="[^=]+=.*" title="key=value" /></label>
    <label class="brief">Longer than <span class="unit"><input name="min" defaultValue=${value('min')} inputmode="decimal" pattern="[0-9]*[.]?[0-9]*" placeholder="0" title="milliseconds" autocomplete="off" /><span>ms</span></span></label>
    <label class="brief">Shorter than <span class="unit"><input name="max" defaultValue=${value('max')} inputmode="decimal" pattern="[0-9]*[.]?[0-9]*" placeholder="any" title="milliseconds" autocomplete="off" /><span>ms</span></span></label>
    <label>Time
      <select name="since">
        ${fixed && html`<option value=${since} selected>${clock(since)} to ${until ? clock(until) : 'now'}</option>`}
        ${SINCE.map(([id, text]) => html`<option key=${id} value=${id} selected=${!fixed && since === id}>${text}</option>`)}
      </select>
    </label>
    <label>Tests
      <select name="synthetic">${SYNTHETIC.map(([id, text]) => html`<option key=${id} value=${id} selected=${value('synthetic') === id}>${text}</option>`)}</select>
    </label>
    <label>Trace id <input name="trace" placeholder="32 hex digits" autocomplete="off" spellcheck=${false} pattern="\\s*[0-9a-fA-F]{32}\\s*" title="32 hex digits" /></label>
    <button type="submit" class="button primary">Search</button>
  </form>`;
}
