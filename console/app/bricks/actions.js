// What can be done to a brick: what it will do in words, the command that does the same, the request, its outcome.
// A run outlives the dialog that began it; whoever looks elsewhere is told when it ends.
import { send } from '../api.js';
import { plural } from '../format.js';
import { signal } from '../html.js';
import { say } from '../notices.js';
import { newestSeq } from './events.js';
import { versionName } from './model.js';

/**
 * @typedef {'scale' | 'roll' | 'kill'} Kind
 * @typedef {{ kind: Kind, title: string, command: string, url: string, body: Record<string, unknown>, brick: string,
 *   slot: string }} Action
 * @typedef {{ id: number, action: Action, state: 'running' | 'done' | 'failed', text: string, from: number }} Run
 */

/** Most instances of a brick that the agent takes. */
export const REPLICAS_MAX = 100;
const RUNS_MAX = 20;

/** The newest last. */
export const runs = signal(/** @type {Run[]} */ ([]));
/** Runs whose dialog is open: what they come to is seen there. @type {Set<number>} */
export const watched = new Set();
let last = 0;

/** @param {import('./model.js').Group} group @param {string} version @param {number} replicas @returns {Action} */
export function scaleAction(group, version, replicas) {
  const name = versionName(group, version);
  const body = { brick: group.name, ...(version !== group.base && { version }), replicas };
  return { kind: 'scale', title: `Scale ${name} to ${replicas}`, command: `brick scale ${name}=${replicas}`, url: '/api/agent/v1/scale', body, brick: group.name, slot: '' };
}

/**
 * @param {import('./model.js').Group} group
 * @param {string} version one of its versions, none is all of them
 * @param {boolean} build
 * @returns {Action}
 */
export function rollAction(group, version, build) {
  const name = version ? `${group.name}@${version}` : group.name;
  const command = build ? `brick roll ${name}` : `brick roll ${name} --no-build`;
  const body = { brick: name, ...(!build && { no_build: true }) };
  return { kind: 'roll', title: `Roll ${name}`, command, url: '/api/agent/v1/roll', body, brick: group.name, slot: '' };
}

/** @param {string} slot @param {string} signal_ @returns {Action} */
export function killAction(slot, signal_) {
  const command = signal_ === 'KILL' ? `brick kill ${slot}` : `brick kill ${slot} --signal ${signal_}`;
  const body = { instance: slot, signal: signal_ };
  return { kind: 'kill', title: `Kill ${slot}`, command, url: '/api/agent/v1/kill', body, brick: slot.split(/[@/]/)[0], slot };
}

/** Does it. @param {Action} action @param {string} why @returns {number} id of the run */
export function start(action, why) {
  const id = (last += 1);
  runs.value = [...runs.peek(), { id, action, state: /** @type {const} */ ('running'), text: '', from: newestSeq() }].slice(-RUNS_MAX);
  send('POST', action.url, action.body, { why }).then(
    (answer) => end(id, 'done', outcome(action, answer)),
    (error) => end(id, 'failed', error.message),
  );
  return id;
}

/** @param {number} id @param {'done' | 'failed'} state @param {string} text */
function end(id, state, text) {
  const run = runs.peek().find((one) => one.id === id);
  runs.value = runs.peek().map((one) => (one.id === id ? { ...one, state, text } : one));
  if (run && !watched.has(id)) say(state === 'done' ? 'ok' : 'bad', state === 'done' ? text : `${run.action.title}: ${text}`);
}

/** @param {Action} action @param {any} answer */
function outcome(action, answer) {
  if (action.kind === 'kill') return `SIG${answer.signal} was sent to ${answer.instance} (pid ${answer.pid}).`;
  if (action.kind === 'roll') {
    const replaced = Array.isArray(answer.replaced) ? answer.replaced : [];
    return replaced.length ? `Replaced ${replaced.join(', ')}.` : 'There was nothing to replace.';
  }
  const changes = Array.isArray(answer.changes) ? answer.changes.map(String) : [];
  return changes.length ? `${plural(changes.length, 'change')}: ${changes.join('; ')}.` : 'It already is as asked; nothing changes.';
}
