// What is around every screen: where we are, whether the line lives, keys, palette, theme.
import { Boundary } from './shell/boundary.js';
import { html, useEffect, useRef } from './html.js';
import { learn } from './colour.js';
import { keyHelp, useKeys } from './keys.js';
import { KeyList } from './shell/keylist.js';
import { Line, LostLine } from './shell/line.js';
import { SignedOut } from './shell/signedout.js';
import { Notices } from './notices.js';
import { connection, useLive } from './live.js';
import { Palette, openPalette } from './palette.js';
import { navigate, path } from './route.js';
import { SCREENS, screenAt } from './screens.js';
import { theme, toggle } from './theme.js';
import { systemOf } from './overview/model.js';

/** The whole page. */
export function Shell() {
  const { data } = useLive({ topic: 'system' });
  const system = systemOf(data);
  useEffect(() => learn(system.bricks.map((brick) => brick.name)), [data]);
  useKeys('Everywhere', KEYS);
  const signedOut = connection.value === 'signed-out';
  return html`
    <a class="skip" href="#main">Skip to content</a>
    <${Header} name=${system.name} quiet=${signedOut} />
    ${!signedOut && html`<${LostLine} />`}
    <main id="main" tabindex="-1">${signedOut ? html`<${SignedOut} />` : html`<${Screen} system=${system.name} />`}</main>
    ${!signedOut && html`<${Palette} />`}
    ${keyHelp.value && html`<${KeyList} />`}
    <${Notices} />
  `;
}

/** @type {import('./keys.js').Binding[]} */
const KEYS = [
  ...SCREENS.map((screen) => ({ keys: `g ${screen.key}`, text: screen.title, act: () => navigate(screen.path) })),
  { keys: 'mod+k', text: 'Go to anything, do anything', act: openPalette },
  { keys: '/', text: 'Search on this screen', act: focusSearch },
  { keys: '?', text: 'This list of keys', act: () => (keyHelp.value = true) },
];

/** The screen's own search field, or the palette where it has none. */
function focusSearch() {
  const field = document.querySelector('main [data-search]');
  if (!(field instanceof HTMLInputElement)) return openPalette();
  field.focus();
  return field.select();
}

/** @param {{ system: string }} props */
function Screen({ system }) {
  const at = path.value;
  const found = screenAt(at);
  const title = found?.title ?? 'No such screen';
  const first = useRef(true);
  useEffect(() => {
    document.title = [title, system, 'Brickwork'].filter(Boolean).join(' · ');
  }, [title, system]);
  useEffect(() => {
    if (first.current) first.current = false;
    else document.getElementById('main')?.focus({ preventScroll: true });
  }, [title]);
  if (found) return html`<${Boundary} key=${at}>${found.view}</${Boundary}>`;
  return html`<section class="empty">
    <h1>No such screen</h1>
    <p>The console has no page at <code>${at}</code>. <a href="/">Back to the overview</a>.</p>
  </section>`;
}

/** @param {{ name: string, quiet: boolean }} props */
function Header({ name, quiet }) {
  const under = screenAt(path.value)?.under;
  const links = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    // On a narrow screen the links scroll; where one is stays in view.
    const here = /** @type {HTMLElement | null | undefined} */ (links.current?.querySelector('[aria-current]'));
    if (links.current && here) links.current.scrollLeft = here.offsetLeft - (links.current.clientWidth - here.offsetWidth) / 2 - links.current.offsetLeft;
  }, [under, quiet]);
  return html`<header class="top">
    <a class="brand" href="/" aria-label=${name ? `${name}, overview` : 'Brickwork, overview'}>
      <img src="/console/icon.svg" alt="" width="24" height="24" />
      <span class="brand-name"><bdi>${name || 'Brickwork'}</bdi></span>
    </a>
    ${!quiet &&
    html`<nav aria-label="Screens" ref=${links}>
      ${SCREENS.map((one) => html`<a key=${one.path} href=${one.path} aria-current=${one.path === under ? 'page' : undefined}>${one.title}</a>`)}
    </nav>`}
    <div class="top-end">
      ${!quiet && html`<${Line} /><${Opener} />`}
      <button type="button" class="quiet" onClick=${toggle} title="Change the theme">
        <${ThemeMark} /><span class="sr">Theme: ${theme}, change it</span>
      </button>
    </div>
  </header>`;
}

/** Opens the palette. */
function Opener() {
  return html`<button type="button" class="opener" onClick=${openPalette} aria-keyshortcuts="Control+K Meta+K">
    <svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true" class="mark"><circle cx="7" cy="7" r="4.5" /><path d="M10.5 10.5L14 14" /></svg>
    <span>Go to…</span><kbd aria-hidden="true">${MOD} K</kbd>
  </button>`;
}

const MOD = /Mac|iPhone|iPad/.test(navigator.platform) ? '⌘' : 'Ctrl';

function ThemeMark() {
  const chosen = theme.value;
  return html`<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" class="mark">
    ${chosen === 'light' &&
    html`<circle cx="8" cy="8" r="3" /><path d="M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1" />`}
    ${chosen === 'dark' && html`<path d="M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z" />`}
    ${chosen === 'system' && html`<circle cx="8" cy="8" r="6" /><path class="fill" d="M8 2a6 6 0 0 1 0 12z" />`}
  </svg>`;
}
