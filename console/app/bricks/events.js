// What happens to the bricks, as the agent tells it: a bounded ring, fed while a screen looks and the tab is seen.
import { signal, useEffect } from '../html.js';

/** @typedef {{ ts: string, kind: string, brick: string, instance: string, msg: string, lines: string[], seq: number }} Event */

const ADDRESS = '/api/agent/v1/events?follow=true';
const EVENTS_MAX = 1_000;
const LINES_MAX = 40;
/** Events come in bursts at first; the screen takes them together. */
const BATCH_MS = 60;

/** The newest last. */
const events = signal(/** @type {Event[]} */ ([]));
/** Number of the newest; an action remembers it to find what came after. */
let seq = 0;

/** @type {Set<string>} */
let known = new Set();
/** @type {Event[]} */
let waiting = [];
let timer = 0;
let lookers = 0;
/** @type {EventSource | null} */
let source = null;

/** Events while the component is there. @returns {Event[]} */
export function useEvents() {
  useEffect(() => {
    lookers += 1;
    attend();
    document.addEventListener('visibilitychange', attend);
    return () => {
      lookers -= 1;
      document.removeEventListener('visibilitychange', attend);
      attend();
    };
  }, []);
  return events.value;
}

/** Number of the newest event that was told. */
export function newestSeq() {
  return seq;
}

/** A stream takes one of the browser's six connections to an origin; a tab that nobody sees gives it back. */
function attend() {
  const wanted = lookers > 0 && document.visibilityState === 'visible';
  if (wanted && !source) {
    source = new EventSource(ADDRESS);
    source.addEventListener('event', (event) => take(event.data));
    source.onerror = reopen;
  } else if (!wanted && source) {
    source.close();
    source = null;
  }
}

/** The browser tries again by itself unless the answer was no stream at all: then we do. */
function reopen() {
  if (source?.readyState !== EventSource.CLOSED) return;
  source = null;
  setTimeout(attend, 3_000);
}

/** @param {string} text */
function take(text) {
  // After each reconnection the agent tells again what was; what we have is passed over.
  if (known.has(text)) return;
  known.add(text);
  waiting.push(read(JSON.parse(text)));
  timer ||= setTimeout(flush, BATCH_MS);
}

/** @param {any} raw @returns {Event} */
function read(raw) {
  return {
    ts: String(raw.ts ?? ''), kind: String(raw.kind ?? ''), brick: String(raw.brick ?? ''), instance: String(raw.instance ?? ''),
    msg: String(raw.msg ?? ''), lines: (Array.isArray(raw.lines) ? raw.lines : []).slice(-LINES_MAX).map(String), seq: (seq += 1),
  };
}

function flush() {
  timer = 0;
  events.value = [...events.peek(), ...waiting].slice(-EVENTS_MAX);
  waiting = [];
  if (known.size > EVENTS_MAX * 2) known = new Set([...known].slice(-EVENTS_MAX * 1.5));
}

/** Whether something went wrong. @param {Event} event @returns {'bad' | 'warn' | 'ok' | 'idle'} */
export function toneOf(event) {
  if (['crash-loop', 'failed', 'never-ready', 'build-failed', 'exited', 'roll-failed'].includes(event.kind)) return 'bad';
  if (['unready', 'warning', 'skipped'].includes(event.kind)) return 'warn';
  return ['ready', 'build-done', 'adopted', 'all-ready', 'replaced', 'roll-done'].includes(event.kind) ? 'ok' : 'idle';
}
