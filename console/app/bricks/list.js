// The list: a tree grid of bricks and their instances, of which only the rows in view are in the document.
import { html, useEffect, useMemo, useRef, useState } from '../html.js';
import { reveal, useVisible } from '../trace/virtual.js';
import { change } from '../route.js';
import { BrickRow } from './row.js';

/** @typedef {import('./model.js').Row} Row */

const PHONE = matchMedia('(max-width: 720px)');

/** Height of the head in pixels. */
const HEAD = 34;

/** Columns, in the order of the cells in row.js. */
const COLUMNS = [
  { key: 'name', title: 'Brick', number: false },
  { key: 'state', title: 'State', number: false },
  { key: 'version', title: 'Version', number: false },
  { key: 'revision', title: 'Revision', number: false },
  { key: 'zone', title: 'Zone', number: false },
  { key: 'port', title: 'Port', number: true },
  { key: 'pid', title: 'PID', number: true },
  { key: 'restarts', title: 'Restarts', number: true },
  { key: 'up', title: 'Up', number: true },
  { key: 'rate', title: 'Rate', number: true },
  { key: 'errors', title: 'Errors', number: true },
  { key: 'p99', title: 'p99', number: true },
];

/**
 * @param {{ rows: Row[], folded: Set<string>, selected: string, sort: string, descending: boolean,
 *   onFold: (next: Set<string>) => void, onSelect: (id: string) => void }} props
 */
export function List({ rows, folded, selected, sort, descending, onFold, onSelect }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const height = useRowHeight();
  const now = useNow();
  const [first, last] = useVisible(frame, rows.length, height);
  const at = rows.findIndex((row) => row.id === selected);
  useEffect(() => reveal(frame.current, at, height, HEAD), [selected, height]);
  const held = useRef(folded);
  held.current = folded;
  const toggle = useMemo(() => (/** @type {string} */ name) => {
    const next = new Set(held.current);
    if (!next.delete(name)) next.add(name);
    onFold(next);
  }, [onFold]);
  const keys = keyboard({ rows, at, folded, toggle, onSelect });
  return html`<div
    class="brick-grid"
    ref=${frame}
    role="treegrid"
    tabindex="0"
    aria-label="Bricks and their instances"
    aria-rowcount=${rows.length + 1}
    aria-colcount=${COLUMNS.length}
    aria-activedescendant=${at >= first && at < last ? rowId(rows[at]) : undefined}
    onKeyDown=${keys}
    style=${{ height: `min(${rows.length * height + HEAD + 4}px, max(50vh, calc(100vh - 236px)))` }}
  >
    <div class="brick-head" role="row" aria-rowindex="1">
      ${COLUMNS.map((one) => html`<${Head} key=${one.key} column=${one} active=${one.key === sort} descending=${descending} />`)}
    </div>
    <div class="spacer" role="presentation" style=${{ height: `${rows.length * height}px` }}>
      ${rows.slice(first, last).map(
        (row, i) => html`<${BrickRow}
          key=${(first + i) % places(last - first)} id=${rowId(row)} row=${row} now=${now} top=${(first + i) * height} place=${first + i + 2}
          folded=${folded.has(row.group.name)} chosen=${row.id === selected} onToggle=${toggle} onSelect=${onSelect}
        />`,
      )}
    </div>
  </div>`;
}

/**
 * Rows are drawn into as many places as a power of two, each again and again: what leaves at one end comes back at the
 * other, and scrolling makes and removes next to nothing.
 * @param {number} shown
 */
function places(shown) {
  return 2 ** Math.ceil(Math.log2(Math.max(shown, 64)));
}

/** @param {Row} row */
function rowId(row) {
  return `row-${row.id}`;
}

/** @param {{ column: typeof COLUMNS[number], active: boolean, descending: boolean }} props */
function Head({ column, active, descending }) {
  const first = column.number && column.key !== 'port' && column.key !== 'pid' ? 'desc' : 'asc';
  const next = active ? (descending ? 'asc' : 'desc') : first;
  const sort = active ? (descending ? 'descending' : 'ascending') : 'none';
  return html`<span role="columnheader" class=${`c-${column.key}`} aria-sort=${sort}>
    <button type="button" class="head" onClick=${() => change({ sort: column.key === 'name' && next === 'asc' ? '' : column.key, dir: next === 'desc' ? 'desc' : '' }, { replace: true })}>
      ${column.title}<span class="sort" aria-hidden="true">${active ? (descending ? '↓' : '↑') : ''}</span>
    </button>
  </span>`;
}

/**
 * Arrows choose and fold, Enter opens, Escape closes; as in any tree grid (WAI-ARIA Authoring Practices).
 * @param {{ rows: Row[], at: number, folded: Set<string>, toggle: (name: string) => void, onSelect: (id: string) => void }} given
 */
function keyboard({ rows, at, folded, toggle, onSelect }) {
  const go = (/** @type {number} */ to) => rows.length && onSelect(rows[Math.max(0, Math.min(rows.length - 1, to))].id);
  const row = rows[at];
  const parent = () => rows.findLastIndex((one, i) => i < at && (one.kind === 'group' || one.kind === 'zone'));
  /** @type {Record<string, () => unknown>} */
  const acts = {
    ArrowDown: () => go(at + 1),
    ArrowUp: () => go(at < 0 ? 0 : at - 1),
    PageDown: () => go(at + 12),
    PageUp: () => go(at - 12),
    Home: () => go(0),
    End: () => go(rows.length - 1),
    ArrowRight: () => ((row?.kind === 'group' || row?.kind === 'zone') && folded.has(row.group.name) ? toggle(row.group.name) : go(at + 1)),
    ArrowLeft: () => {
      if ((row?.kind === 'group' || row?.kind === 'zone') && !folded.has(row.group.name)) toggle(row.group.name);
      else if (row?.kind === 'instance' || row?.kind === 'version') go(parent());
    },
    Enter: () => /** @type {HTMLElement | null} */ (document.querySelector('.bricks .panel'))?.focus(),
    Escape: () => onSelect(''),
  };
  return (/** @type {KeyboardEvent} */ event) => {
    const act = acts[event.key === 'j' ? 'ArrowDown' : event.key === 'k' ? 'ArrowUp' : event.key];
    if (!act || event.target !== event.currentTarget || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act();
  };
}

/** Two lines per row on a telephone. */
function useRowHeight() {
  const [phone, setPhone] = useState(PHONE.matches);
  useEffect(() => {
    const changed = () => setPhone(PHONE.matches);
    PHONE.addEventListener('change', changed);
    return () => PHONE.removeEventListener('change', changed);
  }, []);
  return phone ? 58 : 38;
}

/** The time, anew each few seconds: ages need no finer one. */
function useNow() {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 5_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
