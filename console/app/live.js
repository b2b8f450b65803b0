// One WebSocket per tab. Components say which topics they watch; the socket carries the union of them, reconnects by
// itself, and tells how it stands.
import { get } from './api.js';
import { signal, useEffect, useMemo } from './html.js';

/**
 * What can be watched; the server's list is mortar-console/src/topic.rs.
 * @typedef {{ topic: 'system' | 'bricks' | 'instances' | 'edges' | 'metrics' | 'stats' } | { topic: 'graph', window: number, synthetic?: string }
 *   | { topic: 'series', name: string, fn: string, by?: string, window: number, step: number }} Topic
 * @typedef {{ data: any, error: { code: string, detail: string } | null, at: number }} State
 * @typedef {{ topic: Topic, watchers: number, state: import('../vendor/signals.js').Signal<State> }} Watched
 */

/** Server heartbeats come every 5 s; a line that is silent for longer than two of them is dead. */
const SILENCE_MS = 12_000;
/** Topics remembered, watched or not. */
const ENTRIES_MAX = 200;
const BACKOFF_MS = [300, 600, 1200, 2500, 5000, 10_000];
/** A question that is open for so long is no answer. */
const SESSION_MS = 5_000;

/** `connecting`, `live`, `reconnecting` (was live, or cannot begin), `signed-out`. @type {import('../vendor/signals.js').Signal<'connecting' | 'live' | 'reconnecting' | 'signed-out'>} */
export const connection = signal('connecting');
/** Why one has to sign in. */
export const reason = signal('');
/** Whether anything was ever heard. */
export const heardOnce = signal(false);
/** When the line was lost, milliseconds since the epoch. */
export const lostAt = signal(0);
/** When it is tried again. */
export const retryAt = signal(0);

/** @type {Map<string, Watched>} */
const watched = new Map();
/** @type {WebSocket | null} */
let socket = null;
let attempts = 0;
let heard = 0;
let told = false;
let timer = 0;
let opening = false;

/** The same topic has the same key, whoever wrote it. @param {any} topic */
export function key(topic) {
  return JSON.stringify(Object.entries(topic).filter(([, value]) => value !== undefined && value !== null).sort());
}

/**
 * Watches a topic while the component is there; none watches nothing.
 * @param {Topic | null} topic
 * @returns {State}
 */
export function useLive(topic) {
  const id = topic ? key(topic) : '';
  const entry = useMemo(() => (topic ? entryOf(topic, id) : null), [id]);
  useEffect(() => {
    if (!entry) return undefined;
    entry.watchers += 1;
    tell();
    return () => {
      entry.watchers -= 1;
      tell();
    };
  }, [entry]);
  return entry ? entry.state.value : EMPTY;
}

/** @type {State} */
const EMPTY = { data: null, error: null, at: 0 };

/**
 * One entry per topic, shared by all components. It stays when nobody watches it any more, so that coming back to a
 * screen shows what was last known until the news are here.
 * @param {Topic} topic
 * @param {string} id
 * @returns {Watched}
 */
function entryOf(topic, id) {
  const held = watched.get(id);
  if (held) return held;
  if (watched.size >= ENTRIES_MAX) {
    for (const [old, entry] of watched) if (entry.watchers === 0) watched.delete(old);
  }
  const entry = { topic, watchers: 0, state: signal(EMPTY) };
  watched.set(id, entry);
  return entry;
}

/** Tells the server what is watched, once for all changes of a turn. */
function tell() {
  if (told) return;
  told = true;
  queueMicrotask(() => {
    told = false;
    if (socket?.readyState === WebSocket.OPEN) {
      const sub = [...watched.values()].filter((entry) => entry.watchers > 0).map((entry) => entry.topic);
      socket.send(JSON.stringify({ sub }));
    }
  });
}

/** Opens the socket and keeps it open. Call once. */
export function start() {
  setInterval(() => {
    if (socket?.readyState === WebSocket.OPEN && Date.now() - heard > SILENCE_MS) socket.close();
  }, 1000);
  // Who signed in again in another tab, or whose machine woke up, need not wait.
  const look = () => document.visibilityState === 'visible' && connection.peek() !== 'live' && retryNow();
  addEventListener('focus', look);
  addEventListener('online', look);
  void open();
}

/** Tries again at once, where the line is down and nothing is under way. */
export function retryNow() {
  if (opening || (connection.peek() !== 'signed-out' && !timer)) return;
  clearTimeout(timer);
  timer = 0;
  void open();
}

async function open() {
  retryAt.value = 0;
  opening = true;
  try {
    await get('/api/console/v1/session', AbortSignal.timeout(SESSION_MS));
  } catch (error) {
    const problem = /** @type {import('./api.js').Problem} */ (error);
    if (problem.status === 401 || problem.status === 403) {
      reason.value = problem.message;
      connection.value = 'signed-out';
      return;
    }
    again();
    return;
  } finally {
    opening = false;
  }
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  socket = new WebSocket(`${scheme}://${location.host}/api/console/v1/ws`);
  heard = Date.now();
  socket.onopen = () => {
    attempts = 0;
    connection.value = 'live';
    heardOnce.value = true;
    tell();
  };
  socket.onmessage = (event) => receive(event.data);
  socket.onclose = again;
}

function again() {
  socket = null;
  if (connection.peek() !== 'reconnecting') lostAt.value = Date.now();
  connection.value = 'reconnecting';
  const wait = BACKOFF_MS[Math.min(attempts, BACKOFF_MS.length - 1)] * (0.75 + Math.random() / 2);
  attempts += 1;
  retryAt.value = Date.now() + wait;
  timer = setTimeout(() => {
    timer = 0;
    void open();
  }, wait);
}

/** @param {string} text */
function receive(text) {
  heard = Date.now();
  const message = JSON.parse(text);
  if (message.topic === 'error') console.warn('the server refused a subscription:', message.error.detail);
  if (!message.sub) return;
  const entry = watched.get(key(message.sub));
  if (!entry) return;
  const at = Date.parse(message.at);
  // What was last known stays on screen beside the error that explains why it no longer moves.
  entry.state.value = message.error
    ? { data: entry.state.peek().data, error: message.error, at }
    : { data: message.data, error: null, at };
}
