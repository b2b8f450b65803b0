// What is behind one edge: its callers one by one, the limits in force, faults that are on.
import { html, useEffect, useState } from '../html.js';
import { age, count, duration, percent, rate } from '../format.js';
import { get } from '../api.js';
import { address, change } from '../route.js';
import { limitsUrl } from './action.js';
import { State } from './cell.js';
import { callerName } from './model.js';

/** @typedef {import('./model.js').Edge} Edge */

const EVERY_MS = 3_000;

/** @param {{ edge: Edge, onClose: () => void }} props */
export function Panel({ edge, onClose }) {
  const { limits, faults, failure } = useBehind(edge);
  const name = `${callerName(edge.caller)} → ${edge.callee}`;
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    if (event.key !== 'Escape' || event.defaultPrevented) return;
    onClose();
    /** @type {HTMLElement | null} */ (document.querySelector('.edge-grid'))?.focus();
  };
  return html`<aside class="card panel" aria-label=${name} tabindex="-1" onKeyDown=${press}>
    <header><h2><bdi>${name}</bdi></h2><button type="button" class="quiet" onClick=${onClose} aria-label="Close">✕</button></header>
    <p class="held"><${State} of=${edge} tone=${edge.tone} />${edge.since > 0 && html`<span class="muted small">for ${age(Date.now() - edge.since)}</span>`}</p>
    <${Actions} edge=${edge} forced=${limits?.override?.breaker?.forced ?? edge.forced} />
    ${edge.mode === 'none'
      ? html`<p class="muted small">No process told of a call on this edge yet. What is held here counts from the first one on.</p>`
      : html`<dl class="figures-list">
          <div><dt>Rate</dt><dd>${edge.rate === null ? `${count(edge.calls)} calls` : rate(edge.rate)}</dd></div>
          <div data-bad=${edge.share >= 0.01 || undefined}><dt>Errors</dt><dd>${percent(edge.share)}</dd></div>
          <div><dt>p50</dt><dd>${duration(edge.p50)}</dd></div>
          <div><dt>p99</dt><dd>${duration(edge.p99)}</dd></div>
          <div data-bad=${edge.rejected > 0 || undefined}><dt>Rejected</dt><dd>${count(edge.rejected)}</dd></div>
          <div><dt>Slow</dt><dd>${count(edge.slow)}</dd></div>
        </dl>`}
    ${edge.callers.length > 0 && html`<${Callers} edge=${edge} />`}
    ${faults.length > 0 && html`<${Faults} rules=${faults} />`}
    ${failure && html`<p class="problem" role="alert">${failure}. Asked again every three seconds.</p>`}
    ${limits && html`<${Limits} limits=${limits} />`}
    <p class="ways">
      <a class="button" href=${address('/console/traces', { service: edge.callee })}>Traces</a>
      <a class="button" href=${address('/console/traces', { service: edge.callee, errors: 1 })}>Failed</a>
      ${edge.caller !== 'edge' && html`<a class="button" href=${address('/console/bricks', { select: `brick:${edge.caller}` })}><bdi>${edge.caller}</bdi></a>`}
      <a class="button" href=${address('/console/bricks', { select: `brick:${edge.callee}` })}><bdi>${edge.callee}</bdi></a>
    </p>
  </aside>`;
}

