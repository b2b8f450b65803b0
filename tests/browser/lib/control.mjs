// Versions, configuration, quarantine and the audit trail as the console meets them through control.
import { NASTY } from './data.mjs';
import { flags, startFlags } from './flags.mjs';

const problem = (status, code, detail) => [status, { title: code, status, code, detail }];
const HIDDEN = '•••';
const ago = (ms) => new Date(Date.now() - ms).toISOString();

/** What control knows, fresh. `trail` is how many entries the audit trail has. */
export function startControl(world) {
  const text = world.nasty ? NASTY : null;
  const control = {
    asked: [], outsiders: [], kept: new Set(), refuse: null, away: false, gate: null, revision: 40,
    pools: new Map([['payment', { weights: {}, rules: [], sticky: null, revision: 0 }]]),
    canaries: new Map(), plan: { steps: [1, 5, 25, 100], hold_ms: 30_000, limits: { error_rate: 0.01, p99_times: 2, min_calls: 100 } }, quarantined: new Map(), flags: startFlags(world), levels: { all: null, instances: {} }, acks: new Map(),
    config: {
      manifest: { max_lines: 50, carriers: ['clay', 'kiln'], greeting: text ?? 'welcome', limits: { retry_ms: 250, open: true }, database: { password: 'kept' } },
      live: {}, history: [],
    },
    trail: Array.from({ length: world.trail ?? 12 }, (_, i) => {
      const id = (world.trail ?? 12) - i;
      const [action, target, before, after] = [
        ['limits.set', 'limits/order->payment', null, { timeout_ms: 900 }], ['scale', 'order', { replicas: 2 }, { replicas: 3 }],
        ['pools.set', 'pools/payment', { weights: { v2: 5 }, sticky: 'user' }, { weights: { v2: 10 }, sticky: 'user' }], ['manifest.put', 'system', null, { changed: ['brick.order'] }],
        ['canary.step', 'canary/payment', 5, 25],
      ][id % 5];
      return { id, at: ago(i * 60_000 + 90_000), who: id % 4 ? 'operator' : 'carol', action, target: text && id % 7 === 1 ? text : target, before, after: text && after ? { x: text } : after, ...(id % 3 === 0 && { why: text ?? 'the bank is slow' }), ...(id % 2 === 0 && { trace_id: '4bf92f3577b34da6a3ce929d0e0e4736' }) };
    }),
  };
  control.note = (action, target, before, after, why) => control.trail.unshift({ id: (control.trail[0]?.id ?? 0) + 1, at: ago(0), who: 'operator', action, target, before, after, ...(why && { why }) });
  return control;
}

/** The registry's instances of the mock's agent. */
export function registered(world) {
  const { outsiders, kept } = world.control;
  const own = world.agent.rows.filter((one) => one.pid && !['control', 'gateway', 'telemetry'].includes(one.brick)).map((one) => {
    const reason = world.control.quarantined.get(one.incarnation);
    return { brick: one.brick, version: one.version, slot: Number(one.instance.split('/').pop()), incarnation: one.incarnation, zone: one.zone, addr: `127.0.0.1:${one.port}`, state: reason ? 'quarantined' : kept.has(one.instance) ? 'kept' : 'ready', ready: true, supervised: true, ...(reason && { quarantined: reason }) };
  });
  return { items: [...own, ...outsiders], preserving: kept.size > 0, kept: kept.size };
}

