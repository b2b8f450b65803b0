// One trace, kept fresh while it may still grow.
import { useEffect, useRef, useState } from '../html.js';
import { unpack } from './model.js';

/**
 * @typedef {import('./model.js').Trace} Trace
 * @typedef {import('./model.js').Span} Span
 * @typedef {{ trace: Trace | null, failure: string, growing: boolean, partly: boolean, reload: () => void, span: (at: number) => Promise<Span | null> }} Source
 */

/** A trace whose newest span is younger than this may not be whole. */
const YOUNG_MS = 30_000;
const LOOK_MS = 2_000;
/** Looking again may take this share of the time. */
const COST = 20;

/** @param {string} id @returns {Source} */
export function useTrace(id) {
  const [trace, setTrace] = useState(/** @type {Trace | null} */ (null));
  const [failure, setFailure] = useState('');
  const [growing, setGrowing] = useState(false);
  const [partly, setPartly] = useState(false);
  const line = useRef(/** @type {{ reload: () => void, span: (at: number) => Promise<Span | null> } | null} */ (null));
  useEffect(() => {
    const opened = open(id, {
      trace: (fresh, dataAt, begun) => {
        setTrace(fresh);
        setPartly(begun);
        mark(dataAt);
        setFailure('');
      },
      problem: (status, detail) => setFailure(status === 404 ? 'missing' : detail),
      growing: setGrowing,
    });
    line.current = opened;
    return opened.close;
  }, [id]);
  return { trace, failure, growing, partly, reload: () => line.current?.reload(), span: (at) => line.current?.span(at) ?? Promise.resolve(null) };
}

/**
 * Tells the browser's timeline how long the first picture took, from the last byte of the answer on: nothing, where it
 * was there before.
 * @param {number} dataAt wall clock of the last byte; infinite while it has not come
 */
function mark(dataAt) {
  // After the frame that the picture is drawn in.
  requestAnimationFrame(() => setTimeout(() => {
    if (!performance.getEntriesByName('trace-picture').length) performance.mark('trace-picture');
    if (!Number.isFinite(dataAt) || performance.getEntriesByName('trace-painted').length) return;
    const start = Math.max(0, dataAt - performance.timeOrigin);
    performance.measure('trace-painted', { start, end: Math.max(start, performance.getEntriesByName('trace-picture')[0].startTime) });
  }));
}

/**
 * @param {string} id
 * @param {{ trace: (trace: Trace, dataAt: number, partly: boolean) => void, problem: (status: number, detail: string) => void, growing: (is: boolean) => void }} tell
 */
function open(id, tell) {
  const worker = new Worker(new URL('./trace.worker.js', import.meta.url), { type: 'module' });
  /** @type {Map<number, (span: Span | null) => void>} */
  const waiting = new Map();
  const opened = Date.now();
  let [asked, timer, newest] = [0, 0, 0];
  const reload = () => {
    clearTimeout(timer);
    worker.postMessage({ kind: 'load', url: `/api/telemetry/v1/traces/${id}` });
  };
  /** @param {number} took */
  const again = (took) => {
    const young = Date.now() - newest < YOUNG_MS;
    tell.growing(young);
    if (young) timer = setTimeout(reload, Math.max(LOOK_MS, took * COST));
  };
  worker.onmessage = (event) => {
    const answer = /** @type {import('./trace.worker.js').Answer} */ (event.data);
    if (answer.kind === 'span') {
      waiting.get(answer.asked)?.(answer.span);
      waiting.delete(answer.asked);
    } else if (answer.kind === 'problem') {
      tell.problem(answer.status, answer.detail);
      // Spans come a second or two after the request: who follows a link at once is early, not wrong.
      const early = answer.status === 404 && Date.now() - opened < YOUNG_MS;
      tell.growing(early);
      if (early) timer = setTimeout(reload, LOOK_MS);
    } else {
      if (answer.kind === 'trace') {
        const trace = unpack(answer.trace);
        newest = trace.startMs + trace.total / 1e6;
        tell.trace(trace, answer.dataAt, answer.partly);
        if (answer.partly) return;
      }
      again(answer.took);
    }
  };
  worker.onerror = () => tell.problem(0, 'The part of the page that reads traces did not start. Reload the page.');
  reload();
  return {
    reload,
    span: (/** @type {number} */ at) => new Promise((/** @type {(span: Span | null) => void} */ done) => {
      asked += 1;
      waiting.set(asked, done);
      worker.postMessage({ kind: 'span', asked, at });
    }),
    close: () => {
      clearTimeout(timer);
      worker.terminate();
    },
  };
}
