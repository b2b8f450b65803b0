// A map that can be read however large the system is: a part of it (a node and its neighbours), or groups of nodes drawn
// as one, or framed together. Pure.
import { healthOf } from './model.js';

/**
 * @typedef {import('./model.js').ServiceMap} ServiceMap
 * @typedef {import('./model.js').Node} Node
 * @typedef {import('./model.js').Edge} Edge
 * @typedef {{ id: string, label: string, members: string[] }} Group
 * @typedef {ServiceMap & { groups: Group[], frames: Group[], holder: Map<string, string> }} Drawn `holder`: the node that stands for a hidden one
 */

/** More nodes than this are grouped by themselves. */
export const NODES_MAX = 40;
/** Groups that a large map is brought down to, about. */
const GROUPS = 18;
/** Members that make a common beginning of names a group. */
const FAMILY_MIN = 3;

/** A node and what it reaches, or is reached from, in so many steps. @param {ServiceMap} map @param {string} centre @param {number} steps @returns {ServiceMap} */
export function neighbourhood(map, centre, steps) {
  const near = new Set([centre]);
  for (let i = 0; i < steps; i += 1) {
    const more = map.edges.filter((edge) => near.has(edge.from) !== near.has(edge.to)).flatMap((edge) => [edge.from, edge.to]);
    for (const id of more) near.add(id);
  }
  return { nodes: map.nodes.filter((node) => near.has(node.id)), edges: map.edges.filter((edge) => near.has(edge.from) && near.has(edge.to)) };
}

/**
 * What is drawn. Groups are drawn as one node where the map is large, and framed where it is not or where they were opened.
 * @param {ServiceMap} map
 * @param {'auto' | 'zone' | 'none'} mode
 * @param {Set<string>} open groups that are shown with their members
 * @returns {Drawn}
 */
export function draw(map, mode, open) {
  const large = map.nodes.length > NODES_MAX;
  const groups = mode === 'zone' ? zonesOf(map) : mode === 'auto' && large ? familiesOf(map) : [];
  const closed = groups.filter((group) => large && group.members.length > 1 && !open.has(group.id));
  const frames = groups.filter((group) => !closed.includes(group) && (group.members.length > 1 || mode === 'zone'));
  const holder = new Map(closed.flatMap((group) => group.members.map((id) => /** @type {[string, string]} */ ([id, group.id]))));
  const at = (/** @type {string} */ id) => holder.get(id) ?? id;
  /** @type {Map<string, Edge>} */
  const edges = new Map();
  for (const edge of map.edges) {
    const [from, to] = [at(edge.from), at(edge.to)];
    if (from === to) continue;
    const id = `${from}>${to}`;
    const held = edges.get(id);
    edges.set(id, held ? joined(held, edge) : { ...edge, id, from, to });
  }
  const nodes = [...map.nodes.filter((node) => !holder.has(node.id)), ...closed.map((group) => nodeOf(group, map))];
  return { nodes, edges: [...edges.values()], groups, frames, holder };
}

/** @param {Edge} a @param {Edge} b @returns {Edge} */
function joined(a, b) {
  const rate = a.rate + b.rate;
  const errors = rate > 0 ? (a.errors * a.rate + b.errors * b.rate) / rate : 0;
  const p99 = Math.max(a.p99 ?? 0, b.p99 ?? 0) || null;
  return {
    ...a, rate, errors, p50: null, p99, callee: null, lost: null, lossy: a.lossy || b.lossy, declared: a.declared || b.declared, seen: a.seen || b.seen, slow: a.slow || b.slow, health: worst([a.health, b.health]),
  };
}

/** @param {import('./model.js').Health[]} all */
function worst(all) {
  return /** @type {import('./model.js').Health[]} */ (['bad', 'warn', 'ok', 'idle']).find((one) => all.includes(one)) ?? 'idle';
}

/** One node for a group. @param {Group} group @param {ServiceMap} map @returns {Node} */
function nodeOf(group, map) {
  const inside = new Set(group.members);
  const nodes = map.nodes.filter((node) => inside.has(node.id));
  const sum = (/** @type {(node: Node) => number} */ of) => nodes.reduce((all, node) => all + of(node), 0);
  const into = map.edges.filter((edge) => inside.has(edge.to) && !inside.has(edge.from));
  const rate = into.reduce((all, edge) => all + edge.rate, 0);
  const failed = sum((node) => node.errors * node.rate);
  const errors = failed / (sum((node) => node.rate) || 1);
  const health = worst([healthOf(errors, rate), ...nodes.map((node) => node.health)]);
  return {
    id: group.id, kind: 'group', up: sum((node) => node.up), total: sum((node) => node.total), rate, errors, p50: null,
    p99: nodes.reduce((most, node) => Math.max(most, node.p99 ?? 0), 0) || null, health, instances: [], about: group.label, members: group.members,
  };
}

