// What the palette offers: screens, bricks and instances with what can be done to them, traces, settings.
import { ago, duration } from '../format.js';
import { address, navigate } from '../route.js';
import { keyHelp } from '../keys.js';
import { SCREENS } from '../screens.js';
import { groupsOf, idleVersions, instancesOf, versionName } from '../bricks/model.js';
import { choose } from '../theme.js';

/** @typedef {{ id: string, kind: string, title: string, about: string, act: () => void, whole?: string }} Entry */

const BRICKS = '/console/bricks';
const ROUTES = '/console/routes';

/** An entry that leads to an address. @param {string} kind @param {string} title @param {string} about @param {string} to @returns {Entry} */
function way(kind, title, about, to) {
  return { id: to, kind, title, about, act: () => navigate(to) };
}

/** @param {any} system answer of /api/system/v1 @param {any} bricks rows of the agent @returns {Entry[]} */
export function entriesOf(system, bricks) {
  const groups = groupsOf(instancesOf(bricks), system, null);
  return [
    ...SCREENS.map((one) => way('Screen', one.title, one.about, one.path)),
    ...groups.flatMap(ofBrick),
    ...groups.flatMap((group) => group.instances.flatMap((one) => ofInstance(one, group.platform))),
    { id: 'keys', kind: 'Help', title: 'Keys', about: 'What can be pressed here', act: () => (keyHelp.value = true) },
    ...THEMES,
  ];
}

const THEMES = /** @type {const} */ (['light', 'dark', 'system']).map((one) => ({
  id: `theme:${one}`, kind: 'Theme', title: `Theme: ${one}`, about: one === 'system' ? 'As the system says' : '', act: () => choose(one),
}));

/** @param {import('../bricks/model.js').Group} group */
function ofBrick(group) {
  const { name } = group;
  const about = `${group.ready} of ${group.instances.length} ready`;
  const entries = [
    way('Brick', name, about, address(BRICKS, { select: `brick:${name}` })),
    way('Logs', `Logs of ${name}`, '', address('/console/logs', { brick: name })),
    way('Traces', `Traces of ${name}`, '', address('/console/traces', { service: name })),
    way('Audit', `Audit of ${name}`, 'Who changed it', address('/console/audit', { target: name })),
  ];
  if (group.platform) return entries;
  return [
    ...entries,
    way('Do', `Scale ${name}…`, 'Run more or fewer instances', address(BRICKS, { select: `brick:${name}`, do: 'scale' })),
    ...idleVersions(group).map((version) => way('Do', `Scale ${versionName(group, version)}…`, 'No instance of it runs now', address(BRICKS, { select: versionName(group, version), do: 'scale' }))),
    way('Config', `Config of ${name}`, 'What counts and why', address('/console/config', { brick: name })),
    way('Do', `Set a value of ${name}…`, 'While it runs', address('/console/config', { brick: name, do: 'set' })),
    way('Do', `Log level of ${name}…`, 'Turn up the volume, for a while', address(BRICKS, { select: `brick:${name}`, do: 'log' })),
    ...(group.versions.length > 1 ? [
      way('Routes', `Routes of ${name}`, `Versions ${group.versions.join(', ')}`, address(ROUTES, { select: name })),
      way('Do', `Shares of ${name}…`, 'Which version gets how much', address(ROUTES, { select: name, do: 'weights' })),
      way('Do', `Canary of ${name}…`, 'A share that grows while it does well', address(ROUTES, { select: name, do: 'canary' })),
    ] : []),
    way('Do', `Roll ${name}…`, 'Replace its instances one by one', address(BRICKS, { select: `brick:${name}`, do: 'roll' })),
  ];
}

/** @param {import('../bricks/model.js').Instance} one @param {boolean} platform */
function ofInstance(one, platform) {
  return [
    way('Instance', one.slot, `${one.state}, port ${one.port}`, address(BRICKS, { select: one.slot })),
    way('Do', `Kill ${one.slot}…`, 'See what the others make of it', address(BRICKS, { select: one.slot, do: 'kill' })),
    ...(platform ? [] : [way('Do', `${one.quarantine === null ? 'Quarantine' : 'Release'} ${one.slot}…`, one.quarantine === null ? 'Out of its pool, to be looked into' : 'Back into its pool', address(BRICKS, { select: one.slot, do: 'quarantine' }))]),
  ];
}

/** @param {any} raw answer of the search for traces @returns {Entry[]} */
export function traceEntries(raw) {
  const items = Array.isArray(raw?.items) ? raw.items : [];
  return items.map((/** @type {any} */ one) => {
    const title = `${one.root_service} ${one.root_operation}`;
    const about = `${duration(one.duration_ms)}, ${ago(Date.parse(one.start))}${one.error ? ', error' : ''} · ${String(one.trace_id).slice(0, 8)}`;
    return { ...way('Trace', title, about, `/console/traces/${one.trace_id}`), whole: String(one.trace_id) };
  });
}

/** A trace id that was pasted. @param {string} text @returns {Entry[]} */
export function pasted(text) {
  const id = text.trim().toLowerCase();
  return /^[0-9a-f]{32}$/.test(id) ? [{ ...way('Trace', `Trace ${id.slice(0, 8)}…`, 'Open it', `/console/traces/${id}`), whole: id }] : [];
}
