// What is selected on the map, in full, with the way to its traces.
import { html } from '../html.js';
import { duration, percent, rate } from '../format.js';
import { address, change, params } from '../route.js';
import { logsAddress } from '../logs/query.js';
import { callAddress } from './map.js';

/**
 * @typedef {import('./model.js').Node} Node
 * @typedef {import('./model.js').Edge} Edge
 */

/** @param {{ map: import('./model.js').ServiceMap, drawn: import('./group.js').Drawn, routes: import('./model.js').Route[], selected: string, onSelect: (id: string) => void }} props */
export function Panel({ map, drawn, routes, selected, onSelect }) {
  const node = [...map.nodes, ...drawn.nodes].find((one) => `brick:${one.id}` === selected);
  const edge = [...map.edges, ...drawn.edges].find((one) => `edge:${one.id}` === selected);
  const named = (/** @type {string | undefined} */ id) => drawn.groups.find((group) => group.id === id)?.label ?? id;
  if (!node && !edge) return null;
  return html`<aside class="card panel" aria-label="Selection">
    <header>
      <h2>${node ? named(node.id) : html`${named(edge?.from)} <span class="muted">→</span> ${named(edge?.to)}`}</h2>
      <button type="button" class="quiet" onClick=${() => onSelect('')} aria-label="Close">✕</button>
    </header>
    ${node?.kind === 'group' ? html`<${GroupFacts} node=${node} map=${map} onSelect=${onSelect} />` : node ? html`<${NodeFacts} node=${node} map=${map} routes=${routes} onSelect=${onSelect} />` : html`<${EdgeFacts} edge=${edge} />`}
  </aside>`;
}

/** @param {{ of: { rate: number, errors: number, p50: number | null, p99: number | null } }} props */
function Figures({ of }) {
  return html`<dl class="figures-list">
    <div><dt>Rate</dt><dd>${rate(of.rate)}</dd></div>
    <div data-bad=${of.errors > 0 || undefined}><dt>Errors</dt><dd>${percent(of.errors)}</dd></div>
    <div><dt>p50</dt><dd>${duration(of.p50)}</dd></div>
    <div><dt>p99</dt><dd>${duration(of.p99)}</dd></div>
  </dl>`;
}

/** @param {{ edge: Edge }} props */
function EdgeFacts({ edge }) {
  const note = edge.declared
    ? edge.seen ? '' : 'Declared in brick.toml; no call was seen in this window.'
    : 'Seen in traces, but not declared in brick.toml.';
  return html`${edge.callee ? html`<${Ends} edge=${edge} callee=${edge.callee} />` : html`<${Figures} of=${edge} />`}
    ${edge.lossy && html`<p class="lossy-note">${lossNote(edge)}</p>`}
    ${note && html`<p class="muted small">${note}</p>`}
    <p class="ways">
      <a class="button" href=${callAddress(edge, {})}>Traces</a>
      <a class="button" href=${callAddress(edge, { errors: 1 })}>Failed</a>
      <a class="button" href=${callAddress(edge, { sort: 'duration' })}>Slowest</a>
      <a class="button" href=${address('/console/breakers', { select: `${edge.from}->${edge.to}` })}>Breaker</a>
    </p>`;
}

/** @param {Edge} edge */
function lossNote(edge) {
  if (edge.lost === null) return 'Calls are lost on the way, in at least one of the calls that this line stands for.';
  const reached = edge.callee?.rate ? `${edge.to} answered what reached it` : `nothing reached ${edge.to}`;
  return `${percent(edge.lost)} of the calls failed for ${edge.from} alone: they were lost on the way, ${reached}.`;
}

/** The same calls from both ends, side by side. @param {{ edge: Edge, callee: import('./model.js').End }} props */
function Ends({ edge, callee }) {
  /** @type {[string, string, string][]} */
  const rows = [
    ['Rate', rate(edge.rate), rate(callee.rate)],
    ['Errors', percent(edge.errors), percent(callee.errors)],
    ['p50', duration(edge.p50), callee.rate ? duration(callee.p50) : '–'],
    ['p99', duration(edge.p99), callee.rate ? duration(callee.p99) : '–'],
  ];
  return html`<table class="ends">
    <caption class="sr">The calls as both ends saw them</caption>
    <thead><tr><td></td><th scope="col">${edge.from}<span class="muted"> sent</span></th><th scope="col">${edge.to}<span class="muted"> served</span></th></tr></thead>
    <tbody>${rows.map(([title, own, there]) => html`<tr key=${title} data-bad=${title === 'Errors' && edge.lossy ? true : undefined}><th scope="row">${title}</th><td>${own}</td><td>${there}</td></tr>`)}</tbody>
  </table>`;
}

