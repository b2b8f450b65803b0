// What is around every screen: who and where we are, whether the line lives, the theme.
import { html, useEffect, useRef } from './html.js';
import { connection, reason, useLive } from './live.js';
import { path } from './route.js';
import { theme, toggle } from './theme.js';
import { learn } from './colour.js';
import { systemOf } from './overview/model.js';
import { Overview } from './overview.js';
import { Traces } from './traces.js';
import { Trace } from './trace.js';

const TRACE = /^\/console\/traces\/([0-9a-fA-F]{1,64})$/;

/** The whole page. */
export function Shell() {
  const { data } = useLive({ topic: 'system' });
  const system = systemOf(data);
  useEffect(() => learn(system.bricks.map((brick) => brick.name)), [data]);
  const signedOut = connection.value === 'signed-out';
  return html`
    <a class="skip" href="#main">Skip to content</a>
    <${Header} name=${system.name} quiet=${signedOut} />
    <main id="main" tabindex="-1">${signedOut ? html`<${SignedOut} />` : html`<${Screen} />`}</main>
  `;
}

function Screen() {
  const at = path.value;
  const trace = TRACE.exec(at);
  const title = trace ? `Trace ${trace[1].slice(0, 8)}` : at.startsWith('/console/traces') ? 'Traces' : 'Overview';
  const first = useRef(true);
  useEffect(() => {
    document.title = `${title} · Brickwork`;
    if (first.current) first.current = false;
    else document.getElementById('main')?.focus({ preventScroll: true });
  }, [title]);
  if (trace) return html`<${Trace} id=${trace[1].toLowerCase()} key=${trace[1]} />`;
  if (at === '/console/traces' || at === '/console/traces/') return html`<${Traces} />`;
  if (at === '/' || at === '/console' || at === '/console/') return html`<${Overview} />`;
  return html`<section class="empty">
    <h1>No such screen</h1>
    <p>The console has no page at <code>${at}</code>. <a href="/">Back to the overview</a>.</p>
  </section>`;
}

/** @param {{ name: string, quiet: boolean }} props */
function Header({ name, quiet }) {
  const inTraces = path.value.startsWith('/console/traces');
  return html`<header class="top">
    <a class="brand" href="/" aria-label=${name ? `${name}, overview` : 'Brickwork, overview'}>
      <img src="/console/icon.svg" alt="" width="24" height="24" />
      <span class="brand-name">${name || 'Brickwork'}</span>
    </a>
    ${!quiet &&
    html`<nav aria-label="Screens">
      <a href="/" aria-current=${inTraces ? undefined : 'page'}>Overview</a>
      <a href="/console/traces" aria-current=${inTraces ? 'page' : undefined}>Traces</a>
    </nav>`}
    <div class="top-end">
      ${!quiet && html`<${Line} />`}
      <button type="button" class="quiet" onClick=${toggle} title="Change the theme">
        <${ThemeMark} /><span class="sr">Theme: ${theme}, change it</span>
      </button>
    </div>
  </header>`;
}

const LINE = { connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting…', 'signed-out': 'Signed out' };

function Line() {
  const state = connection.value;
  return html`<p class="line" data-state=${state} role="status">
    <span class="dot" aria-hidden="true"></span>${LINE[state]}
  </p>`;
}

function ThemeMark() {
  const chosen = theme.value;
  return html`<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" class="mark">
    ${chosen === 'light' &&
    html`<circle cx="8" cy="8" r="3" /><path d="M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1" />`}
    ${chosen === 'dark' && html`<path d="M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z" />`}
    ${chosen === 'system' && html`<circle cx="8" cy="8" r="6" /><path class="fill" d="M8 2a6 6 0 0 1 0 12z" />`}
  </svg>`;
}

function SignedOut() {
  return html`<section class="empty">
    <h1>You are signed out</h1>
    <p>The console opens with a link that works once. Ask for a fresh one in the folder of your system:</p>
    <pre><code>brick status</code></pre>
    <p>or run <code>brick up</code> again: it attaches to what runs and prints the link.</p>
    ${reason.value && html`<p class="muted small">${reason.value}</p>`}
    <p><a class="button" href=${location.href} target="_self">Try again</a></p>
  </section>`;
}
