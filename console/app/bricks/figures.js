// Figures by instance, from the metrics that telemetry scrapes each five seconds.
import { useEffect, useState } from '../html.js';
import { get } from '../api.js';
import { address } from '../route.js';

/** @typedef {import('./model.js').Figures} Figures */

const METRIC = 'http_server_request_duration_seconds';
const STATUS = 'http_response_status_code';
const EVERY_MS = 5_000;
const STEP_S = 20;
/** Series that one answer holds; where it is full, some are missing, and a share of errors would be a guess. */
const SERIES_MAX = 500;

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
  const when = { name: METRIC, from: now - 3 * STEP_S, to: now, step: STEP_S };
  const range = (/** @type {string} */ fn, /** @type {string} */ by) => get(address('/api/telemetry/v1/metrics/range', { ...when, fn, by }), signal);
  const [all, slow, states] = await Promise.all([range('rate', 'instance'), range('p99', 'instance'), range('rate', `instance,${STATUS}`)]);
  return figuresOf(all, slow, states);
}

/** @param {any} all @param {any} slow @param {any} states @returns {Map<string, Figures>} */
export function figuresOf(all, slow, states) {
  /** @type {Map<string, Figures>} */
  const found = new Map();
  for (const one of all.series ?? []) {
    const rate = newest(one);
    if (rate !== null) found.set(one.labels.instance, { rate, errors: 0, p50: null, p99: null });
  }
  for (const one of slow.series ?? []) {
    const held = found.get(one.labels.instance);
    const seconds = newest(one);
    if (held && seconds !== null) held.p99 = seconds * 1000;
  }
  if ((states.series ?? []).length >= SERIES_MAX) return found;
  for (const one of states.series ?? []) {
    const held = found.get(one.labels.instance);
    if (held?.rate && String(one.labels[STATUS]).startsWith('5')) held.errors += (newest(one) ?? 0) / held.rate;
  }
  return found;
}

/** @param {any} series @returns {number | null} */
function newest(series) {
  const point = series.points?.at(-1);
  return point && Number.isFinite(point[1]) ? point[1] : null;
}
