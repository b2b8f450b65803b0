// Versions of bricks with what they get and how they do, from what control and the metrics tell. Pure.
import { word } from '../command.js';
import { plural } from '../format.js';

/**
 * @typedef {{ version: string, base: boolean, share: number | null, ready: number, quarantined: number, slots: string[],
 *   rate: number | null, measured: number | null, errors: number, p99: number | null }} Version `share` in percent, none where any
 *   instance is as good; `measured` is the share of the requests of the last minute
 * @typedef {{ when: Record<string, any>, to: string }} Rule
 * @typedef {{ rules: Rule[], weights: Record<string, number>, sticky: string | null, mirror?: { version: string, percent: number } }} Wanted
 * @typedef {{ calls: number, errors: number, p99: number | null }} Seen
 * @typedef {{ brick: string, version: string, base: string, steps: number[], holdMs: number, phase: string, step: number, share: number,
 *   reason: string, started: number, stepped: number, limits: { errors: number, times: number, calls: number },
 *   seen: { own: Seen, base: Seen, verdict: string, because: string } | null }} Canary
 * @typedef {{ brick: string, revision: number, tag: string, base: string, versions: Version[], wanted: Wanted, canary: Canary | null }} Pool
 */

/** @param {any} value @returns {any[]} */
const list = (value) => (Array.isArray(value) ? value : Array.isArray(value?.items) ? value.items : []);
/** @param {unknown} value @param {number} [otherwise] */
const number = (value, otherwise = 0) => (typeof value === 'number' && Number.isFinite(value) ? value : otherwise);
/** @param {unknown} value */
const numberOrNull = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);

/**
 * @param {any} raw answer of /api/pools/v1
 * @param {any} canaries answer of /api/canaries/v1
 * @param {import('../bricks/model.js').Instance[]} instances
 * @param {Map<string, import('../bricks/model.js').Figures>} figures by slot
 * @returns {Pool[]}
 */
export function poolsOf(raw, canaries, instances, figures) {
  const tried = new Map(list(canaries).map((one) => [String(one.brick), canaryOf(one)]));
  return list(raw).map((one) => {
    const brick = String(one.brick ?? '');
    const versions = list(one.versions).map((version) => versionOf(version, instances.filter((other) => other.brick === brick), figures));
    const total = versions.reduce((sum, version) => sum + (version.rate ?? 0), 0);
    for (const version of versions) version.measured = total > 0 && version.rate !== null ? version.rate / total : null;
    return {
      brick, revision: number(one.revision), tag: String(one.tag ?? ''), base: versions.find((version) => version.base)?.version ?? '', versions,
      wanted: wantedOf(one), canary: tried.get(brick) ?? null,
    };
  });
}

/** @param {any} raw @returns {Wanted} */
function wantedOf(raw) {
  const rules = list(raw.rules).filter((rule) => rule && typeof rule === 'object');
  const weights = Object.entries(raw.weights && typeof raw.weights === 'object' ? raw.weights : {}).map(([version, parts]) => [version, number(parts)]);
  return {
    rules: rules.map((rule) => ({ when: rule.when && typeof rule.when === 'object' ? rule.when : {}, to: String(rule.to ?? '') })),
    weights: Object.fromEntries(weights), sticky: typeof raw.sticky === 'string' ? raw.sticky : null,
    ...(raw.mirror && typeof raw.mirror === 'object' ? { mirror: { version: String(raw.mirror.version ?? ''), percent: Number(raw.mirror.percent) || 0 } } : {}),
  };
}

/** @param {any} raw @param {import('../bricks/model.js').Instance[]} instances @param {Map<string, import('../bricks/model.js').Figures>} figures @returns {Version} */
function versionOf(raw, instances, figures) {
  const version = String(raw.version ?? '');
  const slots = instances.filter((one) => one.version === version).map((one) => one.slot);
  const own = slots.flatMap((slot) => figures.get(slot) ?? []);
  const rate = own.reduce((sum, one) => sum + one.rate, 0);
  const failed = own.reduce((sum, one) => sum + one.rate * one.errors, 0);
  const slow = own.flatMap((one) => (one.p99 === null || one.rate === 0 ? [] : [one.p99]));
  return {
    version, base: raw.base === true, share: numberOrNull(raw.share), ready: number(raw.ready), quarantined: number(raw.quarantined), slots,
    rate: own.length ? rate : null, measured: null, errors: rate ? failed / rate : 0, p99: slow.length ? Math.max(...slow) : null,
  };
}

