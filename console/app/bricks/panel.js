// What is behind one brick or instance: who it says it is, how it fares, what it wrote last, what happened to it.
import { html, useRef } from '../html.js';
import { age, dateTime, duration, percent, rate } from '../format.js';
import { LevelText, useLevels } from '../config/level.js';
import { usePolled } from '../poll.js';
import { address, change } from '../route.js';
import { Health } from './health.js';
import { LastLines } from './lines.js';
import { Happened } from './happened.js';
import { restartsOf, versionName } from './model.js';

/**
 * @typedef {import('./model.js').Group} Group
 * @typedef {import('./model.js').Instance} Instance
 */

const EVERY_MS = 5_000;
const LEASE_MS = 1_000;

/**
 * @param {{ group: Group, groups: Group[], version: string, instance: Instance | null, figures: Map<string, import('./model.js').Figures>,
 *   events: import('./events.js').Event[], onSelect: (id: string) => void }} props
 */
export function Panel({ group, groups, version, instance, figures, events, onSelect }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    if (event.key !== 'Escape' || event.defaultPrevented) return;
    onSelect('');
    /** @type {HTMLElement | null} */ (document.querySelector('.brick-grid'))?.focus();
  };
  const own = group.instances.length > 1 && instance ? figures.get(instance.slot) ?? null : group.figures ?? figures.get(instance?.slot ?? '') ?? null;
  const name = instance?.slot ?? (version ? versionName(group, version) : group.name);
  const members = version ? group.instances.filter((one) => one.version === version) : group.instances;
  const needs = html`<${Needs} group=${group} groups=${groups} onSelect=${onSelect} />`;
  return html`<aside class="card panel" aria-label=${name} tabindex="-1" ref=${element} onKeyDown=${press}>
    <header>
      <h2><span class="state" data-tone=${instance?.tone ?? (members.length ? group.tone : 'idle')}><span class="dot" aria-hidden="true"></span></span><bdi>${name}</bdi></h2>
      <button type="button" class="quiet" onClick=${() => onSelect('')} aria-label="Close">✕</button>
    </header>
    ${instance && instance.quarantine !== null && html`<${Quarantined} instance=${instance} />`}
    ${instance?.outsider && html`<${Outsider} instance=${instance} />`}
    ${instance?.state === 'kept' && html`<p class="held-back" role="status"><b>Kept:</b> its lease ran out, but control lost sight of most instances at once and keeps it.</p>`}
    ${instance?.problem && html`<p class="problem" role="alert">${instance.problem}</p>`}
    <${Actions} group=${group} members=${members} instance=${instance} />
    ${!group.platform && html`<${Levels} brick=${group.name} slot=${instance?.slot ?? ''} />`}
    ${!version && html`<${Numbers} of=${own} />`}
    ${instance ? html`<${Behind} instance=${instance}>${needs}</${Behind}>` : html`<${Siblings} group=${group} version=${version} members=${members} onSelect=${onSelect} />${needs}`}
    <${LastLines} brick=${group.name} version=${version} slot=${instance?.slot ?? ''} />
    <${Happened} events=${events} brick=${group.name} slot=${instance?.slot ?? ''} />
    <${Ways} group=${group} version=${version} instance=${instance} onSelect=${onSelect} />
  </aside>`;
}

/** @param {{ group: Group, members: Instance[], instance: Instance | null }} props */
function Actions({ group, members, instance }) {
  const open = (/** @type {string} */ kind) => () => change({ do: kind }, { replace: true });
  return html`<p class="ways">
    ${!group.platform && html`<button type="button" class="button" onClick=${open('scale')}>Scale…</button><button type="button" class="button" onClick=${open('roll')} disabled=${!members.length}>Roll…</button>`}
    ${!group.platform && html`<button type="button" class="button" onClick=${open('log')}>Log level…</button>`}
    ${instance && !group.platform && html`<button type="button" class="button" onClick=${open('quarantine')} disabled=${instance.pid === null && !instance.outsider}>${instance.quarantine === null ? 'Quarantine…' : 'Release…'}</button>`}
    ${instance && !instance.outsider && html`<button type="button" class="button danger" onClick=${open('kill')} disabled=${instance.pid === null}>Kill…</button>`}
  </p>`;
}

