// Instances as the agent tells them, by brick, with their figures: what the list shows. Pure.

/**
 * @typedef {'ok' | 'busy' | 'warn' | 'bad' | 'idle'} Tone
 * @typedef {{ rate: number, errors: number, p50: number | null, p99: number | null }} Figures
 * @typedef {{ brick: string, version: string, slot: string, zone: string, state: string, tone: Tone, pid: number | null,
 *   port: number | null, restarts: number | null, revision: string, adopted: boolean, incarnation: string, problem: string, quarantine: string | null,
 *   since: number | null, platform: boolean, outsider: string, joined: string }} Instance `quarantine` is the reason why it takes no requests, `` where none is
 *   known; `outsider` its own name where no agent started it
 * @typedef {{ name: string, platform: boolean, instances: Instance[], ready: number, tone: Tone, state: string,
 *   base: string, versions: string[], declared: Declared[], needs: string[], optional: boolean, figures: Figures | null }} Group
 * @typedef {{ version: string, replicas: number }} Declared what the manifest says of one version
 * @typedef {{ id: string, kind: 'group' | 'zone' | 'single' | 'instance' | 'version', group: Group, instance: Instance | null,
 *   version: string, figures: Figures | null }} Row `version` is one that has no instance now, else empty
 */

export const PLATFORM = ['control', 'gateway', 'telemetry', 'proxy'];

/** Label of a metric that holds the status of the answer. */
export const STATUS = 'http_response_status_code';
/** Series that one answer holds; where it is full, some are missing, and a share of errors would be a guess. */
const SERIES_MAX = 500;

/** @type {Record<string, Tone>} */
const TONES = {
  ready: 'ok', building: 'busy', starting: 'busy', stopping: 'busy', unready: 'warn', unsupervised: 'warn', quarantined: 'warn', kept: 'warn', backoff: 'warn',
  'crash-loop': 'bad', failed: 'bad', stopped: 'idle', skipped: 'idle',
};
/** Worst first. @type {Tone[]} */
const WORST = ['bad', 'warn', 'busy', 'ok', 'idle'];

/** @param {any} value @returns {any[]} */
const list = (value) => (Array.isArray(value) ? value : Array.isArray(value?.items) ? value.items : []);

/** Slots in the order people count: order/2 before order/10. */
const slots = new Intl.Collator('en', { numeric: true });

/** Reads the agent's rows, or, where the agent is away, the registry's. @param {any} raw @returns {Instance[]} */
export function instancesOf(raw) {
  /** @type {Set<string>} */
  const taken = new Set();
  const read = list(raw).map((one) => {
    const brick = String(one.brick);
    const told = String(one.state ?? (one.ready ? 'ready' : 'unready'));
    const state = one.quarantined && told === 'ready' ? 'quarantined' : told;
    const incarnation = String(one.incarnation ?? '');
    return {
      brick,
      version: String(one.version ?? ''),
      slot: slotOf(one, brick, taken),
      zone: String(one.zone ?? ''),
      state,
      tone: TONES[state] ?? 'warn',
      pid: numberOr(one.pid),
      port: numberOr(one.port ?? String(one.addr ?? '').split(':').pop()),
      restarts: Number.isFinite(one.restarts) ? one.restarts : null,
      revision: String(one.revision ?? ''),
      adopted: Boolean(one.adopted),
      incarnation,
      problem: String(one.problem ?? ''),
      quarantine: one.quarantined ? (typeof one.quarantined === 'string' ? one.quarantined : '') : null,
      since: startOf(incarnation),
      platform: PLATFORM.includes(brick),
      outsider: String(one.outsider ?? ''),
      joined: String(one.joined ?? ''),
    };
  });
  return sorted(read);
}

/**
 * The agent's rows with what control knows first: who is quarantined and why, of whom nothing is heard, and those that no
 * agent started.
 * @param {Instance[]} instances
 * @param {any} registry its instances
 * @returns {Instance[]}
 */
