// A brick's configuration as it is shown: keys with their values and origins, what each instance said of it, what was
// changed. Pure.
import { word } from '../command.js';

/**
 * @typedef {{ key: string, value: any, origin: string, secret: boolean }} Row
 * @typedef {{ key: string, before?: any, after?: any }} Difference
 * @typedef {{ change: string, revision: number | null, at: number, by: string, kind: string, why: string, outcome: string,
 *   refused: { instance: string, reason: string }[], diff: Difference[] }} Change
 * @typedef {{ slot: string, incarnation: string, tone: import('../bricks/model.js').Tone, state: string, revision: number | null, at: number,
 *   shadowed: [string, string][] }} Word
 * @typedef {{ level: string, until: number | null }} Level
 */

/** What a hidden value looks like; control sends the same. */
export const HIDDEN = '•••';

/** @param {any} value @returns {any[]} */
const list = (value) => (Array.isArray(value) ? value : Array.isArray(value?.items) ? value.items : []);
/** @param {any} value */
const isTable = (value) => Boolean(value) && typeof value === 'object' && !Array.isArray(value);

/** Nested values by dotted key; an empty table is a value. @param {any} values @param {string} [below] @returns {[string, any][]} */
export function flat(values, below = '') {
  if (!isTable(values)) return [];
  return Object.entries(values).flatMap(([name, value]) => {
    const key = below ? `${below}.${name}` : name;
    return isTable(value) && Object.keys(value).length ? flat(value, key) : [/** @type {[string, any]} */ ([key, value])];
  });
}

/** @param {any} raw answer of /api/config/v1/{brick} @returns {Row[]} */
export function rowsOf(raw) {
  const origins = isTable(raw?.origins) ? raw.origins : {};
  const secrets = new Set(list(raw?.secrets).map(String));
  return flat(raw?.values).map(([key, value]) => ({ key, value: secrets.has(key) ? HIDDEN : value, origin: String(origins[key] ?? ''), secret: secrets.has(key) }));
}

/** A value as text: what is text as it is, anything else as JSON. @param {any} value */
export function textOf(value) {
  return typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
}

/** What a value is, in words. @param {any} value */
export function kindOf(value) {
  if (value === undefined) return '';
  if (Array.isArray(value)) return 'a list';
  return { number: 'a number', boolean: 'true or false', string: 'text' }[/** @type {string} */ (typeof value)] ?? 'a table';
}

/** What is text stays text; anything else is what it looks like, as the command line has it. @param {any} held @param {string} text */
export function typed(held, text) {
  if (typeof held === 'string') return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** @param {string} brick @param {string} key @param {string} text @param {boolean} secret */
export function setCommand(brick, key, text, secret) {
  return secret ? `brick config set ${brick}.${key}="$VALUE"` : `brick config set ${word(`${brick}.${key}=${text}`)}`;
}

/** @param {any} raw answer of the history @returns {Change[]} */
export function changesOf(raw) {
  return list(raw).map((one) => ({
    change: String(one.change ?? ''), revision: typeof one.revision === 'number' ? one.revision : null, at: Date.parse(one.at) || 0, by: String(one.by ?? ''),
    kind: String(one.kind ?? ''), why: String(one.why ?? ''), outcome: String(one.outcome ?? ''),
    refused: list(one.refused).map((other) => ({ instance: String(other.instance), reason: String(other.reason) })), diff: list(one.diff).map(differenceOf),
  }));
}

/** @param {any} raw @returns {Difference} */
export function differenceOf(raw) {
  return { key: String(raw.key ?? ''), ...('before' in raw && { before: raw.before }), ...('after' in raw && { after: raw.after }) };
}

/**
 * What each instance of a brick said of its configuration.
 * @param {import('../bricks/model.js').Instance[]} instances
 * @param {any} acks answer of /bus/v1/acks
 * @returns {Word[]}
 */
export function wordsOf(instances, acks) {
  const told = new Map(list(acks).map((one) => [String(one.incarnation), one]));
  const current = typeof acks?.revision === 'number' ? acks.revision : null;
  return instances.map((one) => {
    const ack = told.get(one.incarnation);
    const shadowed = /** @type {[string, string][]} */ (Object.entries(isTable(ack?.shadowed) ? ack.shadowed : {}).map(([key, by]) => [key, String(by)]));
    const found = { slot: one.slot, incarnation: one.incarnation, revision: ack ? Number(ack.revision) : null, at: Date.parse(ack?.at) || 0, shadowed };
    if (!ack) return { ...found, tone: /** @type {const} */ ('idle'), state: 'does not follow: it has what counted when it was started' };
    if (ack.refused) return { ...found, tone: /** @type {const} */ ('bad'), state: `refused: ${String(ack.refused)}` };
    if (current !== null && Number(ack.revision) < current) return { ...found, tone: /** @type {const} */ ('warn'), state: `behind, at revision ${ack.revision}` };
    return { ...found, tone: /** @type {const} */ ('ok'), state: 'in force' };
  });
}

/** @param {any} raw answer of /api/config/v1/{brick}/log @returns {{ all: Level | null, instances: [string, Level][] }} */
export function levelsOf(raw) {
  const level = (/** @type {any} */ one) => ({ level: String(one.level ?? ''), until: Date.parse(one.until) || null });
  return { all: raw?.all ? level(raw.all) : null, instances: Object.entries(isTable(raw?.instances) ? raw.instances : {}).map(([slot, one]) => [slot, level(one)]) };
}

/** @param {string} target brick or slot @param {string} level @param {string} lasts as the command line takes it, none is for good */
export function levelCommand(target, level, lasts) {
  return `brick config log ${word(`${target}=${level}`)}${lasts ? ` --for ${lasts}` : ''}`;
}

/** How a change went, in a line. @param {any} report */
export function reportOf(report) {
  if (!report?.change) return 'It has these values already; nothing was changed.';
  if (!report.of) return `Changed; no instance of it follows (${report.change}).`;
  return `Applied by ${report.applied}/${report.of} in ${report.ms} ms, spread ${report.spread_ms} ms (${report.change}).`;
}
