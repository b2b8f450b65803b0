// The waterfall: a tree grid of spans with their logs inline, moved through by keyboard.
import { classes, html, useEffect, useMemo, useRef } from '../html.js';
import { duration, time } from '../format.js';
import { colourOf } from '../colour.js';
import { piecesOf } from './critical.js';
import { reveal, useVisible } from './virtual.js';

/** @typedef {import('./model.js').Trace} Trace */
/** @typedef {(span: number, open?: boolean) => void} Select */

const ROW = 28;
const INDENT_MAX = 14;
/** Letters for who moves without leaving the home row. @type {Record<string, string>} */
const LIKE = { j: 'ArrowDown', k: 'ArrowUp' };
/** Pieces of the critical path drawn in one row. */
const PIECES_MAX = 60;
const TICKS = [0, 0.25, 0.5, 0.75, 1];

/** @param {{ trace: Trace, rows: Int32Array, collapsed: Set<number>, selected: number, withPath: boolean, onFold: (next: Set<number>) => void, onSelect: Select }} props */
export function Waterfall({ trace, rows, collapsed, selected, withPath, onFold, onSelect }) {
  const pieces = useMemo(() => (withPath ? piecesOf(trace.critical) : null), [trace, withPath]);
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const [first, last] = useVisible(frame, rows.length, ROW);
  useEffect(() => reveal(frame.current, positionOf(rows, selected), ROW), [selected, trace]);
  /** @param {number} span */
  const toggle = (span) => {
    const next = new Set(collapsed);
    if (!next.delete(span)) next.add(span);
    onFold(next);
  };
  const keys = keyboard({ trace, rows, collapsed, selected, toggle, onSelect });
  const shown = Array.from(rows.subarray(first, last));
  return html`<section class="card waterfall" aria-label="Timeline">
    <div class="axis" aria-hidden="true">
      <span>Service and operation</span>
      <span class="ticks">${TICKS.map((tick) => html`<span key=${tick} style=${{ left: `${tick * 100}%` }}>${duration((trace.total * tick) / 1e6)}</span>`)}</span>
    </div>
    <div
      class="rows"
      ref=${frame}
      role="treegrid"
      tabindex="0"
      aria-label="Spans"
      aria-rowcount=${rows.length}
      aria-activedescendant=${selected >= 0 && shown.includes(selected) ? `row-${selected}` : undefined}
      onKeyDown=${keys}
    >
      <div class="spacer" role="presentation" style=${{ height: `${rows.length * ROW}px` }}>
        ${shown.map((row, i) => {
          const top = `${(first + i) * ROW}px`;
          return row >= 0
            ? html`<${SpanRow} key=${row} trace=${trace} at=${row} top=${top} place=${first + i + 1} folded=${collapsed.has(row)} chosen=${row === selected} path=${pieces ? (pieces.get(row) ?? []) : null} onToggle=${toggle} onSelect=${onSelect} />`
            : html`<${LogRow} key=${row} trace=${trace} at=${-1 - row} top=${top} place=${first + i + 1} onSelect=${onSelect} />`;
        })}
      </div>
    </div>
  </section>`;
}

/**
 * Arrows choose and fold, Enter opens, Escape closes; as in any tree grid (WAI-ARIA Authoring Practices).
 * @param {{ trace: Trace, rows: Int32Array, collapsed: Set<number>, selected: number, toggle: (span: number) => void, onSelect: Select }} given
 */