export function withRegistry(instances, registry) {
  const told = instancesOf(registry);
  const known = new Map(told.map((one) => [one.incarnation, one]));
  const rows = instances.map((row) => {
    const one = row.incarnation ? known.get(row.incarnation) : undefined;
    if (!one) return row;
    const state = row.state === 'ready' || row.state === 'quarantined' ? (one.quarantine !== null ? 'quarantined' : one.state === 'kept' ? 'kept' : 'ready') : row.state;
    return { ...row, quarantine: one.quarantine, outsider: one.outsider, joined: one.joined, state, tone: TONES[state] ?? 'warn' };
  });
  const there = new Set(instances.map((one) => one.incarnation));
  return sorted([...rows, ...told.filter((one) => one.outsider && !there.has(one.incarnation))]);
}

/** In the order in which people look for them. @param {Instance[]} instances */
function sorted(instances) {
  return instances.sort((a, b) => slots.compare(a.brick, b.brick) || Number(a.slot.includes('@')) - Number(b.slot.includes('@')) || slots.compare(a.slot, b.slot));
}

/**
 * `order/1`, or `payment@v2/1` of a version beside the base one: where only a number is told, the later of two.
 * @param {any} one
 * @param {string} brick
 * @param {Set<string>} taken
 */
function slotOf(one, brick, taken) {
  const told = String(one.instance ?? one.slot ?? '');
  const plain = told.includes('/') ? told : `${brick}/${told || 1}`;
  const slot = taken.has(plain) ? `${brick}@${one.version}/${told.split('/').pop()}` : plain;
  taken.add(slot);
  return slot;
}

/** @param {unknown} value */
function numberOr(value) {
  const number = Number(value);
  return value !== null && value !== undefined && value !== '' && Number.isFinite(number) && number > 0 ? number : null;
}

/** An incarnation is a UUIDv7: it begins with the milliseconds at which the process was started (RFC 9562, 5.7). @param {string} incarnation */
export function startOf(incarnation) {
  const digits = incarnation.replaceAll('-', '');
  return /^[0-9a-f]{12}7[0-9a-f]{19}$/i.test(digits) ? Number.parseInt(digits.slice(0, 12), 16) : null;
}

/**
 * Instances by brick, bricks without any included; the platform comes last.
 * @param {Instance[]} instances
 * @param {any} system answer of /api/system/v1
 * @param {any} graph telemetry's graph
 * @returns {Group[]}
 */
export function groupsOf(instances, system, graph) {
  const told = new Map(list(system?.bricks).filter((one) => !one.external).map((one) => [String(one.name ?? one.brick), one]));
  const seen = new Map(list(graph?.nodes).map((node) => [node.kind === 'edge' ? 'gateway' : String(node.brick), seenOf(node)]));
  /** @type {Map<string, Instance[]>} */
  const by = new Map([...told.keys()].map((name) => [name, []]));
  for (const one of instances) by.set(one.brick, [...(by.get(one.brick) ?? []), one]);
  const groups = [...by].map(([name, own]) => {
    const about = told.get(name);
    const tones = own.map((one) => one.tone);
    const tone = WORST.find((candidate) => tones.includes(candidate)) ?? 'idle';
    const declared = declaredOf(about);
    return {
      name, instances: own, tone, platform: PLATFORM.includes(name) && !about,
      ready: own.filter((one) => one.state === 'ready').length,
      state: stateOf(own, tone),
      base: String(about?.version ?? own.find((one) => !one.slot.includes('@'))?.version ?? ''),
      versions: [...new Set([...own.map((one) => one.version), ...declared.map((one) => one.version)])].filter(Boolean).sort(slots.compare),
      declared,
      needs: list(about?.needs).map(String),
      optional: Boolean(about?.optional),
      figures: seen.get(name) ?? null,
    };
  });
  return groups.sort((a, b) => Number(a.platform) - Number(b.platform) || slots.compare(a.name, b.name));
}

