// The map's data: what the manifest says merged with what runs and what spans show. Pure.
import { percent } from '../format.js';

/**
 * @typedef {{ name: string, needs: string[], replicas: number, optional: boolean }} Brick
 * @typedef {{ name: string, path: string, to: string, auth: string }} Route
 * @typedef {{ name: string, bricks: Brick[], routes: Route[], externals: { name: string, url: string }[] }} System
 * @typedef {{ brick: string, version: string, slot: string, incarnation: string, zone: string, addr: string, ready: boolean, supervised: boolean, state: string }} Instance
 * @typedef {'idle' | 'ok' | 'warn' | 'bad'} Health
 * @typedef {{ id: string, kind: 'edge' | 'brick' | 'platform' | 'external' | 'group', up: number, total: number, rate: number, errors: number,
 *   p50: number | null, p99: number | null, health: Health, instances: Instance[], about: string, members?: string[] }} Node
 * @typedef {{ id: string, from: string, to: string, rate: number, errors: number, p50: number | null, p99: number | null,
 *   declared: boolean, seen: boolean, health: Health, slow: boolean, callee: End | null, lost: number | null, lossy: boolean }} Edge
 *   `callee`: what the callee saw of the same calls; `lost`: share of them that failed for the caller alone
 * @typedef {{ rate: number, errors: number, p50: number | null, p99: number | null }} End
 * @typedef {{ nodes: Node[], edges: Edge[] }} ServiceMap
 */

/** Share of failed requests from which something is shown as degraded, and as failing. */
export const WARN_SHARE = 0.01;
export const BAD_SHARE = 0.05;
/** Share of calls lost on the way from which an edge is shown as lossy; `brick map` draws the line at the same place. */
export const LOSSY_SHARE = 0.01;
/** 99th percentile from which a call is shown as slow. */
export const SLOW_MS = 250;

/** @param {any} value @returns {any[]} */
const list = (value) => (Array.isArray(value) ? value : Array.isArray(value?.items) ? value.items : []);

/** Reads `GET /api/system/v1`. @param {any} raw @returns {System} */
export function systemOf(raw) {
  const told = list(raw?.bricks).map((brick) => ({ ...brick, name: String(brick.name ?? brick.brick) }));
  const inside = told.filter((brick) => !brick.external);
  const outside = [...told.filter((brick) => brick.external), ...list(raw?.externals)];
  return {
    name: String(raw?.name ?? raw?.system?.name ?? ''),
    bricks: inside.map((brick) => ({
      name: brick.name,
      needs: list(brick.needs).map(String),
      replicas: Number(brick.replicas ?? 1),
      optional: Boolean(brick.optional),
    })),
    routes: list(raw?.routes).map((route) => ({
      name: String(route.name ?? ''),
      path: String(route.path ?? route.match ?? ''),
      to: String(route.to),
      auth: String(route.auth ?? ''),
    })),
    externals: outside.map((one) => ({ name: String(one.name), url: String(one.url ?? one.external ?? '') })),
  };
}

/** Reads `GET /api/registry/v1/instances`. @param {any} raw @returns {Instance[]} */
export function instancesOf(raw) {
  const read = list(raw?.instances ?? raw).map((one) => ({
    brick: String(one.brick),
    version: String(one.version ?? ''),
    slot: String(one.slot ?? '').includes('/') ? String(one.slot) : `${one.brick}/${one.slot}`,
    incarnation: String(one.incarnation ?? ''),
    zone: String(one.zone ?? ''),
    addr: String(one.addr ?? ''),
    ready: one.ready ?? (one.state === 'ready' || one.state === 'up'),
    supervised: one.supervised ?? true,
    state: String(one.state ?? (one.ready === false ? 'unready' : 'ready')),
  }));
  return read.sort((a, b) => a.slot.localeCompare(b.slot, 'en', { numeric: true }));
}

/** @param {number} share @param {number} rate @returns {Health} */
export function healthOf(share, rate) {
  if (share >= BAD_SHARE) return 'bad';
  if (share >= WARN_SHARE) return 'warn';
  return rate > 0 ? 'ok' : 'idle';
}

