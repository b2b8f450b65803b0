// What is selected on the map, in full, with the way to its traces.
import { html } from '../html.js';
import { duration, percent, rate } from '../format.js';
import { address } from '../route.js';

/**
 * @typedef {import('./model.js').Node} Node
 * @typedef {import('./model.js').Edge} Edge
 */

/** @param {{ map: import('./model.js').ServiceMap, routes: import('./model.js').Route[], selected: string, onSelect: (id: string) => void }} props */
export function Panel({ map, routes, selected, onSelect }) {
  const node = map.nodes.find((one) => `brick:${one.id}` === selected);
  const edge = map.edges.find((one) => `edge:${one.id}` === selected);
  if (!node && !edge) return null;
  return html`<aside class="card panel" aria-label="Selection">
    <header>
      <h2>${node ? node.id : html`${edge?.from} <span class="muted">→</span> ${edge?.to}`}</h2>
      <button type="button" class="quiet" onClick=${() => onSelect('')} aria-label="Close">✕</button>
    </header>
    ${node ? html`<${NodeFacts} node=${node} map=${map} routes=${routes} onSelect=${onSelect} />` : html`<${EdgeFacts} edge=${edge} />`}
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
  return html`<${Figures} of=${edge} />
    ${note && html`<p class="muted small">${note}</p>`}
    <${Ways} service=${edge.to === 'edge' ? '' : edge.to} />`;
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
    <${Ways} service=${node.kind === 'edge' ? '' : node.id} />`;
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