/** @param {any} raw @returns {Canary} */
function canaryOf(raw) {
  const limits = raw.limits ?? {};
  const seen = (/** @type {any} */ one) => ({ calls: number(one?.calls), errors: number(one?.errors), p99: numberOrNull(one?.p99_ms) });
  return {
    brick: String(raw.brick), version: String(raw.version ?? ''), base: String(raw.base ?? ''), steps: list(raw.steps).map((step) => number(step)),
    holdMs: number(raw.hold_ms), phase: String(raw.phase ?? ''), step: number(raw.step), share: number(raw.share), reason: String(raw.reason ?? ''),
    started: Date.parse(raw.started) || 0, stepped: Date.parse(raw.stepped) || 0,
    limits: { errors: number(limits.error_rate, 0.01), times: number(limits.p99_times, 2), calls: number(limits.min_calls, 100) },
    seen: raw.seen ? { own: seen(raw.seen.own), base: seen(raw.seen.base), verdict: String(raw.seen.verdict ?? ''), because: String(raw.seen.because ?? '') } : null,
  };
}

/**
 * How a canary went, as lines over time: its share in percent; of the version and its base the errors as shares, and p99 in
 * milliseconds, none where nothing was called.
 * @param {any} raw answer of /api/canaries/v1/{brick}
 * @returns {Record<'share' | 'errors' | 'p99', import('../overview/chart.js').Points>}
 */
export function courseOf(raw) {
  const points = list(raw?.course).map((one) => ({ ...one, at: Date.parse(one?.at) / 1000 })).filter((one) => Number.isFinite(one.at));
  const at = points.map((one) => one.at);
  const errors = (/** @type {'own' | 'base'} */ of) => points.map((one) => (number(one[of]?.calls) ? number(one[of].errors) / one[of].calls : null));
  const p99 = (/** @type {'own' | 'base'} */ of) => points.map((one) => numberOrNull(one[of]?.p99_ms));
  return { share: [at, points.map((one) => number(one.share))], errors: [at, errors('own'), errors('base')], p99: [at, p99('own'), p99('base')] };
}

/** What is wanted, in a line. @param {Pool} pool */
export function wantedText({ wanted, versions }) {
  const shares = versions.flatMap((one) => (one.share === null ? [] : [`${one.version} ${Math.round(one.share)} %`]));
  const told = [...shares, wanted.sticky && `sticks to ${wanted.sticky}`, wanted.rules.length > 0 && plural(wanted.rules.length, 'rule'), wanted.mirror && `copies of ${wanted.mirror.percent} % for ${wanted.mirror.version}`].filter(Boolean);
  return told.join(', ') || 'nothing is said, requests go to any instance';
}

/** What makes a rule fit, in words. @param {Record<string, any>} when */
export function whenOf(when) {
  const named = (/** @type {string} */ kind) => when[kind] && `${kind} ${String(when[kind].name)}: ${String(when[kind].value)}`;
  const told = [named('header'), named('cookie'), when.user !== undefined && when.user !== null && `user ${String(when.user)}`, when.tenant !== undefined && when.tenant !== null && `tenant ${String(when.tenant)}`];
  return told.filter(Boolean).join(' and ') || 'nothing';
}

/** @typedef {{ kind: 'header' | 'cookie' | 'user' | 'tenant', name: string, value: string, to: string }} RuleWish */

/** The rule, none where something of it is missing. @param {RuleWish} wish @returns {Rule | null} */
export function ruleOf({ kind, name, value, to }) {
  const named = kind === 'header' || kind === 'cookie';
  if (!value.trim() || !to || (named && !name.trim())) return null;
  return { when: { [kind]: named ? { name: name.trim(), value: value.trim() } : value.trim() }, to };
}

/** With a rule more; one that asks the same is replaced, as the command line does. @param {Wanted} wanted @param {Rule} rule @returns {Wanted} */
export function withRule(wanted, rule) {
  const same = JSON.stringify(rule.when);
  return { ...wanted, rules: [...wanted.rules.filter((one) => JSON.stringify(one.when) !== same), rule] };
}

