// What every component is written with: Preact through htm, no build step. Text is always text: htm makes text nodes,
// nothing in the console ever writes HTML, and what would be invisible or turn the line around is shown as what it is.
import { Component, h } from '../vendor/preact.js';
import htm from '../vendor/htm.js';
import { visible } from './visible.js';

/** @typedef {import('../vendor/preact.js').ComponentChildren} Children */

/** @type {(strings: TemplateStringsArray, ...values: unknown[]) => any} */
export const html = /** @type {any} */ (htm.bind(/** @type {any} */ (element)));
export { Component, Fragment, render } from '../vendor/preact.js';
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from '../vendor/preact-hooks.js';
export { batch, computed, effect, signal, untracked, useComputed, useSignal } from '../vendor/signals.js';

/** Attributes whose text people read or hear. */
const READ = ['title', 'aria-label', 'alt', 'placeholder'];

/** @param {any} type @param {Record<string, any> | null} props @param {...any} children */
function element(type, props, ...children) {
  if (typeof type === 'string' && props) {
    for (const name of READ) if (typeof props[name] === 'string') props[name] = visible(props[name]);
  }
  return h(type, props, ...children.map(shown));
}

/** @param {any} child @returns {any} */
function shown(child) {
  if (typeof child === 'string') return visible(child);
  return Array.isArray(child) ? child.map(shown) : child;
}

/**
 * Class names that hold.
 * @param {...(string | false | null | undefined)} names
 */
export function classes(...names) {
  return names.filter(Boolean).join(' ');
}

/**
 * A component that is drawn again only when one of its properties is another one: for rows, of which there are many.
 * @template P
 * @param {(props: P) => any} view
 * @returns {(props: P) => any}
 */
export function memo(view) {
  class Memo extends Component {
    /** @param {any} next */
    shouldComponentUpdate(next) {
      const held = /** @type {any} */ (this.props);
      for (const name in next) if (next[name] !== held[name]) return true;
      for (const name in held) if (!(name in next)) return true;
      return false;
    }

    /** @param {any} props */
    render(props) {
      return h(/** @type {any} */ (view), props);
    }
  }
  return /** @type {any} */ (Memo);
}
