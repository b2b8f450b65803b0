// The log lines of the whole system: what comes, live, and what was. What is asked for stands in the URL.
import { batch, classes, html, useEffect, useLayoutEffect, useMemo, useRef, useState } from './html.js';
import { copyText } from './clipboard.js';
import { compact, count, plural, time } from './format.js';
import { get } from './api.js';
import { address, change, navigate, params } from './route.js';
import { contextUrl, asText, identity, isOpen } from './logs/query.js';
import { Detail, traceAddress } from './logs/detail.js';
import { LogFacets } from './logs/facets.js';
import { Feed } from './logs/feed.js';
import { Form } from './logs/form.js';
import { lineOf } from './logs/ring.js';
import { Rows } from './logs/rows.js';
import { useLineKeys } from './logs/keys.js';

/** @typedef {import('./logs/ring.js').Line} Line */

const AROUND = 20;
const AROUND_MAX = 200;

export function Logs() {
  const asked = params.value;
  const context = asked.get('context') ?? '';
  return html`<div class="screen logs">
    <header class="screen-head">
      <h1>Logs</h1>
      <${Form} />
    </header>
    <div class="logs-stage">
      <${LogFacets} />
      ${context ? html`<${Context} key=${context} id=${context} />` : html`<${Stream} key=${identity(asked)} />`}
    </div>
  </div>`;
}

/** The view is held by the URL, so that back and a copied address show what was looked at. @param {boolean} held */
function hold(held) {
  change({ live: held ? 'off' : '', ...(!held && { at: '' }) }, { replace: true });
}

function Stream() {
  const held = params.value.get('live') === 'off' || !isOpen(params.value);
  const feed = useMemo(() => new Feed(params.peek(), held), []);
  useEffect(() => {
    feed.start();
    return () => feed.stop();
  }, [feed]);
  // Before the page says so: a paused view stands still from its first frame.
  useLayoutEffect(() => feed.hold(held), [held]);
  const painted = feed.painted.value;
  const status = feed.status.value;
  const [chosen, setChosen] = useState(/** @type {Line | null} */ (null));
  const at = params.value.get('at') ?? '';
  // An address names its line; it is chosen as soon as it is there.
  useEffect(() => {
    if (!at || chosen?.id === at) return;
    const found = feed.lines.at(feed.lines.find(at));
    if (found) setChosen(found);
  }, [at, painted]);
  /** @param {Line | null} line */
  const choose = (line) => batch(() => {
    setChosen(line);
    change({ at: line?.id, ...(line && isOpen(params.peek()) && { live: 'off' }) }, { replace: true });
  });
  return html`<${List}
    lines=${feed.lines} painted=${painted} prepended=${feed.prepended} following=${!held} chosen=${chosen} onChoose=${choose}
    onHold=${() => hold(true)} onResume=${() => hold(false)} onTop=${() => void feed.older()} label="Log lines, oldest first"
    bar=${html`<${Bar} status=${status} held=${held} lines=${feed.lines.length} lost=${feed.lines.lost} />`}
    notes=${html`<${Notes} status=${status} lines=${feed.lines.length} />`}
    pill=${held && isOpen(params.value) && html`<${Resume} waiting=${status.waiting} />`}
  />`;
}

/** @param {{ waiting: number }} props */
function Resume({ waiting }) {
  return html`<button type="button" class="resume button primary" onClick=${() => hold(false)}>
    ${waiting > 0 ? plural(waiting, 'new line') : 'Follow'} <span aria-hidden="true">↓</span>
  </button>`;
}

/** @param {{ status: import('./logs/feed.js').Status, held: boolean, lines: number, lost: number }} props */
function Bar({ status, held, lines, lost }) {
  const open = isOpen(params.value);
  const text = !open ? 'History' : status.state === 'again' ? 'Connection lost, trying again' : held ? 'Paused' : status.state === 'loading' ? 'Loading' : 'Live';
  return html`<div class="log-bar">
    ${open
      ? html`<button type="button" class="button" aria-pressed=${held} onClick=${() => hold(!held)}>${held ? 'Resume' : 'Pause'} <kbd>space</kbd></button>`
      : html`<button type="button" class="button" onClick=${() => change({ until: '', since: '' })}>Back to now</button>`}
    <p class="line" role="status" data-state=${!open || held ? 'held' : status.state === 'again' ? 'reconnecting' : 'live'}><span class="dot" aria-hidden="true"></span>${text}</p>
    <p class="muted small">${compact(lines)} lines${open && status.perSecond > 0 ? ` · ${count(status.perSecond)}/s` : ''}</p>
    ${(status.dropped > 0 || status.passed > 0) && html`<p class="small warn" role="status">${told(status)}</p>`}
    ${lost > 0 && html`<p class="muted small" title="The page keeps the newest lines; scroll up while paused to load older ones.">older lines left the page</p>`}
    <p class="muted small keys">j k choose · Enter details · t trace · c context · y copy</p>
  </div>`;
}

/** @param {import('./logs/feed.js').Status} status */
function told({ dropped, passed }) {
  const parts = [];
  if (dropped) parts.push(`${plural(dropped, 'line')} dropped: this page could not keep up`);
  if (passed) parts.push(`${plural(passed, 'line')} passed while paused`);
  return `${parts.join(', ')}. A search still finds what telemetry keeps.`;
}

