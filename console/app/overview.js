// The first screen: is the system well, who calls whom, what does it earn.
import { classes, html, useMemo } from './html.js';
import { bytes, count, duration, percent, plural, rate } from './format.js';
import { connection, useLive } from './live.js';
import { change, params } from './route.js';
import { instancesOf, mapOf, problemsOf, systemOf } from './overview/model.js';
import { ServiceMap } from './overview/map.js';
import { draw, neighbourhood } from './overview/group.js';
import { Scope } from './overview/scope.js';
import { EdgeTable } from './overview/table.js';
import { Metrics } from './overview/metrics.js';
import { Panel } from './overview/panel.js';

/** @typedef {import('./overview/model.js').ServiceMap} Map */

const WINDOWS = [
  { seconds: 60, text: '1 min' },
  { seconds: 300, text: '5 min' },
  { seconds: 900, text: '15 min' },
];

/** @param {string} id */
function select(id) {
  change({ select: params.peek().get('select') === id ? '' : id }, { replace: true });
}

/** What is chosen, as it is drawn: a brick of a closed group is its group. @param {import('./overview/group.js').Drawn} drawn @param {string} selected */
function standIn(drawn, selected) {
  const holder = selected.startsWith('brick:') ? drawn.holder.get(selected.slice(6)) : undefined;
  return holder ? `brick:${holder}` : selected;
}

export function Overview() {
  const asked = Number(params.value.get('window'));
  const seconds = WINDOWS.some((one) => one.seconds === asked) ? asked : 60;
  const selected = params.value.get('select') ?? '';
  const tests = ['true', 'only'].find((one) => one === params.value.get('tests')) ?? '';
  const told = useLive({ topic: 'system' });
  const registered = useLive({ topic: 'instances' });
  const graph = useLive({ topic: 'graph', window: seconds, ...(tests && { synthetic: tests }) });
  const stats = useLive({ topic: 'stats' });
  const system = useMemo(() => systemOf(told.data), [told.data]);
  const instances = useMemo(() => instancesOf(registered.data), [registered.data]);
  const map = useMemo(() => mapOf(system, instances, graph.data), [system, instances, graph.data]);
  const focus = params.value.get('focus') ?? '';
  const depth = params.value.get('depth') === '2' ? 2 : 1;
  const mode = /** @type {'auto' | 'zone' | 'none'} */ (['zone', 'none'].find((one) => one === params.value.get('group')) ?? 'auto');
  const opened = params.value.get('open') ?? '';
  const part = useMemo(() => (map.nodes.some((node) => node.id === focus) ? neighbourhood(map, focus, depth) : map), [map, focus, depth]);
  const drawn = useMemo(() => draw(part, mode, new Set(opened.split(','))), [part, mode, opened]);
  const failures = [...new Set([told, registered, graph].flatMap((state) => (state.error ? [state.error.detail] : [])))];
  return html`<div class=${classes('screen', connection.value === 'reconnecting' && 'stale')}>
    <${Title} name=${system.name} seconds=${seconds} tests=${tests} />
    <${Tiles} map=${map} known=${registered.at > 0} />
    <${Problems} map=${map} failures=${failures} />
    <div class=${classes('stage', selected && 'with-panel')}>
      <section class="card" aria-labelledby="map-title">
        <header class="card-head">
          <h2 id="map-title">Service map</h2>
          <${Scope} drawn=${drawn} total=${map.nodes.length} focus=${part === map ? '' : focus} depth=${depth} mode=${mode} />
          <${Legend} />
        </header>
        ${told.data || graph.data
          ? html`<${ServiceMap} map=${drawn} selected=${standIn(drawn, selected)} onSelect=${select} />`
          : html`<p class="hint">${failures[0] ?? 'Waiting for the first figures…'}</p>`}
        <${Quiet} map=${map} known=${graph.at > 0} />
      </section>
      <${Panel} map=${map} drawn=${drawn} routes=${system.routes} selected=${selected} onSelect=${select} />
    </div>
    <${Metrics} window=${seconds} />
    <${EdgeTable} edges=${part.edges} selected=${selected} onSelect=${select} />
    <${Store} stats=${stats.data} />
  </div>`;
}

const TESTS = [
  ['', 'Left out'],
  ['true', 'Included'],
  ['only', 'Alone'],
];

