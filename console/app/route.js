// The URL is the only place where the state of a screen lives: path for the screen, parameters for what it shows.
// Back and forward therefore work, and an address can be sent to a colleague.
import { holds } from './address.js';
import { computed, signal } from './html.js';

export { address } from './address.js';

const current = signal(new URL(location.href));

/** Path of the screen. */
export const path = computed(() => current.value.pathname);
/** Parameters of the screen. */
export const params = computed(() => current.value.searchParams);

/** @typedef {import('./address.js').Changes} Changes */

/**
 * Goes to an address.
 * @param {string} to
 * @param {{ replace?: boolean }} [options]
 */
export function navigate(to, { replace = false } = {}) {
  const target = new URL(to, location.href);
  if (target.href === current.peek().href) return;
  const moved = target.pathname !== current.peek().pathname;
  history[replace ? 'replaceState' : 'pushState'](null, '', target);
  current.value = target;
  if (moved) scrollTo(0, 0);
}

/**
 * Changes parameters of the screen that is shown; an empty value removes one.
 * @param {Changes} changes
 * @param {{ replace?: boolean }} [options]
 */
export function change(changes, options) {
  const target = new URL(current.peek());
  for (const [key, value] of Object.entries(changes)) {
    if (holds(value)) target.searchParams.set(key, String(value));
    else target.searchParams.delete(key);
  }
  navigate(target.href, options);
}

/** Links within the console change the screen without loading the page again. Call once. */
export function listen() {
  addEventListener('popstate', () => {
    current.value = new URL(location.href);
  });
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest('a[href]') : null;
    if (!(link instanceof HTMLAnchorElement) || link.target || link.origin !== location.origin) return;
    if (link.pathname !== '/' && !link.pathname.startsWith('/console')) return;
    // A place on this very page is the browser's own business.
    if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
    event.preventDefault();
    navigate(link.href);
  });
}
