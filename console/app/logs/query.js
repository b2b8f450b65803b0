// What is asked for, between the address of the screen and the questions to telemetry. Pure.
import { address } from '../route.js';

/** Filters that telemetry knows, by the names of its own parameters. */
export const FILTERS = ['brick', 'instance', 'version', 'level', 'q', 'trace', 'since', 'until'];
/** Lines of one page of history. */
export const PAGE = 500;
const API = '/api/telemetry/v1/logs';

/** @param {URLSearchParams} asked @param {string[]} [without] */
function filters(asked, without = []) {
  return Object.fromEntries(FILTERS.filter((name) => !without.includes(name)).map((name) => [name, asked.get(name)]));
}

/** A page of history. @param {URLSearchParams} asked @param {import('../route.js').Changes} [more] */
export function pageUrl(asked, more = {}) {
  return address(API, { ...filters(asked), limit: PAGE, ...more });
}

/** @param {URLSearchParams} asked */
export function tailUrl(asked) {
  return address(`${API}/tail`, filters(asked, ['since', 'until']));
}

/** @param {URLSearchParams} asked @param {string} [without] a filter that is left out, so that its other values are counted too */
export function facetsUrl(asked, without) {
  return address(`${API}/facets`, filters(asked, without ? [without] : []));
}

/** @param {string} id @param {number} around lines before and after */
export function contextUrl(id, around) {
  return address(`${API}/${encodeURIComponent(id)}/context`, { before: around, after: around });
}

/** What decides which lines are there; anything else in the address only says how they are looked at. @param {URLSearchParams} asked */
export function identity(asked) {
  return pageUrl(asked);
}

/** Whether the end of the time asked for is now. @param {URLSearchParams} asked */
export function isOpen(asked) {
  return !asked.get('until');
}

/** The screen with these filters. @param {import('../route.js').Changes} asked */
export function logsAddress(asked) {
  return address('/console/logs', asked);
}

/**
 * Pieces of a text, those that were searched for marked.
 * @param {string} text @param {string} sought
 * @returns {{ text: string, hit: boolean }[]}
 */
export function pieces(text, sought) {
  if (!sought) return [{ text, hit: false }];
  const [low, key] = [text.toLowerCase(), sought.toLowerCase()];
  // A letter whose lower case is longer shifts all places: better no mark than a wrong one.
  if (low.length !== text.length) return [{ text, hit: false }];
  const found = [];
  let from = 0;
  for (let at = low.indexOf(key); at >= 0 && found.length < 100; at = low.indexOf(key, from)) {
    if (at > from) found.push({ text: text.slice(from, at), hit: false });
    found.push({ text: text.slice(at, at + key.length), hit: true });
    from = at + key.length;
  }
  if (from < text.length) found.push({ text: text.slice(from), hit: false });
  return found;
}

/** @param {unknown} value */
export function plain(value) {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

/** A line as one puts it into a message to a colleague. @param {import('./ring.js').Line} line */
export function asText(line) {
  const fields = Object.entries(line.fields).map(([key, value]) => ` ${key}=${plain(value)}`).join('');
  const trace = line.trace_id ? ` trace_id=${line.trace_id}` : '';
  return `${line.ts} ${line.level.toUpperCase()} ${line.instance || line.brick} ${line.msg}${fields}${trace}`;
}