/** @param {{ status: import('./logs/feed.js').Status, lines: number }} props */
function Notes({ status, lines }) {
  const narrowed = ['brick', 'instance', 'version', 'level', 'q', 'trace', 'since', 'until'].some((key) => params.value.get(key));
  if (status.failure) return html`<p class="hint" role="alert">${status.failure}</p>`;
  if (!status.loaded) return html`<p class="hint">Loading the newest lines…</p>`;
  if (lines > 0) return null;
  const [level, brick] = [params.value.get('level'), params.value.get('brick')];
  return html`<div class="hint">${narrowed
    ? html`<p>No line matches${isOpen(params.value) ? ' yet; a new one shows here at once' : ''}. <a href="/console/logs">Clear the filters</a>${params.value.get('since') ? ', or look at more time' : ''}.
        ${level === 'error' && html` A brick that handles a failure may only warn: <button type="button" class="link accent" onClick=${() => change({ level: 'warn' })}>show warnings too</button>.`}
        ${level && brick && html` A request can fail without a word in the log: <a href=${address('/console/traces', { service: brick, errors: 1 })}>the failed traces of <bdi>${brick}</bdi></a>.`}</p>`
    : html`<p>No line yet. Whatever a brick prints shows here; <code>brick logs --follow</code> tells the same in the terminal.</p>`}</div>`;
}

/** Lines around one, of the same instance. @param {{ id: string }} props */
function Context({ id }) {
  const around = Math.min(AROUND_MAX, Math.max(1, Number(params.value.get('around')) || AROUND));
  const [lines, setLines] = useState(/** @type {Line[]} */ ([]));
  const [note, setNote] = useState('Loading the lines around it…');
  const [chosen, setChosen] = useState(/** @type {Line | null} */ (null));
  useEffect(() => {
    const stop = new AbortController();
    get(contextUrl(id, around), stop.signal).then(
      (page) => {
        const found = (page.items ?? []).map(lineOf);
        setLines(found);
        setChosen((before) => found.find((/** @type {Line} */ line) => line.id === (before?.id ?? id)) ?? null);
        setNote('');
      },
      (error) => !stop.signal.aborted && setNote(error.status === 404 ? 'This line is no longer kept: the store was full and let it go.' : error.message),
    );
    return () => stop.abort();
  }, [id, around]);
  const back = () => change({ context: '', around: '' });
  const middle = lines.find((line) => line.id === id);
  return html`<${List}
    lines=${{ length: lines.length, at: (/** @type {number} */ i) => lines[i] ?? null, indexOf: (/** @type {Line | null} */ line) => lines.findIndex((one) => one.id === line?.id) }}
    painted=${lines.length} prepended=${0} following=${false} chosen=${chosen} onChoose=${setChosen} marked=${id} label="Lines around the chosen one"
    onHold=${() => {}} onResume=${back} onTop=${() => {}}
    bar=${html`<div class="log-bar">
      <button type="button" class="button" onClick=${back}>← Back to the search</button>
      <p>${middle ? html`<b>${middle.instance}</b> around ${time(middle.ms)}` : 'Context'}</p>
      ${around < AROUND_MAX && html`<button type="button" class="button" onClick=${() => change({ around: Math.min(AROUND_MAX, around * 3) }, { replace: true })}>More lines</button>`}
      <p class="muted small">${lines.length ? plural(lines.length, 'line') : ''}</p>
    </div>`}
    notes=${note && html`<p class="hint" role="status">${note}</p>`}
    pill=${null}
  />`;
}

/**
 * The list with its bar, its keyboard and the details of the chosen line.
 * @param {{ lines: import('./logs/rows.js').Lines & { indexOf: (line: Line | null) => number }, painted: number, prepended: number,
 *   following: boolean, chosen: Line | null, marked?: string, label: string, bar: any, notes: any, pill: any, onChoose: (line: Line | null) => void,
 *   onHold: () => void, onResume: () => void, onTop: () => void }} props
 */
function List({ lines, painted, prepended, following, chosen, marked, label, bar, notes, pill, onChoose, onHold, onResume, onTop }) {
  const [copied, setCopied] = useState('');
  const place = useRef(-1);
  const here = following ? -1 : lines.indexOf(chosen);
  if (here >= 0) place.current = here;
  const detailed = chosen && !following && params.value.get('detail') !== 'off';
  useEffect(() => setCopied(''), [chosen]);
  const move = (/** @type {number} */ by) => {
    const from = here >= 0 ? here : following || place.current < 0 ? lines.length : place.current;
    onChoose(lines.at(Math.min(Math.max(from + by, 0), lines.length - 1)));
  };
  const copy = async () => {
    if (!chosen) return;
    setCopied(await copyText(asText(chosen)));
  };
  const context = () => chosen?.id && change({ context: chosen.id, at: chosen.id, around: '' });
  useLineKeys({
    move,
    end: (last) => onChoose(lines.at(last ? lines.length - 1 : 0)),
    pause: () => (following ? onHold() : onResume()),
    details: () => chosen && change({ detail: detailed ? 'off' : '' }, { replace: true }),
    trace: () => chosen?.trace_id && navigate(traceAddress(chosen)),
    context,
    copy: () => void copy(),
    close: () => onChoose(null),
  });
  return html`<div class=${classes('stage', detailed && 'with-panel')}>
    <section class="card log-list" aria-label="Lines">
      ${bar}${notes}
      <${Rows} lines=${lines} painted=${painted} prepended=${prepended} following=${following} chosen=${here} sought=${params.value.get('q') ?? ''} label=${label}
        marked=${marked} onChoose=${(/** @type {number} */ i) => onChoose(lines.at(i))} onHold=${onHold} onTop=${onTop} />
      ${pill}
    </section>
    ${detailed && html`<${Detail} line=${chosen} sought=${params.value.get('q') ?? ''} told=${copied} onClose=${() => onChoose(null)} onContext=${chosen.id && !marked ? context : null} onCopy=${copy} />`}
  </div>`;
}
