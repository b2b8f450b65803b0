// Audit: every change with who made it, what was there before and is there after, why, and its trace.
import { classes, html } from './html.js';
import { ago, dateTime, plural } from './format.js';
import { Command } from './command.js';
import { connection } from './live.js';
import { change, params } from './route.js';
import { ENTRIES_MAX, useFeed } from './audit/feed.js';
import { List } from './audit/list.js';
import { askedOf, auditCommand, differencesOf, placeOf } from './audit/model.js';
import { Differences } from './config/values.js';

/** @typedef {import('./audit/model.js').Entry} Entry */

const SINCE = [['', 'all that is kept'], ['15m', '15 minutes'], ['1h', 'an hour'], ['24h', 'a day'], ['168h', 'a week']];
const ACTIONS = ['canary', 'certs', 'client', 'config', 'faults', 'flags', 'key', 'kill', 'limits', 'manifest', 'pools', 'quarantine', 'roll', 'scale', 'token'];

export function Audit() {
  const asked = askedOf(params.value);
  const feed = useFeed(asked);
  const selected = Number(params.value.get('select') ?? 0);
  const entry = feed.entries.find((one) => one.id === selected) ?? null;
  const narrowed = Object.values(asked).some(Boolean);
  const all = feed.next === null;
  return html`<div class=${classes('screen', 'audit', (connection.value === 'reconnecting' || (feed.failure && feed.entries.length > 0)) && 'stale')}>
    <header class="screen-head"><h1>Audit</h1><p class="muted" role="status">${feed.entries.length ? `${plural(feed.entries.length, 'entry', 'entries')}${all ? '' : ', more below'}` : ''}</p></header>
    ${feed.failure && html`<p class="card notice" role="alert">${feed.failure}${feed.entries.length ? ' This is what was last known.' : ''}</p>`}
    <${Form} asked=${asked} />
    <div class=${classes('stage', entry && 'with-panel')}>
      <section class="card" aria-label="Trail">
        ${feed.entries.length > 0 && html`<${List} entries=${feed.entries} before=${feed.before} busy=${feed.busy} selected=${selected} onSelect=${select} onMore=${feed.more} />`}
        ${feed.busy && !feed.entries.length && html`<div class="bricks-wait" role="status" aria-label="Loading">${Array.from({ length: 6 }, (_, i) => html`<span key=${i}></span>`)}</div>`}
        ${!feed.busy && !feed.failure && !feed.entries.length && html`<${Nothing} narrowed=${narrowed} />`}
        ${feed.entries.length >= ENTRIES_MAX && !all && html`<p class="muted small more">The newest ${ENTRIES_MAX} are shown. Narrow the search to see others.</p>`}
      </section>
      ${entry && html`<${Detail} key=${entry.id} entry=${entry} />`}
    </div>
    <${Command} text=${auditCommand(asked)} />
  </div>`;
}

/** @param {number} id */
function select(id) {
  change({ select: id || '' }, { replace: true });
}

/** What is asked for; each field narrows as it is written. @param {{ asked: import('./audit/model.js').Asked }} props */
function Form({ asked }) {
  const set = (/** @type {string} */ name) => (/** @type {Event} */ event) => change({ [name]: /** @type {HTMLInputElement} */ (event.currentTarget).value, select: '' }, { replace: true });
  return html`<form class="audit-form" role="search" aria-label="Audit trail" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
    <label class="finder"><span class="sr">Any text: target, value, reason</span>
      <svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true" class="mark"><circle cx="7" cy="7" r="4.5" /><path d="M10.5 10.5L14 14" /></svg>
      <input data-search type="search" placeholder="Any text: target, value, reason…" value=${asked.text} onInput=${set('q')} autocomplete="off" spellcheck=${false} /><kbd aria-hidden="true">/</kbd>
    </label>
    <label class="small-field">Who<input value=${asked.who} placeholder="operator" onInput=${set('who')} autocomplete="off" spellcheck=${false} /></label>
    <label class="small-field">Action<input value=${asked.action} list="audit-actions" placeholder="config, pools.set" onInput=${set('action')} autocomplete="off" spellcheck=${false} /></label>
    <datalist id="audit-actions">${ACTIONS.map((one) => html`<option key=${one} value=${one}></option>`)}</datalist>
    <label class="small-field">Target<input value=${asked.target} placeholder="order" onInput=${set('target')} autocomplete="off" spellcheck=${false} /></label>
    <label class="small-field">Since<select onChange=${set('since')}>${(SINCE.some(([key]) => key === asked.since) ? SINCE : [...SINCE, [asked.since, asked.since]]).map(([key, text]) => html`<option key=${key} value=${key} selected=${key === asked.since}>${text}</option>`)}</select></label>
  </form>`;
}

