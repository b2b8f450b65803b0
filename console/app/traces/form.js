// The search form. A pasted trace id goes straight to its trace.
import { html } from '../html.js';
import { navigate, params } from '../route.js';

const SINCE = [
  ['5m', 'Last 5 minutes'],
  ['15m', 'Last 15 minutes'],
  ['1h', 'Last hour'],
  ['6h', 'Last 6 hours'],
  ['24h', 'Last day'],
  ['7d', 'Last 7 days'],
];
const TRACE_ID = /^[0-9a-f]{32}$/i;

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
    else onSearch({ ...fields, trace: '', since: fields.since === '15m' ? '' : fields.since });
  };
  const known = [...new Set(['gateway', ...services, value('service')])].filter(Boolean);
  return html`<form class="card search" role="search" aria-label="Traces" onSubmit=${submit}>
    <label>Service
      <select name="service">
        <option value="">All services</option>
        ${known.map((name) => html`<option key=${name} value=${name} selected=${value('service') === name}>${name}</option>`)}
      </select>
    </label>
    <label>Operation <input name="operation" value=${value('operation')} placeholder="POST /api/orders" autocomplete="off" spellcheck="false" /></label>
    <label>Attribute <input name="attr" value=${value('attr')} placeholder="http.route=/checkout" autocomplete="off" spellcheck="false" pattern="[^=]+=.*" title="key=value" /></label>
    <label class="brief">Longer than <span class="unit"><input name="min" value=${value('min')} inputmode="decimal" pattern="[0-9]*[.]?[0-9]*" placeholder="0" title="milliseconds" autocomplete="off" /><span>ms</span></span></label>
    <label>Time
      <select name="since">${SINCE.map(([id, text]) => html`<option key=${id} value=${id} selected=${(value('since') || '15m') === id}>${text}</option>`)}</select>
    </label>
    <label>Trace id <input name="trace" placeholder="32 hex digits" autocomplete="off" spellcheck="false" pattern="\\s*[0-9a-fA-F]{32}\\s*" title="32 hex digits" /></label>
    <label class="check"><input type="checkbox" name="errors" value="1" checked=${Boolean(value('errors'))} /> Errors only</label>
    <button type="submit" class="button primary">Search</button>
  </form>`;
}
