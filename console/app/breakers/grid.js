// The cells in rows of as many as fit, of which only those in view are in the document.
import { html, useEffect, useRef, useState } from '../html.js';
import { reveal, useVisible } from '../trace/virtual.js';
import { Cell } from './cell.js';

/** @typedef {import('./model.js').Edge} Edge */

/** Narrowest cell, gap, and height of a row with its gap, in pixels; breakers.css has the same. */
const [WIDTH, GAP, ROW] = [296, 8, 96];
const MARGIN = 2;

/** @param {{ shown: Edge[], selected: string, onSelect: (id: string) => void }} props */
export function Grid({ shown, selected, onSelect }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const columns = useColumns(frame);
  const rows = Math.ceil(shown.length / columns);
  const [first, last] = useVisible(frame, rows, ROW, { margin: MARGIN });
  const at = shown.findIndex((one) => one.id === selected);
  useEffect(() => reveal(frame.current, Math.floor(at / columns), ROW), [selected, columns]);
  const press = keyboard({ shown, at, columns, onSelect });
  const drawn = shown.slice(first * columns, last * columns);
  return html`<div
    class="edge-grid" role="listbox" tabindex="0" ref=${frame} aria-label="Edges" aria-activedescendant=${drawn.some((one) => one.id === selected) ? `edge-${selected}` : undefined}
    onKeyDown=${press} style=${{ height: `min(${rows * ROW + 2}px, max(50vh, calc(100vh - 196px)))` }}
  >
    <div class="edge-space" role="presentation" style=${{ height: `${rows * ROW}px` }}>
      <div class="edge-rows" role="presentation" style=${{ top: `${first * ROW}px`, gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))` }}>
        ${drawn.map((edge, i) => html`<${Cell} key=${edge.id} id=${`edge-${edge.id}`} edge=${edge} place=${first * columns + i + 1} of=${shown.length} chosen=${edge.id === selected} onSelect=${onSelect} />`)}
      </div>
    </div>
  </div>`;
}

/** How many cells stand beside each other. @param {{ current: HTMLElement | null }} frame */
function useColumns(frame) {
  const [columns, setColumns] = useState(1);
  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setColumns(Math.max(1, Math.floor((element.clientWidth + GAP) / (WIDTH + GAP)))));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return columns;
}

/**
 * Arrows choose, Enter opens, Escape closes; as in any list of choices (WAI-ARIA Authoring Practices).
 * @param {{ shown: Edge[], at: number, columns: number, onSelect: (id: string) => void }} given
 */
function keyboard({ shown, at, columns, onSelect }) {
  const go = (/** @type {number} */ to) => shown.length && onSelect(shown[Math.max(0, Math.min(shown.length - 1, to))].id);
  /** @type {Record<string, () => unknown>} */
  const acts = {
    ArrowRight: () => go(at + 1),
    ArrowLeft: () => go(at < 0 ? 0 : at - 1),
    ArrowDown: () => go(at < 0 ? 0 : at + columns),
    ArrowUp: () => go(at < 0 ? 0 : at - columns),
    Home: () => go(0),
    End: () => go(shown.length - 1),
    Escape: () => onSelect(''),
    Enter: () => /** @type {HTMLElement | null} */ (document.querySelector('.breakers .panel'))?.focus(),
  };
  return (/** @type {KeyboardEvent} */ event) => {
    const act = acts[event.key];
    if (!act || event.target !== event.currentTarget || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act();
  };
}
