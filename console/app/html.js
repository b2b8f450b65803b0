// What every component is written with: Preact through htm, no build step. Text is always text: htm makes text nodes,
// and nothing in the console ever writes HTML.
import { h } from '../vendor/preact.js';
import htm from '../vendor/htm.js';

/** @typedef {import('../vendor/preact.js').ComponentChildren} Children */

/** @type {(strings: TemplateStringsArray, ...values: unknown[]) => any} */
export const html = /** @type {any} */ (htm.bind(/** @type {any} */ (h)));
export { Component, Fragment, render } from '../vendor/preact.js';
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from '../vendor/preact-hooks.js';
export { batch, computed, effect, signal, untracked, useComputed, useSignal } from '../vendor/signals.js';

/**
 * Class names that hold.
 * @param {...(string | false | null | undefined)} names
 */
export function classes(...names) {
  return names.filter(Boolean).join(' ');
}
