// Keys. Each screen binds its own; all that are bound now are listed by `?`. A key means something only where nothing
// is being written, and single keys can be switched off (WCAG 2.1.4): speech input would press them by accident.
import { signal, useEffect } from './html.js';

/**
 * @typedef {{ keys: string, text: string, act: () => void }} Binding `keys` as `g o`, `/`, `mod+k` (Ctrl or Command)
 * @typedef {{ title: string, bindings: Binding[] }} Group
 */

const SEQUENCE_MS = 1_500;
const STORED = 'brickwork.keys';

/** What is bound now, in order of appearance. */
export const bound = signal(/** @type {Group[]} */ ([]));
/** Whether the list of keys is shown. */
export const keyHelp = signal(false);
/** Whether keys without Ctrl or Command count. */
export const singleKeys = signal(stored());

let before = '';
let beforeAt = 0;

function stored() {
  try {
    return localStorage.getItem(STORED) !== 'off';
  } catch {
    return true;
  }
}

/** Switches single keys on or off, for good. @param {boolean} on */
export function setSingleKeys(on) {
  singleKeys.value = on;
  try {
    localStorage.setItem(STORED, on ? 'on' : 'off');
  } catch {
    // Storage may be blocked; the choice then lasts as long as the tab.
  }
}

/**
 * Binds keys while the component is there. The bindings may change with every render.
 * @param {string} title of the group in the list
 * @param {Binding[]} bindings
 */
export function useKeys(title, bindings) {
  useEffect(() => {
    const group = { title, bindings };
    bound.value = [...bound.peek(), group];
    return () => {
      bound.value = bound.peek().filter((one) => one !== group);
    };
  }, [title, bindings]);
}

/** @param {KeyboardEvent} event */
function press(event) {
  if (event.defaultPrevented || event.isComposing || event.altKey) return;
  const mod = event.ctrlKey || event.metaKey;
  if (!mod && (writing(event.target) || !singleKeys.peek() || document.querySelector('dialog[open]'))) return;
  // Enter and space belong to the button or the link that has the focus.
  if ((event.key === 'Enter' || event.key === ' ') && event.target instanceof Element && event.target.closest('button, a, summary')) return;
  const key = mod ? `mod+${event.key.toLowerCase()}` : event.key;
  const after = event.timeStamp - beforeAt < SEQUENCE_MS ? `${before} ${key}` : '';
  const all = bound.peek().flatMap((group) => group.bindings).reverse();
  const found = all.find((one) => after && one.keys === after) ?? all.find((one) => one.keys === key);
  [before, beforeAt] = [found ? '' : key, event.timeStamp];
  if (!found) return;
  event.preventDefault();
  found.act();
}

/** @param {EventTarget | null} target */
function writing(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Listens. Call once. */
export function listen() {
  document.addEventListener('keydown', press);
}