/** @param {System} system @param {Instance[]} instances @param {any} graph of telemetry @returns {ServiceMap} */
export function mapOf(system, instances, graph) {
  const seen = new Map(list(graph?.nodes).map((node) => [nameOf(node), node]));
  /** @type {Map<string, Node>} */
  const nodes = new Map();
  /** @param {string} id @param {Node['kind']} kind @param {number} total @param {string} about */
  const add = (id, kind, total, about) => {
    const own = instances.filter((one) => one.brick === id);
    const live = seen.get(id);
    const [rate, errors] = [live?.rate ?? 0, live?.error_rate ?? 0];
    const up = own.filter((one) => one.ready).length;
    const missing = kind === 'brick' && instances.length > 0 && up < total;
    const health = missing ? (up === 0 ? 'bad' : 'warn') : healthOf(errors, rate);
    const numbers = { rate, errors, p50: live?.p50_ms ?? null, p99: live?.p99_ms ?? null };
    nodes.set(id, { id, kind, up, total: Math.max(total, own.length), ...numbers, health, instances: own, about });
  };
  add('edge', 'edge', 0, 'public traffic');
  for (const brick of system.bricks) add(brick.name, 'brick', brick.replicas, brick.optional ? 'optional' : '');
  for (const one of system.externals) add(one.name, 'external', 0, one.url);
  for (const [id, node] of seen) {
    if (nodes.has(id)) continue;
    if (node.kind === 'external') add(id, 'external', 0, 'seen in traces');
    else if (node.kind === 'platform') add(id, 'platform', 0, 'part of Brickwork');
    else add(id, 'brick', 0, 'not in the manifest');
  }
  return { nodes: [...nodes.values()], edges: edgesOf(system, graph, nodes) };
}

/** The edge is `edge` here, whatever its process calls itself. @param {any} node */
function nameOf(node) {
  return node.kind === 'edge' ? 'edge' : String(node.brick);
}

/** @param {System} system @param {any} graph @param {Map<string, Node>} nodes @returns {Edge[]} */
function edgesOf(system, graph, nodes) {
  /** @type {Map<string, Edge>} */
  const edges = new Map();
  /** @param {string} from @param {string} to @returns {Edge} */
  const edge = (from, to) => {
    const id = `${from}>${to}`;
    const figures = { rate: 0, errors: 0, p50: null, p99: null, callee: null, lost: null };
    const fresh = { id, from, to, ...figures, declared: false, seen: false, health: /** @type {Health} */ ('idle'), slow: false, lossy: false };
    return edges.get(id) ?? (edges.set(id, fresh), fresh);
  };
  for (const route of system.routes) if (nodes.has(route.to)) edge('edge', route.to).declared = true;
  for (const brick of system.bricks) {
    for (const need of brick.needs) if (nodes.has(need)) edge(brick.name, need).declared = true;
  }
  const doors = new Set(list(graph?.nodes).filter((node) => node.kind === 'edge').map((node) => String(node.brick)));
  const named = (/** @type {unknown} */ name) => (doors.has(String(name)) ? 'edge' : String(name));
  for (const live of list(graph?.edges)) {
    const [from, to] = [named(live.from), named(live.to)];
    if (!nodes.has(from) || !nodes.has(to) || from === to) continue;
    const [rate, errors] = [live.rate ?? 0, live.error_rate ?? 0];
    const lost = typeof live.lost === 'number' ? live.lost : null;
    const numbers = { rate, errors, p50: live.p50_ms ?? null, p99: live.p99_ms ?? null, callee: endOf(live.callee), lost };
    Object.assign(edge(from, to), numbers, { seen: true, lossy: (lost ?? 0) >= LOSSY_SHARE, health: healthOf(errors, rate), slow: rate > 0 && (live.p99_ms ?? 0) >= SLOW_MS });
  }
  return [...edges.values()];
}

/** What a callee tells. @param {any} raw @returns {End | null} */
function endOf(raw) {
  if (!raw || typeof raw !== 'object') return null;
  return { rate: raw.rate ?? 0, errors: raw.error_rate ?? 0, p50: raw.p50_ms ?? null, p99: raw.p99_ms ?? null };
}

/**
 * What needs somebody's eye, worst first. `select` is what shows it on the map.
 * @param {ServiceMap} map
 * @returns {{ health: 'warn' | 'bad', select: string, text: string }[]}
 */
export function problemsOf(map) {
  const found = [];
  for (const node of map.nodes) {
    if (node.kind === 'brick' && node.about !== 'optional' && node.up < node.total && node.health !== 'idle') {
      const text = node.up === 0 ? `${node.id} is down` : `${node.id} has ${node.up} of ${node.total} instances`;
      found.push({ health: /** @type {'warn' | 'bad'} */ (node.up === 0 ? 'bad' : 'warn'), select: `brick:${node.id}`, text });
    }
    if (node.errors >= WARN_SHARE) {
      const share = Math.round(node.errors * 1000) / 10;
      const health = /** @type {'warn' | 'bad'} */ (node.errors >= BAD_SHARE ? 'bad' : 'warn');
      found.push({ health, select: `brick:${node.id}`, text: `${share} % of requests to ${node.id} fail` });
    }
  }
  for (const edge of map.edges) {
    if (!edge.lossy) continue;
    const health = /** @type {'warn' | 'bad'} */ ((edge.lost ?? 0) >= BAD_SHARE ? 'bad' : 'warn');
    found.push({ health, select: `edge:${edge.id}`, text: `${percent(edge.lost)} of calls from ${edge.from} to ${edge.to} are lost on the way` });
  }
  return found.sort((a, b) => Number(b.health === 'bad') - Number(a.health === 'bad'));
}