/** Versions that the manifest declares, the base first. @param {any} about @returns {Declared[]} */
function declaredOf(about) {
  const all = about?.version ? [about, ...list(about.versions)] : list(about?.versions);
  return all.map((one) => ({ version: String(one?.version ?? ''), replicas: Number(one?.replicas) || 0 })).filter((one) => one.version);
}

/** How a version beside the base is named, as commands take it; the base by the brick's name alone. @param {Group} group @param {string} version */
export function versionName(group, version) {
  return version === group.base ? group.name : `${group.name}@${version}`;
}

/** Versions beside the base that are declared and run nowhere now. @param {Group} group */
export function idleVersions(group) {
  return group.declared.flatMap(({ version }) => (version !== group.base && !group.instances.some((one) => one.version === version) ? [version] : []));
}

/** @param {any} node @returns {Figures} */
function seenOf(node) {
  return { rate: node.rate ?? 0, errors: node.error_rate ?? 0, p50: node.p50_ms ?? null, p99: node.p99_ms ?? null };
}

/** In a word, how a brick fares. @param {Instance[]} own @param {Tone} tone */
function stateOf(own, tone) {
  if (!own.length) return 'none';
  const states = new Set(own.map((one) => one.state));
  if (states.size === 1) return own[0].state;
  return own.find((one) => one.tone === tone)?.state ?? '';
}

/**
 * The rows of the list, in order.
 * @param {Group[]} groups
 * @param {{ text: string, tone: string, zone?: string, byZone?: boolean, sort: string, descending: boolean, folded: Set<string>, figures: Map<string, Figures> }} how
 * @returns {Row[]}
 */
export function rowsOf(groups, { text, tone, zone = '', byZone = false, sort, descending, folded, figures }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const takes = (/** @type {Instance} */ one) =>
    (!tone || one.tone === tone) && (!zone || one.zone === zone) && words.every((word) => searched(one).includes(word));
  const value = VALUES[sort] ?? VALUES.name;
  const sign = descending ? -1 : 1;
  if (byZone) return zoned(groups, takes, (a, b) => sign * order(value(a), value(b)) || slots.compare(a.id, b.id), folded, figures);
  const kept = groups.flatMap((group) => {
    const own = group.instances.filter(takes);
    const idle = tone || zone ? [] : idleVersions(group).filter((version) => words.every((word) => `${versionName(group, version)} no instance`.toLowerCase().includes(word)));
    const empty = !group.instances.length && !tone && !zone && words.every((word) => group.name.toLowerCase().includes(word));
    if (!own.length && !idle.length && !empty) return [];
    const alone = group.instances.length === 1 && !idleVersions(group).length;
    const children = own.map((instance) => rowOf(group, instance, figures.get(instance.slot) ?? null, !alone));
    if (alone) return [{ head: children[0], children: [] }];
    const versions = idle.map((version) => /** @type {Row} */ ({ id: versionName(group, version), kind: 'version', group, instance: null, version, figures: null }));
    return [{ head: rowOf(group, null, group.figures ?? summed(children), false), children: [...children, ...versions] }];
  });
  kept.sort((a, b) => Number(a.head.group.platform) - Number(b.head.group.platform) || sign * order(value(a.head), value(b.head)) || slots.compare(a.head.group.name, b.head.group.name));
  return kept.flatMap(({ head, children }) => {
    if (folded.has(head.group.name)) return [head];
    children.sort((a, b) => Number(Boolean(a.version)) - Number(Boolean(b.version)) || sign * order(value(a), value(b)) || slots.compare(a.id, b.id));
    return [head, ...children];
  });
}

/**
 * The rows by zone: what is lost with one.
 * @param {Group[]} groups
 * @param {(one: Instance) => boolean} takes
 * @param {(a: Row, b: Row) => number} compare
 * @param {Set<string>} folded
 * @param {Map<string, Figures>} figures
 * @returns {Row[]}
 */
