// Feature flags as they are shown: who gets what, where that is said, what it would be otherwise. Pure.
import { word } from '../command.js';
import { percent } from '../format.js';
import { textOf } from '../config/model.js';

/**
 * @typedef {{ enabled: boolean, variants: [string, any][], defaultVariant: string, targeting: any, origin: string }} Definition
 * @typedef {Definition & { key: string, shares: [string, number][] | null, bricks: string[] | null, below: Definition | null, tag: string }} Flag
 *   `shares` in percent, where a split by targeting key is all that targeting says; `bricks` see it, none is all
 * @typedef {{ enabled: boolean, how: 'one' | 'shares' | 'rules', variant: string, shares: Record<string, number>, rules: string }} Wish
 */

/** @param {any} value @returns {any[]} */
const list = (value) => (Array.isArray(value) ? value : Array.isArray(value?.items) ? value.items : []);
/** @param {any} value */
const isTable = (value) => Boolean(value) && typeof value === 'object' && !Array.isArray(value);
/** @param {any} value @returns {[string, any][]} */
const entries = (value) => (isTable(value) ? Object.entries(value) : []);

/** @param {any} raw answer of /api/flags/v1 @returns {Flag[]} */
export function flagsOf(raw) {
  return list(raw).filter(isTable).map((one) => ({
    ...definitionOf(one), key: String(one.key ?? ''), tag: String(one.tag ?? ''),
    shares: isTable(one.shares) ? entries(one.shares).map(([name, share]) => /** @type {[string, number]} */ ([name, Number(share) || 0])) : null,
    bricks: Array.isArray(one.bricks) ? one.bricks.map(String) : null,
    below: isTable(one.below) ? definitionOf(one.below) : null,
  }));
}

/** @param {any} raw @returns {Definition} */
function definitionOf(raw) {
  const rules = isTable(raw.targeting) && Object.keys(raw.targeting).length > 0;
  return {
    enabled: raw.state !== 'DISABLED', variants: entries(raw.variants), defaultVariant: String(raw.defaultVariant ?? ''),
    targeting: rules ? raw.targeting : null, origin: String(raw.origin ?? ''),
  };
}

/** A variant with what it stands for, where the name does not say it already. @param {Definition} of @param {string} name */
export function variantText(of, name) {
  const value = of.variants.find(([one]) => one === name)?.[1];
  const text = textOf(value);
  const says = value === undefined || text === name || (name === 'on' && value === true) || (name === 'off' && value === false);
  return says ? name : `${name} (${text.length > 60 ? `${text.slice(0, 60)}…` : text})`;
}

/** Who gets what, in a line. @param {Definition & { shares?: [string, number][] | null }} of */
export function givesText(of) {
  if (!of.enabled) return 'switched off: what the code says counts';
  if (of.shares) return of.shares.map(([name, share]) => `${variantText(of, name)} ${percent(share / 100)}`).join(', ');
  return of.targeting ? `by rules, else ${variantText(of, of.defaultVariant)}` : `everybody: ${variantText(of, of.defaultVariant)}`;
}

/** What the dialog begins with: as it is. @param {Flag} flag @returns {Wish} */
export function wishOf(flag) {
  const even = flag.variants.map(([name]) => /** @type {[string, number]} */ ([name, name === flag.defaultVariant ? 100 : 0]));
  const known = new Map(flag.shares ?? []);
  return {
    enabled: flag.enabled, how: flag.shares ? 'shares' : flag.targeting ? 'rules' : 'one', variant: flag.defaultVariant,
    shares: Object.fromEntries(flag.shares ? flag.variants.map(([name]) => [name, known.get(name) ?? 0]) : even), rules: flag.targeting ? JSON.stringify(flag.targeting, null, 2) : '',
  };
}

/** What is asked of control; none where something of it is missing or wrong. @param {Wish} wish @returns {Record<string, any> | null} */
export function bodyOf(wish) {
  const state = wish.enabled ? 'ENABLED' : 'DISABLED';
  if (!wish.enabled) return { state };
  if (wish.how === 'one') return wish.variant ? { state, defaultVariant: wish.variant } : null;
  if (wish.how === 'shares') {
    const parts = Object.values(wish.shares);
    const fits = parts.every((part) => Number.isInteger(part) && part >= 0) && parts.reduce((sum, part) => sum + part, 0) === 100;
    return fits ? { state, shares: wish.shares } : null;
  }
  try {
    const targeting = JSON.parse(wish.rules);
    return isTable(targeting) && Object.keys(targeting).length ? { state, targeting } : null;
  } catch {
    return null;
  }
}

/** The command line writes no rules: none there. @param {Flag} flag @param {Wish} wish */
export function flagCommand({ key, enabled }, wish) {
  const set = `brick flag set ${word(key)}`;
  if (!wish.enabled) return `${set} --disable`;
  const again = enabled ? '' : ' --enable';
  if (wish.how === 'one') return `${set} ${word(wish.variant)}${again}`;
  if (wish.how === 'shares') return `${set} ${Object.entries(wish.shares).map(([variant, share]) => word(`${variant}=${share}`)).join(' ')}${again}`;
  return '';
}

/** @param {Flag} flag */
export function searched({ key, origin, bricks }) {
  return `${key} ${origin} ${bricks?.join(' ') ?? ''}`.toLowerCase();
}