/** Why it takes no requests. @param {{ instance: Instance }} props */
function Quarantined({ instance }) {
  return html`<p class="held-back" role="status"><b>Quarantined:</b> <bdi>${instance.quarantine || 'the reason is not known yet'}</bdi>. It runs on and takes no requests but those by its own name.</p>`;
}

/** How it came here, and how long it stays unless it says that it is there. @param {{ instance: Instance }} props */
function Outsider({ instance }) {
  const told = usePolled('/api/registry/v1/instances?leases=true', LEASE_MS);
  const one = (Array.isArray(told.data?.items) ? told.data.items : []).find((/** @type {any} */ other) => other.incarnation === instance.incarnation);
  const ends = Date.parse(one?.lease_ends) || 0;
  const left = ends - Date.now();
  return html`<p class="held-back" role="note"><b>Outsider:</b> no agent started it. It joined by ${{ http: 'HTTP', eureka: 'Eureka' }[instance.joined] ?? 'itself'} as <bdi>${instance.outsider}</bdi>.
    ${ends > 0 && html` Its lease${one.ttl_ms ? ` of ${duration(one.ttl_ms)}` : ''} <span title=${dateTime(ends)}>${left > 0 ? `ends in ${duration(Math.ceil(left / 1000) * 1000)}` : 'is over'}</span> unless it is renewed.`}</p>`;
}

/** Levels of log lines that are set for a while. @param {{ brick: string, slot: string }} props */
function Levels({ brick, slot }) {
  const levels = useLevels(brick);
  const own = slot ? levels.instances.filter(([one]) => one === slot) : levels.instances;
  if (!levels.all && !own.length) return null;
  return html`<p class="small">Log level: ${own.map(([one, level]) => html`<span key=${one}>${slot ? '' : html`<bdi>${one}</bdi> `}<${LevelText} of=${level} />${' '}</span>`)}${levels.all && !(slot && own.length) && html`<${LevelText} of=${levels.all} />`}
    <a class="more-link" href=${address('/console/config', { brick })}>Config</a></p>`;
}

/** @param {{ of: import('./model.js').Figures | null }} props */
function Numbers({ of }) {
  if (!of) return html`<p class="muted small">No request was seen in the last minute.</p>`;
  return html`<dl class="figures-list">
    <div><dt>Rate</dt><dd>${rate(of.rate)}</dd></div>
    <div data-bad=${of.errors >= 0.01 || undefined}><dt>Errors</dt><dd>${percent(of.errors)}</dd></div>
    ${of.p50 !== null && html`<div><dt>p50</dt><dd>${duration(of.p50)}</dd></div>`}
    <div><dt>p99</dt><dd>${duration(of.p99)}</dd></div>
  </dl>`;
}

/** What the instance itself answers. @param {{ instance: Instance, children?: any }} props */
function Behind({ instance, children }) {
  const cut = instance.slot.lastIndexOf('/');
  const [name, n] = [instance.slot.slice(0, cut), instance.slot.slice(cut + 1)].map(encodeURIComponent);
  const told = usePolled(`/api/system/v1/instances/${name}/${n}`, EVERY_MS);
  return html`${told.failure && html`<p class="problem" role="alert">${told.failure}. Asked again every five seconds.</p>`}
    <${Health} of=${told.data?.health} waiting=${!told.data && !told.failure} />
    ${children}
    <${Facts} instance=${instance} info=${told.data?.info} addr=${told.data?.addr} />`;
}

/** What the manifest says that it needs, and how that fares. @param {{ group: Group, groups: Group[], onSelect: (id: string) => void }} props */
function Needs({ group, groups, onSelect }) {
  if (!group.needs.length) return null;
  return html`<h3>Needs</h3>
    <ul class="siblings">
      ${group.needs.map((name) => {
        const one = groups.find((candidate) => candidate.name === name);
        if (!one) return html`<li key=${name}><bdi>${name}</bdi><span class="muted small">outside the system</span></li>`;
        return html`<li key=${name}>
          <button type="button" class="link" onClick=${() => onSelect(`brick:${name}`)}><span class="state" data-tone=${one.tone}><span class="dot" aria-hidden="true"></span><bdi>${name}</bdi></span></button>
          <span class="muted small">${one.instances.length ? `${one.ready} of ${one.instances.length} ready` : 'no instance'}</span>
        </li>`;
      })}
    </ul>`;
}

