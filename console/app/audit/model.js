// The audit trail as it is asked for and shown. Pure.
import { address } from '../address.js';
import { word } from '../command.js';
import { flat, textOf } from '../config/model.js';

/**
 * @typedef {{ id: number, at: number, who: string, action: string, target: string, before: any, after: any, why: string, trace: string }} Entry
 * @typedef {{ who: string, action: string, target: string, since: string, text: string }} Asked
 */

/** Entries of one answer. */
export const PAGE = 100;

/** @param {URLSearchParams} params @returns {Asked} */
export function askedOf(params) {
  const [who, action, target, since, text] = ['who', 'action', 'target', 'since', 'q'].map((name) => (params.get(name) ?? '').trim());
  return { who, action, target, since, text };
}

/** @param {Asked} asked @param {number | null} [cursor] */
export function auditUrl(asked, cursor = null) {
  return address('/api/audit/v1', { ...asked, limit: PAGE, cursor });
}

/** @param {Asked} asked */
export function auditCommand({ who, action, target, since, text }) {
  const said = [['who', who], ['action', action], ['target', target], ['text', text], ['since', since]].filter(([, value]) => value);
  return ['brick audit', ...said.map(([name, value]) => `--${name} ${word(value)}`)].join(' ');
}

/** @param {any} raw an answer @returns {Entry[]} */
export function entriesOf(raw) {
  return (Array.isArray(raw?.items) ? raw.items : []).map((/** @type {any} */ one) => ({
    id: Number(one.id) || 0, at: Date.parse(one.at) || 0, who: String(one.who ?? ''), action: String(one.action ?? ''), target: String(one.target ?? ''),
    before: one.before ?? null, after: one.after ?? null, why: String(one.why ?? ''), trace: /^[0-9a-f]{32}$/.test(one.trace_id) ? one.trace_id : '',
  }));
}

/**
 * What differs between two values, key by key; values that are no tables are one row without a key.
 * @param {any} before
 * @param {any} after
 * @returns {{ items: import('../config/model.js').Difference[], same: number }}
 */
export function differencesOf(before, after) {
  const table = (/** @type {any} */ value) => Boolean(value) && typeof value === 'object' && !Array.isArray(value);
  if ((!table(before) && before !== null) || (!table(after) && after !== null) || (before === null && after === null)) {
    const side = (/** @type {any} */ value, /** @type {string} */ name) => (value === null ? {} : { [name]: value });
    return { items: before === null && after === null ? [] : [{ key: '', ...side(before, 'before'), ...side(after, 'after') }], same: 0 };
  }
  const [old, new_] = [new Map(flat(before)), new Map(flat(after))];
  const keys = [...new Set([...old.keys(), ...new_.keys()])].sort();
  const changed = keys.filter((key) => JSON.stringify(old.get(key)) !== JSON.stringify(new_.get(key)));
  return { items: changed.map((key) => ({ key, ...(old.has(key) && { before: old.get(key) }), ...(new_.has(key) && { after: new_.get(key) }) })), same: keys.length - changed.length };
}

/** In a line, what an entry changed. @param {Entry} entry */
export function gist({ before, after }) {
  const { items } = differencesOf(before, after);
  const side = (/** @type {any} */ value) => (value === undefined ? '–' : textOf(value));
  const told = items.slice(0, 3).map((one) => `${one.key ? `${one.key} ` : ''}${side(one.before)} → ${side(one.after)}`);
  return `${told.join(', ')}${items.length > 3 ? `, ${items.length - 3} more` : ''}`.slice(0, 300);
}

/** Where a target is shown, none where it is nowhere. @param {string} target */
export function placeOf(target) {
  const [kind, name] = [target.slice(0, target.indexOf('/')), target.slice(target.indexOf('/') + 1)];
  if (kind === 'config' || kind === 'log') return address('/console/config', { brick: name });
  if (kind === 'flags') return address('/console/flags', { select: name });
  if (kind === 'pools' || kind === 'canary') return address('/console/routes', { select: name });
  if (kind === 'limits' && name.includes('->')) return address('/console/breakers', { select: name });
  if (kind === 'faults' && name.includes('->')) return address('/console/breakers', { select: name });
  return /^[a-z][a-z0-9-]*(@[a-z0-9.-]+)?\/\d+$/.test(target) ? address('/console/bricks', { select: target }) : '';
}
