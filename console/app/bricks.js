// The bricks: every instance with its state and figures, what is behind one, and what can be done to it.
import { classes, html, useMemo } from './html.js';
import { plural } from './format.js';
import { useKeys } from './keys.js';
import { connection, useLive } from './live.js';
import { change, params } from './route.js';
import { useEvents } from './bricks/events.js';
import { useFigures } from './bricks/figures.js';
import { groupsOf, idleVersions, instancesOf, rowsOf, versionName, withRegistry } from './bricks/model.js';
import { ActionDialog } from './bricks/dialogs.js';
import { Filter } from './bricks/filter.js';
import { List } from './bricks/list.js';
import { Panel } from './bricks/panel.js';

/** Folded bricks kept in the URL; an address has to stay one that can be sent. */
const FOLDED_MAX = 60;

export function Bricks() {
  const asked = params.value;
  const told = useLive({ topic: 'bricks' });
  // Without the agent the registry still knows who is there; who is quarantined it knows first.
  const away = told.error !== null && told.data === null;
  const registry = useLive({ topic: 'instances' });
  const system = useLive({ topic: 'system' });
  const graph = useLive({ topic: 'graph', window: 60 });
  const figures = useFigures();
  const events = useEvents();
  const raw = told.data ?? (away ? registry.data : null);
  const instances = useMemo(() => withRegistry(instancesOf(raw), registry.data), [raw, registry.data]);
  const groups = useMemo(() => groupsOf(instances, system.data, graph.data), [instances, system.data, graph.data]);
  const [text, tone, zone, by, sort, dir] = ['q', 'state', 'zone', 'by', 'sort', 'dir'].map((name) => asked.get(name) ?? '');
  const folded = useMemo(() => new Set((asked.get('fold') ?? '').split(',').filter(Boolean)), [asked.get('fold')]);
  const rows = useMemo(
    () => rowsOf(groups, { text, tone, zone, byZone: by === 'zone', sort, descending: dir === 'desc', folded, figures }),
    [groups, text, tone, zone, by, sort, dir, folded, figures],
  );
  const selected = asked.get('select') ?? '';
  const group = groups.find((one) => `brick:${one.name}` === selected || versionOf(one, selected) || one.instances.some((instance) => instance.slot === selected));
  const version = group ? versionOf(group, selected) : '';
  const only = group?.instances.length === 1 && !idleVersions(group).length ? group.instances[0] : null;
  const instance = group?.instances.find((one) => one.slot === selected) ?? (version ? null : only);
  const keys = useMemo(() => keysOf(), []);
  useKeys('Bricks', keys);
  const stale = connection.value === 'reconnecting' || (told.error !== null && told.data !== null);
  return html`<div class=${classes('screen', 'bricks', stale && 'stale')}>
    <header class="screen-head">
      <h1>Bricks</h1>
      <p class="muted" role="status">${raw ? summary(groups, instances) : ''}</p>
    </header>
    ${told.error && html`<p class="card notice" role="alert">${told.error.detail}. ${away ? 'This is what the registry knows; it is asked again every second.' : 'This is what was last known.'}</p>`}
    ${registry.data?.preserving === true && html`<${Preserving} kept=${Number(registry.data.kept) || 0} />`}
    <${Filter} instances=${instances} text=${text} tone=${tone} zone=${zone} byZone=${by === 'zone'} />
    <div class=${classes('stage', group && 'with-panel')}>
      <section class="card brick-list" aria-label="Bricks">
        ${raw
          ? html`<${List} rows=${rows} folded=${folded} selected=${selected} sort=${sort || 'name'} descending=${dir === 'desc'} onFold=${fold} onSelect=${select} />`
          : html`<${Waiting} failed=${told.error !== null} />`}
        ${raw && !rows.length && html`<${Nothing} narrowed=${Boolean(text || tone || zone)} />`}
      </section>
      ${group && html`<${Panel} key=${instance?.slot ?? (version || group.name)} group=${group} groups=${groups} version=${version} instance=${instance} figures=${figures} events=${events} onSelect=${select} />`}
    </div>
    ${group && raw && asked.get('do') && html`<${ActionDialog} key=${`${asked.get('do')} ${selected}`} kind=${asked.get('do')} group=${group} version=${version} instance=${instance} onClose=${() => change({ do: '' }, { replace: true })} />`}
  </div>`;
}

/** Most leases ran out at once: that is rather the registry's own trouble. @param {{ kept: number }} props */
function Preserving({ kept }) {
  return html`<p class="card notice" role="alert"><b>Control lost sight of most instances at once and keeps them.</b> ${kept > 0 && `Of ${plural(kept, 'instance')} nothing is heard; calls still go there. `}Look at the network and at the load of the machine before the instances; it ends by itself as soon as they are heard again.</p>`;
}

/** @param {import('./bricks/model.js').Group[]} groups @param {import('./bricks/model.js').Instance[]} instances */
function summary(groups, instances) {
  const bricks = groups.filter((group) => !group.platform).length;
  const ready = instances.filter((one) => one.state === 'ready').length;
  return `${plural(bricks, 'brick')}, ${ready} of ${plural(instances.length, 'instance')} ready`;
}

/** The version beside the base that is chosen, `payment@v2`. @param {import('./bricks/model.js').Group} group @param {string} selected */
function versionOf(group, selected) {
  return group.versions.find((version) => version !== group.base && versionName(group, version) === selected) ?? '';
}

/** @param {string} id */
function select(id) {
  change({ select: id, do: '' }, { replace: true });
}

/** @param {Set<string>} next */
function fold(next) {
  change({ fold: [...next].slice(-FOLDED_MAX).join(',') }, { replace: true });
}

/** Keys that act on what is chosen. @returns {import('./keys.js').Binding[]} */
function keysOf() {
  const act = (/** @type {string} */ kind) => () => {
    if (params.peek().get('select')) change({ do: kind }, { replace: true });
  };
  return [
    { keys: 's', text: 'Scale the chosen brick', act: act('scale') },
    { keys: 'r', text: 'Roll the chosen brick', act: act('roll') },
    { keys: 'x', text: 'Kill the chosen instance', act: act('kill') },
    { keys: 'q', text: 'Quarantine the chosen instance, or release it', act: act('quarantine') },
    { keys: 'v', text: 'Log level of the chosen brick or instance', act: act('log') },
  ];
}

/** @param {{ failed: boolean }} props */
function Waiting({ failed }) {
  if (failed) return html`<p class="hint">Neither the agent nor the registry answers yet. Both are asked again every second.</p>`;
  return html`<div class="bricks-wait" role="status" aria-label="Loading">${Array.from({ length: 8 }, (_, i) => html`<span key=${i}></span>`)}</div>`;
}

/** @param {{ narrowed: boolean }} props */
function Nothing({ narrowed }) {
  return html`<div class="hint">
    ${narrowed
      ? html`<p>Nothing matches. <button type="button" class="link accent" onClick=${() => change({ q: '', state: '', zone: '' })}>Clear the filter</button></p>`
      : html`<p>No brick runs. Describe one in <code>brick.toml</code>, then:</p><pre><code>brick up</code></pre>`}
  </div>`;
}