/** @param {{ name: string, seconds: number, tests: string }} props */
function Title({ name, seconds, tests }) {
  return html`<header class="screen-head">
    <h1>${name || 'Overview'}</h1>
    <label class="tests small muted" title="Traffic that test suites make">Tests <select onChange=${(/** @type {any} */ event) => change({ tests: event.currentTarget.value })}>
      ${TESTS.map(([id, text]) => html`<option key=${id} value=${id} selected=${tests === id}>${text}</option>`)}
    </select></label>
    <div class="segments" role="group" aria-label="Window">
      ${WINDOWS.map(
        (one) => html`<button
          type="button"
          key=${one.seconds}
          aria-pressed=${one.seconds === seconds}
          onClick=${() => change({ window: one.seconds === 60 ? '' : one.seconds })}
        >${one.text}</button>`,
      )}
    </div>
  </header>`;
}

/** @param {{ map: Map, known: boolean }} props */
function Tiles({ map, known }) {
  const bricks = map.nodes.filter((node) => node.kind === 'brick');
  const edge = map.nodes.find((node) => node.kind === 'edge');
  const [up, total] = [bricks.reduce((n, node) => n + node.up, 0), bricks.reduce((n, node) => n + node.total, 0)];
  const errors = edge?.errors ?? 0;
  return html`<dl class="tiles">
    <${Tile} title="Requests" value=${rate(edge?.rate)} about="at the edge" />
    <${Tile} title="Errors" value=${percent(errors)} about="of requests" state=${errors >= 0.05 ? 'bad' : errors >= 0.01 ? 'warn' : ''} />
    <${Tile} title="p99" value=${duration(edge?.p99)} about=${edge?.p50 ? `p50 ${duration(edge.p50)}` : 'at the edge'} />
    <${Tile} title="Instances" value=${known ? `${up} / ${total}` : '–'} about="ready" state=${known && up < total ? 'warn' : ''} />
  </dl>`;
}

/** @param {{ title: string, value: string, about: string, state?: string }} props */
function Tile({ title, value, about, state }) {
  return html`<div class="card tile" data-state=${state || undefined}>
    <dt>${title}</dt>
    <dd><span class="value">${value}</span> <span class="muted small">${about}</span></dd>
  </div>`;
}

/** @param {{ map: Map, failures: string[] }} props */
function Problems({ map, failures }) {
  const problems = problemsOf(map);
  if (!problems.length && !failures.length) return null;
  return html`<section class="problems" aria-label="Problems">
    <h2>${plural(problems.length + failures.length, 'problem')}</h2>
    <ul>
      ${failures.map((text) => html`<li key=${text} data-health="bad"><span class="dot" aria-hidden="true"></span>${text}</li>`)}
      ${problems.map(
        (one) => html`<li key=${one.text} data-health=${one.health}>
          <span class="dot" aria-hidden="true"></span>
          <button type="button" class="link" onClick=${() => change({ select: one.select }, { replace: true })}>${one.text}</button>
        </li>`,
      )}
    </ul>
  </section>`;
}

function Legend() {
  return html`<ul class="legend" aria-label="Legend">
    <li data-health="ok">healthy</li>
    <li data-health="warn">over 1 % errors, or slow</li>
    <li data-health="bad">over 5 % errors, or down</li>
    <li data-health="idle">no traffic</li>
    <li data-health="lossy">lost on the way</li>
  </ul>`;
}

/** @param {{ map: Map, known: boolean }} props */
function Quiet({ map, known }) {
  if (!known || map.edges.some((edge) => edge.rate > 0)) return null;
  return html`<p class="hint">
    Nothing calls anything right now. Open the system's edge in a browser, or make some traffic:
    <code>brick load checkout --rps 50 --for 30s</code>
  </p>`;
}

/** What telemetry holds and what its bounds cost. @param {{ stats: any }} props */
function Store({ stats }) {
  if (!stats) return null;
  const lost = ['evicted_spans', 'evicted_logs', 'evicted_points', 'dropped', 'refused']
    .filter((key) => Number(stats[key]) > 0)
    .map((key) => `${count(Number(stats[key]))} ${key.replace('_', ' ')}`);
  return html`<p class="muted small store">
    Telemetry holds ${count(stats.spans ?? 0)} spans, ${count(stats.logs ?? 0)} log lines and ${count(stats.series ?? 0)} series
    in ${bytes(stats.bytes ?? 0)}${stats.bytes_max ? ` of ${bytes(stats.bytes_max)}` : ''}.${lost.length ? ` So far: ${lost.join(', ')}.` : ''}
  </p>`;
}
