// An answer that is asked for again and again while somebody looks. What changes by itself and has a topic of the
// WebSocket is watched there instead (live.js).
import { useEffect, useMemo, useRef, useState } from './html.js';
import { get } from './api.js';

/** @typedef {{ data: any, failure: string, status: number, again: () => void }} Polled `again` asks at once */

/**
 * Asks while the component is there and the tab is seen. What was last known stays beside the failure that explains why
 * it no longer moves; another address begins with nothing.
 * @param {string} url none asks for nothing
 * @param {number} everyMs
 * @returns {Polled}
 */
export function usePolled(url, everyMs) {
  const [told, setTold] = useState({ url, data: /** @type {any} */ (null), failure: '', status: 0 });
  const look = useRef(() => {});
  useEffect(() => {
    if (!url) return undefined;
    const stop = new AbortController();
    look.current = () => {
      get(url, stop.signal).then(
        (data) => stop.signal.aborted || setTold({ url, data, failure: '', status: 200 }),
        (error) => stop.signal.aborted || setTold((before) => ({ url, data: before.url === url ? before.data : null, failure: error.message, status: error.status ?? 0 })),
      );
    };
    const seen = () => document.visibilityState === 'visible' && look.current();
    look.current();
    const timer = setInterval(seen, everyMs);
    document.addEventListener('visibilitychange', seen);
    return () => {
      stop.abort();
      clearInterval(timer);
      document.removeEventListener('visibilitychange', seen);
      look.current = () => {};
    };
  }, [url, everyMs]);
  const again = useMemo(() => () => look.current(), []);
  return told.url === url ? { ...told, again } : { data: null, failure: '', status: 0, again };
}