/** @param {{ entry: Entry }} props */
function Detail({ entry }) {
  const { items, same } = differencesOf(entry.before, entry.after);
  const place = placeOf(entry.target);
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    if (event.key !== 'Escape' || event.defaultPrevented) return;
    select(0);
    /** @type {HTMLElement | null} */ (document.querySelector('.audit-rows'))?.focus();
  };
  const name = `${entry.action} ${entry.target}`;
  return html`<aside class="card panel" aria-label=${name} tabindex="-1" onKeyDown=${press}>
    <header><h2><bdi>${name}</bdi></h2><button type="button" class="quiet" onClick=${() => select(0)} aria-label="Close">✕</button></header>
    <dl class="facts">
      <div><dt>Who</dt><dd><button type="button" class="link accent" onClick=${() => change({ who: entry.who, select: '' })}><bdi>${entry.who}</bdi><span class="sr">: only what they did</span></button></dd></div>
      <div><dt>When</dt><dd>${dateTime(entry.at)}, ${ago(entry.at)}</dd></div>
      <div><dt>Number</dt><dd>${entry.id}</dd></div>
      ${entry.why && html`<div><dt>Why</dt><dd><bdi>${entry.why}</bdi></dd></div>`}
    </dl>
    <h3>What changed</h3>
    ${items.length
      ? items.length === 1 && !items[0].key ? html`<${Whole} item=${items[0]} />` : html`<${Differences} items=${items} />`
      : html`<p class="muted small">${same ? 'Nothing differs between before and after.' : 'The entry holds no values.'}</p>`}
    ${items.length > 0 && same > 0 && html`<p class="muted small">${plural(same, 'other value stayed as it was', 'other values stayed as they were')}.</p>`}
    <p class="ways">
      ${place && html`<a class="button" href=${place}>Show it</a>`}
      ${entry.trace && html`<a class="button" href=${`/console/traces/${entry.trace}`}>Trace</a>`}
      <button type="button" class="button" onClick=${() => change({ target: entry.target, select: '' })}>Same target</button>
    </p>
  </aside>`;
}

/** A value that is no table, whole. @param {{ item: import('./config/model.js').Difference }} props */
function Whole({ item }) {
  const text = (/** @type {any} */ value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));
  return html`<div class="whole">
    <p class="minus"><span class="muted small">Before</span> ${item.before === undefined ? html`<span class="muted">was not there</span>` : html`<code>${text(item.before)}</code>`}</p>
    <p class="plus"><span class="muted small">After</span> ${item.after === undefined ? html`<span class="muted">is gone</span>` : html`<code>${text(item.after)}</code>`}</p>
  </div>`;
}

/** @param {{ narrowed: boolean }} props */
function Nothing({ narrowed }) {
  return html`<div class="hint">
    ${narrowed
      ? html`<p>Nothing matches. <button type="button" class="link accent" onClick=${() => change({ q: '', who: '', action: '', target: '', since: '' })}>Clear the search</button></p>`
      : html`<p>Nothing was changed yet. Every change through the console, <code>brick</code> or an API stands here.</p>`}
  </div>`;
}