function zoned(groups, takes, compare, folded, figures) {
  /** @type {Map<string, Row[]>} */
  const zones = new Map();
  for (const group of groups) {
    for (const one of group.instances.filter(takes)) zones.set(one.zone, [...(zones.get(one.zone) ?? []), rowOf(group, one, figures.get(one.slot) ?? null, true)]);
  }
  const names = [...zones.keys()].sort((a, b) => Number(!a) - Number(!b) || slots.compare(a, b));
  return names.flatMap((zone) => {
    const rows = (zones.get(zone) ?? []).sort(compare);
    const instances = rows.flatMap((row) => row.instance ?? []);
    const tones = instances.map((one) => one.tone);
    const tone = WORST.find((candidate) => tones.includes(candidate)) ?? 'idle';
    const group = /** @type {Group} */ ({
      name: zone ? `zone ${zone}` : 'no zone', platform: false, instances, tone, ready: instances.filter((one) => one.state === 'ready').length, state: stateOf(instances, tone),
      base: '', versions: [], declared: [], needs: [], optional: false, figures: null,
    });
    const head = /** @type {Row} */ ({ id: `zone:${zone}`, kind: 'zone', group, instance: null, version: '', figures: summed(rows) });
    return folded.has(group.name) ? [head] : [head, ...rows];
  });
}

/** Where no span tells of a brick: what its instances' metrics come to. Percentiles cannot be summed. @param {Row[]} rows @returns {Figures | null} */
function summed(rows) {
  const own = rows.flatMap((row) => (row.figures ? [row.figures] : []));
  const rate = own.reduce((sum, one) => sum + one.rate, 0);
  const failed = own.reduce((sum, one) => sum + one.rate * one.errors, 0);
  return own.length ? { rate, errors: rate ? failed / rate : 0, p50: null, p99: null } : null;
}

/** @param {Group} group @param {Instance | null} instance @param {Figures | null} figures @param {boolean} below @returns {Row} */
function rowOf(group, instance, figures, below) {
  if (!instance) return { id: `brick:${group.name}`, kind: 'group', group, instance, version: '', figures };
  return { id: instance.slot, kind: below ? 'instance' : 'single', group, instance, version: '', figures: below ? figures : group.figures ?? figures };
}

/** @param {Instance} one */
function searched(one) {
  return `${one.slot} ${one.state} ${one.version} ${one.revision} ${one.zone} ${one.port ?? ''} ${one.pid ?? ''} ${one.outsider && `outsider ${one.outsider}`}`.toLowerCase();
}

/** What a row is sorted by. @type {Record<string, (row: Row) => string | number>} */
const VALUES = {
  // Numbers sort before letters: the base version's instances come before those of one beside it.
  name: (row) => row.instance?.slot.replace('@', '/z@') ?? row.group.name,
  state: (row) => WORST.indexOf(row.instance?.tone ?? row.group.tone),
  version: (row) => row.instance?.version ?? row.group.versions.join(),
  revision: (row) => row.instance?.revision ?? '',
  zone: (row) => row.instance?.zone ?? '',
  port: (row) => row.instance?.port ?? -1,
  pid: (row) => row.instance?.pid ?? -1,
  restarts: (row) => (row.instance ? row.instance.restarts ?? -1 : restartsOf(row.group)),
  up: (row) => -(row.instance?.since ?? Math.min(...row.group.instances.map((one) => one.since ?? Infinity), Date.now())),
  rate: (row) => row.figures?.rate ?? -1,
  errors: (row) => row.figures?.errors ?? -1,
  p99: (row) => row.figures?.p99 ?? -1,
};

/** @param {Group} group */
export function restartsOf(group) {
  return group.instances.reduce((sum, one) => sum + (one.restarts ?? 0), 0);
}

/** @param {string | number} a @param {string | number} b */
function order(a, b) {
  return typeof a === 'number' && typeof b === 'number' ? a - b : slots.compare(String(a), String(b));
}

/**
 * Reads three answers of the metrics by instance: rate, p99, rate by status too.
 * @param {any} all
 * @param {any} slow
 * @param {any} states
 * @returns {Map<string, Figures>} by slot
 */
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
