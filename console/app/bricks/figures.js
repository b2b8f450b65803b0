// Figures by instance, from the metrics that telemetry scrapes each five seconds.
import { useEffect, useState } from '../html.js';
import { get } from '../api.js';
import { address } from '../route.js';
import { STATUS, figuresOf } from './model.js';

/** @typedef {import('./model.js').Figures} Figures */

const METRIC = 'http_server_request_duration_seconds';
const EVERY_MS = 5_000;
/** What is counted, as the map and the bricks' own figures count it. */
const WINDOW_S = 60;
/** Times of answers are whole steps; a short one, so that the newest is of now. */
const STEP_S = 5;

/** Asks as long as the component is there and the tab is seen. @returns {Map<string, Figures>} by slot */
export function useFigures() {
  const [figures, setFigures] = useState(/** @type {Map<string, Figures>} */ (new Map()));
  useEffect(() => {
    const stop = new AbortController();
    const look = () => {
      if (document.visibilityState !== 'visible') return;
      ask(stop.signal).then(setFigures, () => {}); // the list's own topics say when telemetry is away
    };
    look();
    const timer = setInterval(look, EVERY_MS);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, []);
  return figures;
}

/** @param {AbortSignal} signal */
async function ask(signal) {
  const now = Math.floor(Date.now() / 1000);
  const when = { name: METRIC, from: now - STEP_S, to: now, step: STEP_S, window: WINDOW_S };
  const range = (/** @type {string} */ fn, /** @type {string} */ by) => get(address('/api/telemetry/v1/metrics/range', { ...when, fn, by }), signal);
  const [all, slow, states] = await Promise.all([range('rate', 'instance'), range('p99', 'instance'), range('rate', `instance,${STATUS}`)]);
  return figuresOf(all, slow, states);
}
