// Fuzzy match: the letters in their order, better at the start of a word and side by side. Pure.

/** @typedef {import('./entries.js').Entry} Entry */
/** @typedef {{ entry: Entry, marks: Set<number>, score: number }} Match */

const NONE = /** @type {Set<number>} */ (new Set());

/**
 * How well a text answers what was typed; null where it does not.
 * @param {string} typed
 * @param {string} text
 * @returns {{ score: number, marks: Set<number> } | null}
 */
export function match(typed, text) {
  const [wanted, letters] = [[...typed.toLowerCase()].filter((letter) => letter !== ' '), [...text.toLowerCase()]];
  /** @type {{ score: number, marks: Set<number> } | null} */
  let best = null;
  for (let start = 0; start < letters.length; start += 1) {
    if (letters[start] !== wanted[0]) continue;
    const found = from(wanted, letters, start);
    if (!found) break;
    if (!best || found.score > best.score) best = found;
  }
  return best;
}

/** Takes the letters greedily from one place on. @param {string[]} wanted @param {string[]} letters @param {number} start */
function from(wanted, letters, start) {
  const marks = new Set();
  let [score, next] = [0, 0];
  for (let i = start; i < letters.length && next < wanted.length; i += 1) {
    if (letters[i] !== wanted[next]) continue;
    score += 1 + (startsWord(letters, i) ? 8 : 0) + (marks.has(i - 1) ? 5 : 0) + (i === 0 ? 6 : 0);
    marks.add(i);
    next += 1;
  }
  return next === wanted.length ? { score: score - letters.length / 50, marks } : null;
}

/** @param {string[]} letters @param {number} i */
function startsWord(letters, i) {
  return i === 0 || /[^\p{L}\p{N}]/u.test(letters[i - 1]);
}

/**
 * What answers, best first; with nothing typed all there is, the last used first.
 * @param {Entry[]} entries
 * @param {string} typed
 * @param {string[]} recent ids, the last used first
 * @returns {Match[]}
 */
export function ranked(entries, typed, recent) {
  const used = new Map(recent.map((id, i) => [id, recent.length - i]));
  const text = typed.trim();
  if (!text) {
    const all = entries.map((entry) => ({ entry, marks: NONE, score: used.get(entry.id) ?? 0 }));
    return all.sort((a, b) => b.score - a.score);
  }
  const found = entries.flatMap((entry) => {
    const one = entry.whole ? whole(entry, text) : match(text, entry.title);
    return one ? [{ entry, marks: one.marks, score: one.score + (used.has(entry.id) ? 3 : 0) }] : [];
  });
  return found.sort((a, b) => b.score - a.score);
}

/** What is only found by its exact text, or a start of it that says enough. @param {Entry} entry @param {string} text */
function whole(entry, text) {
  return text.length >= 6 && entry.whole?.startsWith(text.toLowerCase()) ? { score: 100, marks: NONE } : match(text, entry.title);
}
