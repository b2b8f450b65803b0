// Light, dark, or as the system says. The choice belongs to the person, not to the screen, so it is not in the URL.
import { signal } from './html.js';

/** @typedef {'system' | 'light' | 'dark'} Theme */
/** @type {Theme[]} */
const ORDER = ['system', 'light', 'dark'];
const dark = matchMedia('(prefers-color-scheme: dark)');

/** What was chosen. */
export const theme = signal(/** @type {Theme} */ (document.documentElement.dataset.theme ?? 'system'));
/** Grows when colours change; canvases redraw with it. */
export const painted = signal(0);

dark.addEventListener('change', () => {
  painted.value += 1;
});

/** Takes the next choice. */
export function toggle() {
  choose(ORDER[(ORDER.indexOf(theme.value) + 1) % ORDER.length]);
}

/** @param {Theme} to */
export function choose(to) {
  theme.value = to;
  document.documentElement.dataset.theme = theme.value;
  painted.value += 1;
  try {
    localStorage.setItem('brickwork.theme', theme.value);
  } catch {
    // Storage may be blocked; the choice then lasts as long as the tab.
  }
}

/** A colour of style/base.css as a canvas takes it: resolved for the theme that is shown. @param {string} name */
export function colour(name) {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const resolved = getComputedStyle(probe).color;
  probe.remove();
  return resolved;
}