/** @param {{ node: Node, map: import('./model.js').ServiceMap, onSelect: (id: string) => void }} props */
function GroupFacts({ node, map, onSelect }) {
  const members = map.nodes.filter((one) => node.members?.includes(one.id));
  const order = { bad: 0, warn: 1, ok: 2, idle: 3 };
  const sorted = members.sort((a, b) => order[a.health] - order[b.health] || a.id.localeCompare(b.id));
  const open = (params.value.get('open') ?? '').split(',').filter(Boolean);
  return html`<${Figures} of=${node} />
    <p class="ways"><button type="button" class="button primary" onClick=${() => change({ open: [...open, node.id].join(','), select: '' })}>Show its bricks on the map</button></p>
    <h3>${members.length} bricks</h3>
    <ul class="members">${sorted.map((one) => html`<li key=${one.id} data-health=${one.health}><span class="dot" aria-hidden="true"></span><button type="button" class="link" onClick=${() => onSelect(`brick:${one.id}`)}>${one.id}</button>
      <span class="muted end">${one.up}/${one.total} up · ${rate(one.rate)}${one.errors > 0 ? ` · ${percent(one.errors)}` : ''}</span></li>`)}</ul>`;
}

/** @param {{ node: Node, map: import('./model.js').ServiceMap, routes: import('./model.js').Route[], onSelect: (id: string) => void }} props */
function NodeFacts({ node, map, routes, onSelect }) {
  const own = routes.filter((route) => route.to === node.id);
  const calls = map.edges.filter((edge) => edge.from === node.id).map((edge) => edge.to);
  const calledBy = map.edges.filter((edge) => edge.to === node.id).map((edge) => edge.from);
  return html`<${Figures} of=${node} />
    ${node.about && html`<p class="muted small">${node.about}</p>`}
    ${node.kind === 'brick' && html`<${Instances} node=${node} />`}
    <${Names} title="Called by" names=${calledBy} onSelect=${onSelect} />
    <${Names} title="Calls" names=${calls} onSelect=${onSelect} />
    ${own.length > 0 &&
    html`<h3>Routes at the edge</h3>
      <ul class="plain">${own.map((route) => html`<li key=${route.name}><code>${route.path}</code> <span class="muted small">${route.auth}</span></li>`)}</ul>`}
    <p class="ways"><button type="button" class="button" onClick=${() => change({ focus: node.id, depth: '' })}>Neighbourhood</button></p>
    <${Ways} service=${node.kind === 'edge' ? 'gateway' : node.id} />
    ${node.kind !== 'external' && html`<p class="ways">
      <a class="button" href=${logsAddress({ brick: node.kind === 'edge' ? 'gateway' : node.id })}>Logs</a>
      <a class="button" href=${logsAddress({ brick: node.kind === 'edge' ? 'gateway' : node.id, level: 'warn' })}>Warnings</a>
    </p>`}`;
}

/** @param {{ node: Node }} props */
function Instances({ node }) {
  if (!node.instances.length) {
    return html`<h3>Instances</h3><p class="muted small">None is registered. <code>brick logs ${node.id}</code> tells why.</p>`;
  }
  return html`<h3>Instances</h3>
    <ul class="instances">
      ${node.instances.map(
        (one) => html`<li key=${one.incarnation} data-ready=${one.ready}>
          <span class="dot" aria-hidden="true"></span><span>${one.slot}</span>
          <span class="muted">${one.version}${one.zone ? ` · zone ${one.zone}` : ''}</span>
          <span class="muted end">${one.ready ? one.addr : one.state}</span>
        </li>`,
      )}
    </ul>`;
}

/** @param {{ title: string, names: string[], onSelect: (id: string) => void }} props */
function Names({ title, names, onSelect }) {
  if (!names.length) return null;
  return html`<h3>${title}</h3>
    <p class="names">${names.map((name) => html`<button type="button" class="chip" key=${name} onClick=${() => onSelect(`brick:${name}`)}>${name}</button>`)}</p>`;
}

/** @param {{ service: string }} props */
function Ways({ service }) {
  return html`<p class="ways">
    <a class="button" href=${address('/console/traces', { service })}>Traces</a>
    <a class="button" href=${address('/console/traces', { service, errors: 1 })}>Failed</a>
    <a class="button" href=${address('/console/traces', { service, sort: 'duration' })}>Slowest</a>
  </p>`;
}
