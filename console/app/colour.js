// One colour per service, the same on every screen and in both themes. A colour never says anything alone: the name
// of the service is always beside it.

import { signal } from './html.js';

/** Number of `--service-N` colours in style/base.css. */
const COLOURS = 12;
const known = signal(/** @type {string[]} */ (['gateway']));

/** Learns the system's bricks: they get neighbouring colours and never share one while there are enough. @param {string[]} names */
export function learn(names) {
  const all = ['gateway', ...[...new Set(names)].sort()];
  if (names.length && all.join() !== known.peek().join()) known.value = all;
}

/** CSS colour of a service. @param {string} name */
export function colourOf(name) {
  const at = known.value.indexOf(name);
  return `var(--service-${(at >= 0 ? at : hash(name)) % COLOURS})`;
}

/** FNV-1a, 32 bit. @param {string} text */
function hash(text) {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