/** Answers what is control's; none for other paths. */
export function answerControl(world, method, url, body, headers = {}) {
  const { control } = world;
  const parts = url.pathname.split('/').slice(2).map(decodeURIComponent);
  const handler = { pools, canaries, config, flags, audit, registry: quarantine, v1: acks }[url.pathname.startsWith('/bus/') ? 'v1' : parts[0]];
  if (method === 'GET' && parts[0] === 'registry') return [200, registered(world)];
  if (!handler || (parts[0] === 'registry' && parts.at(-1) !== 'quarantine')) return null;
  const why = headers['x-brick-why'] ? Buffer.from(headers['x-brick-why'], 'latin1').toString() : '';
  if (method !== 'GET') control.asked.push([method, url.pathname.replace(/^\/api\//, ''), ...(body === undefined ? [] : [body]), ...(why ? [why] : [])]);
  if (control.away) return problem(503, 'control_away', 'control does not answer');
  if (control.refuse && method !== 'GET') return control.refuse;
  return handler(world, method, parts.slice(2), url.searchParams, body, why, headers['if-match']);
}

function versionsOf(world, brick) {
  const rows = world.agent.rows.filter((one) => one.brick === brick);
  const names = [...new Set(['v1', ...rows.map((one) => one.version), ...(brick === 'payment' ? ['v2'] : [])])];
  return { rows, names };
}

function pool(world, brick) {
  const held = world.control.pools.get(brick);
  const { rows, names } = versionsOf(world, brick);
  const share = (version) => (version === 'v1' ? 100 - Object.values(held.weights).reduce((sum, part) => sum + part, 0) : held.weights[version] ?? 0);
  const count = (version, quarantined) => rows.filter((one) => one.version === version && one.pid && world.control.quarantined.has(one.incarnation) === quarantined).length;
  return {
    brick, revision: held.revision, rules: held.rules, weights: held.weights, sticky: held.sticky, ...(held.mirror && { mirror: held.mirror }),
    tag: tagOf(held),
    versions: names.map((version) => ({ version, base: version === 'v1', share: held.revision ? share(version) : null, ready: count(version, false), quarantined: count(version, true) })),
  };
}

/** As control makes them of what is wanted. */
const tagOf = ({ weights, rules, sticky, revision }) => (revision ? JSON.stringify(JSON.stringify([weights, rules, sticky])) : '"none"');

function pools(world, method, [brick, preview], _, body, why, tag) {
  const { control } = world;
  if (!brick) return [200, { items: world.idle ? [] : [...control.pools.keys()].map((name) => pool(world, name)) }];
  const held = control.pools.get(brick);
  if (!held) return problem(404, 'brick_unknown', `no brick "${brick}" of the manifest runs here`);
  if (preview) {
    const was = held.weights.v2 ?? 0;
    const moved = Math.abs((body.weights.v2 ?? 0) - was) * 100;
    return [200, { moved, by: moved ? { [(body.weights.v2 ?? 0) > was ? 'v1->v2' : 'v2->v1']: moved } : {} }];
  }
  if (method !== 'GET' && tag !== tagOf(held)) return problem(412, 'changed_meanwhile', `pools/${brick} was changed since it was read; read it again`);
  if (method === 'PUT') {
    control.note('pools.set', `pools/${brick}`, held.revision ? { weights: held.weights, sticky: held.sticky } : null, { weights: body.weights, sticky: body.sticky }, why);
    Object.assign(held, body, { revision: (control.revision += 1) });
  }
  if (method === 'DELETE') {
    Object.assign(held, { weights: {}, rules: [], sticky: null, revision: 0 });
    return [204, ''];
  }
  return [200, pool(world, brick)];
}

function canaries(world, method, [brick, end], _, body, why) {
  const { control } = world;
  if (!brick) return [200, { items: [...control.canaries.values()].map((one) => ({ ...one, course: one.course?.filter((_, i) => i % 10 === 9) })) }];
  if (method === 'GET' && end === 'plan') return [200, control.plan];
  if (method === 'GET') return control.canaries.has(brick) ? [200, control.canaries.get(brick)] : problem(404, 'canary_unknown', `there is no canary of "${brick}"`);
  const now = new Date().toISOString();
  if (end) {
    const held = control.canaries.get(brick);
    Object.assign(held, { phase: `${end.replace(/e$/, '')}ed`, share: end === 'promote' ? 100 : 0, reason: why || `${end.replace(/e$/, '')}ed by hand` });
  } else {
    control.canaries.set(brick, {
      brick, version: body.version, base: 'v1', steps: body.steps, hold_ms: body.hold_ms, limits: body.limits, phase: 'running', step: 0, share: body.steps[0], reason: '', started: now, stepped: now,
      seen: { step: 0, own: { calls: 41, errors: 0, p99_ms: 100 }, base: { calls: 3_900, errors: 4, p99_ms: 100 }, verdict: 'unknown', because: '41 of 100 calls', at: now },
    });
  }
  return [200, control.canaries.get(brick)];
}

function flat(values, below = '') {
  return Object.entries(values).flatMap(([name, value]) => (value && typeof value === 'object' && !Array.isArray(value) ? flat(value, `${below}${name}.`) : [[below + name, value]]));
}

function config(world, method, [brick, what], query, body, why) {
  const { control } = world;
  const held = brick === 'order' ? control.config : { manifest: {}, live: {}, history: [] };
  const own = world.agent.rows.filter((one) => one.brick === brick);
  if (what === 'log') return log(control, method, brick, query, body);
  const manifest = Object.fromEntries(flat(held.manifest));
  const now = { ...manifest, ...held.live };
  const shown = (key, value) => (key.includes('password') ? HIDDEN : value);
  if (what === 'history') return [200, { items: held.history }];
  const at = (name, otherwise) => ({ now, manifest })[name ?? otherwise] ?? held.history.find((one) => one.change === name)?.values;
  if (what === 'diff') return [200, { brick, items: differ(at(query.get('from'), 'manifest'), at(query.get('to'), 'now'), shown) }];
  if (method === 'GET') {
    const nested = {};
    for (const [key, value] of Object.entries(now)) {
      const path = key.split('.');
      path.slice(0, -1).reduce((node, name) => (node[name] ??= {}), nested)[path.at(-1)] = shown(key, value);
    }
    return [200, { brick, revision: control.revision, values: nested, origins: Object.fromEntries(Object.keys(now).map((key) => [key, key in held.live ? 'live' : 'manifest'])), secrets: Object.keys(now).filter((key) => key.includes('password')), ...(control.problem && { problem: control.problem }) }];
  }
  const live = what === 'rollback' ? Object.fromEntries(Object.entries(at(String(body.to))).filter(([key, value]) => manifest[key] !== value)) : { ...held.live, ...body.values };
  for (const key of Object.keys(live)) if (live[key] === null) delete live[key];
  return change(world, brick, own, held, { now, live, manifest, shown, kind: what === 'rollback' ? 'rollback' : 'set', why });
}

/** In two phases, slowly enough to be seen where a test holds the gate. */
async function change({ control }, brick, own, held, { now, live, manifest, shown, kind, why }) {
  const id = (0x1b2c3d0 + held.history.length * 7919).toString(16);
  const after = { ...manifest, ...live };
  const diff = differ(now, after, shown);
  const wrong = Object.entries(after).find(([key, value]) => manifest[key] !== undefined && typeof manifest[key] !== typeof value);
  const say = (name, revision, more) => control.acks.set(name, { revision, items: own.map((one) => ({ incarnation: one.incarnation, revision, at: new Date().toISOString(), ...more })) });
  const reason = wrong && `${wrong[0]}: expected ${typeof manifest[wrong[0]] === 'number' ? 'a number' : 'text'}, found "${wrong[1]}"`;
  control.revision += 1;
  say(`prepare/${brick}`, control.revision, reason && { refused: reason });
  await control.gate;
  const entry = { change: id, at: new Date().toISOString(), by: 'operator', kind, ...(why && { why }), diff };
  if (reason) {
    held.history.unshift({ ...entry, outcome: 'refused', refused: [{ instance: own[0].instance, reason }] });
    return problem(409, 'config_refused', `${own[0].instance} refuses: ${reason}; nothing was changed anywhere (${id})`);
  }
  control.revision += 1;
  held.live = live;
  held.history.unshift({ ...entry, outcome: 'applied', revision: control.revision, values: after });
  say(`config/${brick}`, control.revision, brick === 'order' && control.shadow);
  control.note(`config.${kind}`, `config/${brick}`, Object.fromEntries(diff.map((one) => [one.key, one.before ?? null])), Object.fromEntries(diff.map((one) => [one.key, one.after ?? null])), why);
  return [200, { brick, change: id, revision: control.revision, applied: own.length, of: own.length, ms: 41, spread_ms: 6, instances: own.map((one, i) => ({ instance: one.instance, incarnation: one.incarnation, applied: true, ms: 35 + i * 6 })), after_restart: control.later ?? [], diff }];
}

function differ(before, after, shown) {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort().filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
  return keys.map((key) => ({ key, ...(key in before && { before: shown(key, before[key]) }), ...(key in after && { after: shown(key, after[key]) }) }));
}

function log(control, method, brick, query, body) {
  const { levels } = control;
  if (method === 'PUT') {
    if (!/^[a-z=,:_]+$/.test(body.level)) return problem(422, 'level_invalid', `expected a level such as debug, found "${body.level}"`);
    const level = { level: body.level, ...(body.for_s && { until: new Date(Date.now() + body.for_s * 1000).toISOString() }) };
    if (body.instance) levels.instances[body.instance] = level;
    else levels.all = level;
  }
  if (method === 'DELETE') {
    if (query.get('instance')) delete levels.instances[query.get('instance')];
    else levels.all = null;
  }
  return [200, { brick, ...(brick === 'order' ? levels : { all: null, instances: {} }) }];
}

function quarantine(world, method, [, slot], _, body, why) {
  const one = world.agent.rows.find((row) => row.instance === slot);
  if (!one) return problem(404, 'instance_unknown', `no instance is called ${slot}`);
  if (method === 'POST') world.control.quarantined.set(one.incarnation, body.reason || 'none was given');
  else world.control.quarantined.delete(one.incarnation);
  one.quarantined = method === 'POST';
  world.control.note(method === 'POST' ? 'quarantine.set' : 'quarantine.release', slot, null, null, why);
  return [200, { instance: slot, incarnation: one.incarnation, quarantined: method === 'POST' ? body.reason : null, own_name: 'x', told: true }];
}

function acks({ control, agent }, _, __, query) {
  const name = query.get('name') ?? '';
  const brick = name.split('/')[1];
  const first = { revision: control.revision, items: name.startsWith('config/') ? agent.rows.filter((one) => one.brick === brick && brick === 'order').map((one) => ({ incarnation: one.incarnation, revision: control.revision, at: ago(60_000), ...control.shadow })) : [] };
  return [200, { name, ...(control.acks.get(name) ?? first) }];
}

function audit({ control }, _, __, query) {
  const [who, action, target, text] = ['who', 'action', 'target', 'text'].map((name) => query.get(name) ?? '');
  const limit = Number(query.get('limit') ?? 100);
  const cursor = Number(query.get('cursor') ?? Infinity);
  const holds = (one) => (!who || one.who === who) && (!action || one.action === action || one.action.startsWith(`${action}.`)) && one.target.toLowerCase().includes(target.toLowerCase()) && JSON.stringify(one).toLowerCase().includes(text.toLowerCase()) && one.id < cursor
    && (!query.get('since') || Date.parse(one.at) > Date.now() - Number.parseInt(query.get('since'), 10) * { m: 6e4, h: 36e5 }[query.get('since').at(-1)]);
  const items = control.trail.filter(holds).slice(0, limit);
  return [200, { items, ...(items.length === limit && { next: items.at(-1).id }) }];
}