/** Limits and faults of the edge, asked again while one looks. @param {Edge} edge */
function useBehind(edge) {
  const [told, setTold] = useState(/** @type {{ limits: any, faults: any[], failure: string }} */ ({ limits: null, faults: [], failure: '' }));
  useEffect(() => {
    const stop = new AbortController();
    const url = limitsUrl(edge);
    const look = async () => {
      if (document.visibilityState !== 'visible') return;
      try {
        const [limits, faults] = await Promise.all([get(url, stop.signal), get(url.replace('/limits/', '/faults/'), stop.signal)]);
        setTold({ limits, faults: Array.isArray(faults.rules) ? faults.rules : [], failure: '' });
      } catch (error) {
        if (!stop.signal.aborted) setTold((before) => ({ ...before, failure: /** @type {Error} */ (error).message }));
      }
    };
    void look();
    const timer = setInterval(look, EVERY_MS);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [edge.id, edge.forced]);
  return told;
}

/** @param {{ edge: Edge, forced: string }} props */
function Actions({ edge, forced }) {
  const open = (/** @type {string} */ kind) => () => change({ select: edge.id, do: kind }, { replace: true });
  return html`<p class="ways">
    ${forced !== 'open' && html`<button type="button" class="button danger" onClick=${open('open')}>Hold open…</button>`}
    ${forced !== 'closed' && html`<button type="button" class="button" onClick=${open('close')}>Hold closed…</button>`}
    ${forced && html`<button type="button" class="button" onClick=${open('auto')}>Automatic…</button>`}
  </p>`;
}

/** Who calls, one by one: they need not agree. @param {{ edge: Edge }} props */
function Callers({ edge }) {
  return html`<h3>As each caller sees it</h3>
    <table class="callers">
      <thead><tr><th scope="col">Instance</th><th scope="col">State</th><th scope="col">Rate</th><th scope="col">Errors</th><th scope="col">p99</th><th scope="col"><span aria-hidden="true">Rej.</span><span class="sr">Rejected</span></th></tr></thead>
      <tbody>${edge.callers.map(
        (one) => html`<tr key=${one.slot}>
          <th scope="row"><bdi>${one.slot}</bdi></th>
          <td><${State} of=${one} tone=${{ open: 'bad', 'half-open': 'warn', closed: 'ok', none: 'idle' }[one.mode]} /></td>
          <td>${one.rate === null ? count(one.calls) : rate(one.rate)}</td><td>${percent(one.share)}</td><td>${duration(one.p99)}</td><td>${count(one.rejected)}</td>
        </tr>`,
      )}</tbody>
    </table>`;
}

/** @param {{ rules: any[] }} props */
function Faults({ rules }) {
  return html`<h3>Faults on purpose</h3>
    <ul class="faults">${rules.map((rule, i) => html`<li key=${i}>${faultText(rule)}</li>`)}</ul>`;
}

/** One rule in words. @param {any} rule */
export function faultText(rule) {
  const what = [
    rule.delay_ms !== undefined && `${duration(rule.delay_ms)} later`,
    rule.abort !== undefined && `answered with ${rule.abort}`,
    rule.reset && 'connection reset',
    rule.bytes_per_second !== undefined && `at most ${count(rule.bytes_per_second)} bytes a second`,
  ].filter(Boolean);
  const whom = [rule.share !== undefined && rule.share < 1 && percent(rule.share), rule.header && `calls with ${rule.header.name}: ${rule.header.value}`].filter(Boolean);
  const left = Date.parse(rule.until) - Date.now();
  return `${whom.join(' of ') || 'Every call'}: ${what.join(', ')}${left > 0 ? `; ends in ${age(left)}` : ''}`;
}

/** @param {{ limits: any }} props */
function Limits({ limits }) {
  const rows = rowsOf(limits.effective ?? {});
  return html`<h3>Limits in force${limits.override && html` <span class="tag">changed at run time</span>`}</h3>
    <dl class="facts">${rows.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd><bdi>${value}</bdi></dd></div>`)}</dl>`;
}

/** The limits as names and texts. @param {any} of @returns {[string, string][]} */
function rowsOf(of) {
  const table = (/** @type {any} */ one) => (one && typeof one === 'object' ? one : null);
  const { breaker, retry, concurrency, rate: pace, hedge } = { breaker: table(of.breaker), retry: table(of.retry), concurrency: table(of.concurrency), rate: table(of.rate), hedge: table(of.hedge) };
  /** @type {[string, string | false | null | undefined][]} */
  const rows = [
    ['Time limit', duration(of.timeout_ms)],
    ['Of one try', of.try_timeout_ms !== undefined && duration(of.try_timeout_ms)],
    ['Breaker', breaker ? `opens from ${percent(breaker.error_rate)} errors on, of ${breaker.calls ? `the last ${count(breaker.calls)} calls` : `${duration(breaker.window_ms)}`}, ${count(breaker.min_calls)} calls at least` : 'none'],
    ['Slow', breaker && breaker.slow_rate < 1 && `${percent(breaker.slow_rate)} longer than ${duration(breaker.slow_ms)} open it, too`],
    ['Stays open', breaker && `${duration(breaker.open_ms)}, then ${count(breaker.probes)} calls find out`],
    ['Retries', retry ? `${count(retry.max)}, for ${percent(retry.budget)} of all calls` : 'none'],
    ['Hedge', hedge && `after ${duration(hedge.after_ms)}`],
    ['At once', concurrency && `${count(concurrency.max)}${concurrency.adaptive ? ', fewer when it grows slow' : ''}${concurrency.queue ? `; ${count(concurrency.queue)} may wait ${duration(concurrency.wait_ms)}` : ''}`],
    ['Calls a second', pace && count(pace.per_second)],
    ['Fallback', of.fallback && (typeof of.fallback === 'string' ? 'the last good answer' : of.fallback.brick ? `the brick ${of.fallback.brick}` : `a fixed answer, ${of.fallback.status}`)],
  ];
  return /** @type {[string, string][]} */ (rows.filter(([, value]) => value));
}