/** @param {string} brick @param {RuleWish} wish */
export function ruleCommand(brick, { kind, name, value, to }) {
  const what = { header: `${name.trim()}: ${value.trim()}`, cookie: `${name.trim()}=${value.trim()}`, user: value.trim(), tenant: value.trim() }[kind];
  return `brick route ${kind} ${brick} ${word(what)} ${to}`;
}

/** Shares in whole percent, as the dialog begins with them. @param {Pool} pool @returns {Record<string, number>} */
export function sharesOf(pool) {
  return Object.fromEntries(pool.versions.filter((one) => !one.base).map((one) => [one.version, Math.round(one.share ?? 0)]));
}

/** What the base is left with. @param {Record<string, number>} shares */
export function restOf(shares) {
  return 100 - Object.values(shares).reduce((sum, share) => sum + share, 0);
}

/** @param {Pool} pool @param {Record<string, number>} shares @param {string} sticky none is `` */
export function weightsCommand(pool, shares, sticky) {
  const set = Object.entries(shares).map(([version, share]) => `${version}=${share}`).join(' ');
  const kept = pool.wanted.sticky ?? 'user';
  return `brick route set ${pool.brick} ${set}${(sticky || 'none') === kept ? '' : ` --sticky ${word(sticky || 'none')}`}`;
}

/** @typedef {{ version: string, steps: string, hold: number, errors: number, times: number, calls: number }} CanaryWish `hold` in seconds, `errors` in percent */

/** @typedef {Omit<CanaryWish, 'version'>} CanaryPlan */

/** What a canary is begun with where neither the manifest nor anybody else says it. @type {CanaryPlan} */
export const CANARY = { steps: '1,5,25,100', hold: 30, errors: 1, times: 2, calls: 100 };

/** The steps as numbers; none where they are no way up to 100. @param {string} text @returns {number[] | null} */
export function stepsOf(text) {
  const steps = text.split(',').map((part) => Number(part.trim()));
  const ascends = steps.every((step, i) => Number.isInteger(step) && step > (i ? steps[i - 1] : 0));
  return ascends && steps.at(-1) === 100 && steps.length <= 32 ? steps : null;
}

/** The plan of the system, as control tells it. @param {any} raw @returns {CanaryPlan} */
export function planOf(raw) {
  const limits = raw?.limits ?? {};
  const number = (/** @type {unknown} */ told, /** @type {number} */ usual) => (typeof told === 'number' ? told : usual);
  return {
    steps: Array.isArray(raw?.steps) ? raw.steps.join(',') : CANARY.steps, hold: number(raw?.hold_ms, CANARY.hold * 1000) / 1000,
    errors: Number((number(limits.error_rate, CANARY.errors / 100) * 100).toPrecision(6)), times: number(limits.p99_times, CANARY.times), calls: number(limits.min_calls, CANARY.calls),
  };
}

/** What differs from the plan is said. @param {string} brick @param {CanaryWish} wish */
export function canaryCommand(brick, { version, steps, hold, errors, times, calls }, plan = CANARY) {
  const said = [
    steps.replaceAll(' ', '') !== plan.steps && `--steps ${steps.replaceAll(' ', '')}`, hold !== plan.hold && `--hold ${hold}s`,
    errors !== plan.errors && `--errors ${Number((errors / 100).toPrecision(6))}`, times !== plan.times && `--slower ${times}`, calls !== plan.calls && `--min-calls ${calls}`,
  ];
  return ['brick canary start', brick, version, ...said.filter(Boolean)].join(' ');
}

/** How it stands, in a sentence. @param {Canary} canary */
export function standing(canary) {
  if (canary.phase !== 'running') return canary.reason;
  const { seen } = canary;
  if (!seen) return 'its instances are asked';
  if (seen.verdict === 'unknown') return `too little is known to go on: ${seen.because}`;
  if (seen.verdict === 'worse') return seen.because;
  return canary.step + 1 < canary.steps.length ? `as good as ${canary.base} so far; the next step is ${canary.steps[canary.step + 1]} %` : `as good as ${canary.base} so far; it is promoted when the step is over`;
}
