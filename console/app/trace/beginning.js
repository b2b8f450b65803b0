// The first spans of an answer whose text takes long to read, so that something can be shown at once. Pure.

/** Letters from which reading takes longer than a blink; the beginning is well within. */
export const LONG = 2 * 1024 * 1024;
/** Spans of the beginning: some screens full. */
const SPANS = 400;

/** @param {string} text the beginning of an answer of `GET /api/telemetry/v1/traces/{id}` @returns {any} as the whole, with fewer spans and no logs; null where it is something else */
export function beginning(text) {
  const named = /^\s*\{\s*"trace_id"\s*:\s*"([0-9a-f]*)"\s*,\s*"spans"\s*:\s*\[/.exec(text.slice(0, 200));
  if (!named) return null;
  const from = named[0].length;
  const to = endOf(text, from, SPANS);
  return to > from ? { trace_id: named[1], spans: JSON.parse(`[${text.slice(from, to)}]`), logs: [] } : null;
}

/** The place after so many objects of a list, fewer where it ends. @param {string} text @param {number} from @param {number} most */
function endOf(text, from, most) {
  let [depth, found, end, quoted] = [0, 0, from, false];
  for (let i = from; i < text.length && found < most; i += 1) {
    const letter = text.charCodeAt(i);
    if (quoted) {
      if (letter === 92) i += 1;
      else if (letter === 34) quoted = false;
    } else if (letter === 34) quoted = true;
    else if (letter === 123 || letter === 91) depth += 1;
    else if (letter === 125 || letter === 93) {
      depth -= 1;
      if (depth < 0) break;
      if (depth === 0) [found, end] = [found + 1, i + 1];
    }
  }
  return end;
}