/** @param {{ instance: Instance, info: any, addr: string | undefined }} props */
function Facts({ instance, info, addr }) {
  const started = instance.since && instance.pid !== null ? `${age(Date.now() - instance.since)}, since ${dateTime(instance.since).slice(0, -4)}` : '';
  /** @type {[string, unknown][]} */
  const facts = [
    ['State', instance.state],
    ['Version', instance.version],
    ['Revision', instance.revision],
    ['Zone', instance.zone],
    ['Address', addr ?? (instance.port ? `127.0.0.1:${instance.port}` : '')],
    ['PID', instance.pid === null ? '' : `${instance.pid}${instance.adopted ? ', taken over from an earlier agent' : ''}`],
    ['Restarts', instance.restarts === null ? '' : String(instance.restarts)],
    ['Up', started],
    ['Incarnation', instance.incarnation],
    ['Package version', info?.package_version],
    ['API version', info?.api_version],
    ['SDK version', info?.sdk_version],
  ];
  const flags = info?.flags && typeof info.flags === 'object' ? Object.entries(info.flags) : [];
  /** Instances on an older SDK say true or false. @param {any} flag */
  const told = (flag) => (typeof flag === 'object' && flag ? [String(JSON.stringify(flag.default)), flag.targeted && 'or as targeting says', flag.state !== 'ENABLED' && String(flag.state).toLowerCase()].filter(Boolean).join(', ') : String(flag));
  const rows = [...facts, ...flags.map(([name, on]) => [`Flag ${name}`, told(on)])];
  return html`<h3>What it says of itself</h3>
    ${info?.error && html`<p class="muted small">It does not tell (<code>/info</code>): ${info.error}</p>`}
    <dl class="facts">${rows.filter(([, value]) => value).map(([name, value]) => html`<div key=${name}><dt><bdi>${name}</bdi></dt><dd><bdi>${String(value)}</bdi></dd></div>`)}</dl>`;
}

/** @param {{ group: Group, version: string, members: Instance[], onSelect: (id: string) => void }} props */
function Siblings({ group, version, members, onSelect }) {
  if (!members.length) return html`<p class="muted small">${version ? `No instance of ${version} runs now. Scaled up, it serves beside ${group.base} and takes its share of the requests.` : 'It has no instance now. Scale it up to have it run.'}</p>`;
  return html`<h3>Instances</h3>
    <ul class="siblings">
      ${members.map(
        (one) => html`<li key=${one.slot}>
          <button type="button" class="link" onClick=${() => onSelect(one.slot)}><span class="state" data-tone=${one.tone}><span class="dot" aria-hidden="true"></span><bdi>${one.slot}</bdi></span></button>
          <span class="muted small">${one.state} · ${one.version}${one.zone ? ` · zone ${one.zone}` : ''}</span>
        </li>`,
      )}
    </ul>
    ${!version && restartsOf(group) > 0 && html`<p class="muted small">Restarted ${restartsOf(group)} times altogether.</p>`}`;
}

/** @param {{ group: Group, version: string, instance: Instance | null, onSelect: (id: string) => void }} props */
function Ways({ group, version, instance, onSelect }) {
  const logs = instance ? { instance: instance.slot } : { brick: group.name, version };
  return html`<p class="ways">
    ${(version || (instance && group.instances.length > 1)) && html`<button type="button" class="button" onClick=${() => onSelect(`brick:${group.name}`)}>All of <bdi>${group.name}</bdi></button>`}
    <a class="button" href=${address('/console/logs', logs)}>Logs</a>
    <a class="button" href=${address('/console/traces', { service: group.name })}>Traces</a>
    <a class="button" href=${address('/console/traces', { service: group.name, errors: 1 })}>Failed</a>
    ${!group.platform && html`<a class="button" href=${address('/console/config', { brick: group.name })}>Config</a>`}
    ${!group.platform && group.versions.length > 1 && html`<a class="button" href=${address('/console/routes', { select: group.name })}>Routes</a>`}
    ${!group.platform && html`<a class="button" href=${address('/', { select: `brick:${group.name}` })}>On the map</a>`}
  </p>`;
}