/** By the zones that their instances run in; what runs nowhere of ours is in none. @param {ServiceMap} map @returns {Group[]} */
function zonesOf(map) {
  /** @type {Map<string, string[]>} */
  const zones = new Map();
  for (const node of map.nodes) {
    const own = [...new Set(node.instances.map((one) => one.zone).filter(Boolean))].sort();
    if (!own.length) continue;
    const key = own.join(' + ');
    zones.set(key, [...(zones.get(key) ?? []), node.id]);
  }
  return [...zones].map(([zone, members]) => ({ id: `zone ${zone}`, label: `${zone.includes('+') ? 'zones' : 'zone'} ${zone}`, members }));
}

/**
 * By what belongs together: names with the same beginning first; then, until the map can be read, the least connected
 * node or group goes to the one that it talks with most.
 * @param {ServiceMap} map
 * @returns {Group[]}
 */
function familiesOf(map) {
  const inner = map.nodes.filter((node) => node.kind !== 'edge').map((node) => node.id);
  /** @type {Map<string, string>} */
  const leader = new Map(inner.map((id) => [id, id]));
  for (const [family, members] of namesakes(inner)) for (const id of members) leader.set(id, family);
  const size = () => {
    /** @type {Map<string, number>} */
    const sizes = new Map();
    for (const to of leader.values()) sizes.set(to, (sizes.get(to) ?? 0) + 1);
    return sizes;
  };
  const most = Math.max(4, Math.ceil((inner.length / GROUPS) * 2.5));
  const stuck = new Set();
  for (let sizes = size(); sizes.size > GROUPS; sizes = size()) {
    const smallest = [...sizes].filter(([id]) => !stuck.has(id)).sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1))[0];
    if (!smallest) break;
    const target = strongest(map, leader, smallest[0], (id) => (sizes.get(id) ?? 0) + smallest[1] <= most);
    if (!target) stuck.add(smallest[0]);
    else for (const [id, to] of leader) if (to === smallest[0]) leader.set(id, target);
  }
  return named(leader, map);
}

/** Families of names: what stands before the first dash or dot. @param {string[]} ids @returns {[string, string[]][]} */
function namesakes(ids) {
  /** @type {Map<string, string[]>} */
  const families = new Map();
  for (const id of ids) {
    const family = /^([^-._]{2,})[-._]/.exec(id)?.[1];
    if (family) families.set(family, [...(families.get(family) ?? []), id]);
  }
  const found = [...families].filter(([, members]) => members.length >= FAMILY_MIN && members.length < ids.length * 0.6);
  return found.map(([family, members]) => [`${family}-*`, members]);
}

/** The group that this one talks with most and that has room. @param {ServiceMap} map @param {Map<string, string>} leader @param {string} group @param {(id: string) => boolean} room */
function strongest(map, leader, group, room) {
  /** @type {Map<string, number>} */
  const ties = new Map();
  for (const edge of map.edges) {
    const [from, to] = [leader.get(edge.from), leader.get(edge.to)];
    if (!from || !to || from === to || (from !== group && to !== group)) continue;
    const other = from === group ? to : from;
    ties.set(other, (ties.get(other) ?? 0) + edge.rate + 0.001);
  }
  return [...ties].filter(([id]) => room(id)).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0]?.[0];
}

/** Groups with names: that of the family, else that of the member with most calls. @param {Map<string, string>} leader @param {ServiceMap} map @returns {Group[]} */
function named(leader, map) {
  const degree = (/** @type {string} */ id) => map.edges.filter((edge) => edge.from === id || edge.to === id).length;
  /** @type {Map<string, string[]>} */
  const members = new Map();
  for (const [id, to] of leader) members.set(to, [...(members.get(to) ?? []), id]);
  return [...members].map(([to, own]) => {
    const first = [...own].sort((a, b) => degree(b) - degree(a) || (a < b ? -1 : 1))[0];
    return { id: `group ${to}`, label: to.endsWith('-*') ? to : own.length > 1 ? `${first} +${own.length - 1}` : first, members: own };
  });
}
