// The map's twin: the same figures as a table, for screen readers, for sorting, for copying.
import { html } from '../html.js';
import { duration, percent, rate } from '../format.js';
import { change, params } from '../route.js';

/** @typedef {import('./model.js').Edge} Edge */
/** @typedef {{ key: string, title: string, number: boolean, value: (edge: Edge) => string | number, text: (edge: Edge) => string }} Column */

/** @type {Column[]} */
const COLUMNS = [
  { key: 'from', title: 'Caller', number: false, value: (e) => e.from, text: (e) => e.from },
  { key: 'to', title: 'Called', number: false, value: (e) => e.to, text: (e) => e.to },
  { key: 'rate', title: 'Rate', number: true, value: (e) => e.rate, text: (e) => rate(e.rate) },
  { key: 'errors', title: 'Errors', number: true, value: (e) => e.errors, text: (e) => percent(e.errors) },
  { key: 'p50', title: 'p50', number: true, value: (e) => e.p50 ?? -1, text: (e) => duration(e.p50) },
  { key: 'p99', title: 'p99', number: true, value: (e) => e.p99 ?? -1, text: (e) => duration(e.p99) },
  { key: 'there', title: 'Callee errors', number: true, value: (e) => e.callee?.errors ?? -1, text: (e) => (e.callee ? percent(e.callee.errors) : '–') },
  { key: 'lost', title: 'Lost on the way', number: true, value: (e) => e.lost ?? -1, text: (e) => (e.lost === null ? '–' : percent(e.lost)) },
];

/** @param {{ edges: Edge[], selected: string, onSelect: (id: string) => void }} props */
export function EdgeTable({ edges, selected, onSelect }) {
  const column = COLUMNS.find((one) => one.key === params.value.get('sort')) ?? COLUMNS[2];
  const descending = (params.value.get('dir') ?? (column.number ? 'desc' : 'asc')) === 'desc';
  const sorted = [...edges].sort((a, b) => order(column.value(a), column.value(b)) * (descending ? -1 : 1));
  return html`<section class="card" aria-labelledby="calls-title">
    <h2 id="calls-title">Calls</h2>
    <div class="scroll" tabindex="0" role="region" aria-labelledby="calls-title">
      <table class="calls">
        <thead>
          <tr>${COLUMNS.map((one) => html`<${Head} key=${one.key} column=${one} active=${one === column} descending=${descending} />`)}</tr>
        </thead>
        <tbody>
          ${sorted.map((edge) => {
            const id = `edge:${edge.id}`;
            return html`<tr key=${edge.id} class=${selected === id ? 'selected' : ''} data-health=${edge.health} data-lossy=${edge.lossy || undefined}>
              <th scope="row">
                <button type="button" class="link" aria-pressed=${selected === id} onClick=${() => onSelect(id)}>
                  ${edge.from}<span class="sr"> to ${edge.to}</span>
                </button>${edge.lossy && html` <span class="tag lossy">lossy</span>`}
              </th>
              ${COLUMNS.slice(1).map((one) => html`<td key=${one.key} class=${one.number ? 'number' : ''}>${one.number && !edge.seen ? '–' : one.text(edge)}</td>`)}
            </tr>`;
          })}
        </tbody>
      </table>
    </div>
  </section>`;
}

/** @param {string | number} a @param {string | number} b */
function order(a, b) {
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b));
}

/** @param {{ column: Column, active: boolean, descending: boolean }} props */
function Head({ column, active, descending }) {
  const sort = active ? (descending ? 'descending' : 'ascending') : 'none';
  const first = column.number ? 'desc' : 'asc';
  const next = active ? (descending ? 'asc' : 'desc') : first;
  return html`<th scope="col" class=${column.number ? 'number' : ''} aria-sort=${sort}>
    <button type="button" class="head" onClick=${() => change({ sort: column.key, dir: next }, { replace: true })}>
      ${column.title}<span class="sort" aria-hidden="true">${active ? (descending ? '↓' : '↑') : ''}</span>
    </button>
  </th>`;
}
