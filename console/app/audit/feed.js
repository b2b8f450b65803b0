// The entries of a search: pages by cursor as they are scrolled to, new ones put before them while somebody looks.
import { useEffect, useMemo, useRef, useState } from '../html.js';
import { get } from '../api.js';
import { auditUrl, entriesOf } from './model.js';

/** @typedef {import('./model.js').Entry} Entry @typedef {{ entries: Entry[], next: number | null, failure: string, busy: boolean, before: number }} Held */

/** More is not kept in a page; a narrower search is the better answer. */
export const ENTRIES_MAX = 20_000;
const EVERY_MS = 3_000;
/** @type {Held} */
const NOTHING = { entries: [], next: null, failure: '', busy: true, before: 0 };

/**
 * @param {import('./model.js').Asked} asked
 * @returns {Held & { more: () => void }} `before` counts those that were put before others, so that what is looked at stays in place
 */
export function useFeed(asked) {
  const url = auditUrl(asked);
  const [held, setHeld] = useState(NOTHING);
  const now = useRef(held);
  const stop = useRef(new AbortController());
  const set = (/** @type {Partial<Held>} */ change) => {
    now.current = { ...now.current, ...change };
    setHeld(now.current);
  };
  useEffect(() => {
    const own = new AbortController();
    stop.current = own;
    now.current = NOTHING;
    set({});
    const ask = (/** @type {boolean} */ first) => get(url, own.signal).then(
      (raw) => {
        if (own.signal.aborted) return;
        const all = entriesOf(raw);
        const newest = now.current.entries[0]?.id ?? 0;
        const fresh = all.filter((one) => one.id > newest);
        // More came than one answer holds: what lies between is found from the top again.
        const anew = first || !newest || fresh.length === all.length;
        if (anew) set({ entries: all, next: raw.next ?? null, failure: '', busy: false });
        else if (fresh.length || now.current.failure) set({ entries: [...fresh, ...now.current.entries], before: now.current.before + fresh.length, failure: '' });
      },
      (error) => own.signal.aborted || set({ failure: error.message, busy: false }),
    );
    void ask(true);
    const timer = setInterval(() => document.visibilityState === 'visible' && void ask(now.current.busy), EVERY_MS);
    return () => {
      clearInterval(timer);
      own.abort();
    };
  }, [url]);
  const more = useMemo(() => () => {
    const { next, busy, entries } = now.current;
    if (busy || next === null || entries.length >= ENTRIES_MAX) return;
    const { signal } = stop.current;
    set({ busy: true });
    get(auditUrl(asked, next), signal).then(
      (raw) => signal.aborted || set({ entries: [...now.current.entries, ...entriesOf(raw)], next: raw.next ?? null, failure: '', busy: false }),
      (error) => signal.aborted || set({ failure: error.message, busy: false }),
    );
  }, [url]);
  return { ...held, more };
}