function keyboard({ trace, rows, collapsed, selected, toggle, onSelect }) {
  /** The nearest span from a row on, in one direction. @param {number} from @param {number} step */
  const span = (from, step) => {
    let at = Math.min(Math.max(from, 0), rows.length - 1);
    while (at >= 0 && at < rows.length && rows[at] < 0) at += step;
    return at >= 0 && at < rows.length ? rows[at] : selected;
  };
  const folds = selected >= 0 && trace.end[selected] > selected + 1;
  /** @type {Record<string, (here: number) => void>} */
  const acts = {
    ArrowDown: (here) => onSelect(span(here + 1, 1), openNow()),
    ArrowUp: (here) => onSelect(here < 0 ? span(0, 1) : span(here - 1, -1), openNow()),
    PageDown: (here) => onSelect(span(here + 15, here + 15 >= rows.length ? -1 : 1), openNow()),
    PageUp: (here) => onSelect(span(here - 15, here - 15 <= 0 ? 1 : -1), openNow()),
    Home: () => onSelect(span(0, 1), openNow()),
    End: () => onSelect(span(rows.length - 1, -1), openNow()),
    ArrowRight: (here) => (folds && collapsed.has(selected) ? toggle(selected) : onSelect(span(here + 1, 1), openNow())),
    ArrowLeft: () => {
      if (folds && !collapsed.has(selected)) toggle(selected);
      else if (selected >= 0 && trace.parent[selected] >= 0) onSelect(trace.parent[selected], openNow());
    },
    Enter: () => selected >= 0 && onSelect(selected, true),
    Escape: () => onSelect(selected, false),
  };
  return (/** @type {KeyboardEvent} */ event) => {
    const act = acts[LIKE[event.key] ?? event.key];
    if (!act || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act(positionOf(rows, selected));
  };
}

/** Where a span is among the rows, -1 where it is not: negative rows are logs. @param {Int32Array} rows @param {number} span */
function positionOf(rows, span) {
  return span < 0 ? -1 : rows.indexOf(span);
}

/** Whether details are open: moving keeps them as they are. */
function openNow() {
  return document.querySelector('.detail') !== null;
}

/** @param {{ trace: Trace, at: number, top: string, place: number, folded: boolean, chosen: boolean, path: number[] | null, onToggle: (span: number) => void, onSelect: Select }} props */
function SpanRow({ trace, at, top, place, folded, chosen, path, onToggle, onSelect }) {
  const service = trace.service(at);
  const [depth, below] = [trace.depth[at], trace.end[at] - at - 1];
  const failed = trace.failed[at] === 1;
  const left = (trace.start[at] / trace.total) * 100;
  const width = Math.max((trace.duration[at] / trace.total) * 100, 0.15);
  const colour = colourOf(service);
  /** @param {Event} event */
  const fold = (event) => {
    event.stopPropagation();
    onToggle(at);
  };
  const took = duration(trace.duration[at] / 1e6);
  return html`<div
    class=${classes('row', chosen && 'chosen', failed && 'failed', path && !path.length && 'aside')}
    id=${`row-${at}`}
    style=${{ top }}
    role="row"
    aria-level=${depth + 1}
    aria-rowindex=${place}
    aria-expanded=${below ? !folded : undefined}
    aria-selected=${chosen}
    onClick=${() => onSelect(at)}
  >
    <span class="what" role="gridcell" style=${{ '--depth': Math.min(depth, INDENT_MAX) }}>
      <span class=${classes('fold', folded && 'folded')} aria-hidden="true" onClick=${below ? fold : undefined}>${below ? '▾' : ''}</span>
      <span class="swatch" aria-hidden="true" style=${{ background: colour }}></span>
      <b>${service}</b> <span class="operation">${trace.operation(at)}</span>
      ${folded && html`<span class="muted">+${below}</span>`}
      ${failed && html`<span class="tag bad">error</span>`}
    </span>
    <span class="when" role="gridcell">
      <span class="span-bar" style=${{ left: `${left.toFixed(3)}%`, width: `${width.toFixed(3)}%`, background: colour }}></span>
      ${path?.slice(0, PIECES_MAX).map((piece) => html`<${Piece} key=${piece} trace=${trace} piece=${piece} />`)}
      <span class="took" style=${{ left: `${Math.min(left + width, 100).toFixed(3)}%` }}>${took}</span>
    </span>
  </div>`;
}

/** A piece of the critical path, below the bar of its span. @param {{ trace: Trace, piece: number }} props */
function Piece({ trace, piece }) {
  const [from, to] = [trace.critical.from[piece], trace.critical.to[piece]];
  const style = { left: `${((from / trace.total) * 100).toFixed(3)}%`, width: `${(((to - from) / trace.total) * 100).toFixed(3)}%` };
  return html`<span class="critical" aria-hidden="true" style=${style}></span>`;
}

/** @param {{ trace: Trace, at: number, top: string, place: number, onSelect: Select }} props */
function LogRow({ trace, at, top, place, onSelect }) {
  const log = trace.logs[at];
  const span = trace.logSpan[at];
  const depth = span >= 0 ? trace.depth[span] + 1 : 0;
  const left = Math.min(100, Math.max(0, (trace.logAt[at] / trace.total) * 100));
  return html`<div class="row log" style=${{ top }} role="row" aria-level=${depth + 1} aria-rowindex=${place} data-level=${log.level} onClick=${() => span >= 0 && onSelect(span)}>
    <span class="what" role="gridcell" style=${{ '--depth': Math.min(depth, INDENT_MAX) + 1 }}>
      <span class="level">${log.level}</span> <span class="operation" title=${log.msg}>${span < 0 && html`<b>${log.brick}</b> `}${log.msg}</span>
    </span>
    <span class="when" role="gridcell">
      <span class="tick" style=${{ left: `${left.toFixed(3)}%` }}></span>
      <span class="sr">${time(Date.parse(log.ts))}</span>
    </span>
  </div>`;
}
