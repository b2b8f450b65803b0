// The entries as rows, of which only those in view are in the document; the end asks for more.
import { classes, html, memo, useEffect, useLayoutEffect, useRef } from '../html.js';
import { dateTime } from '../format.js';
import { reveal, useVisible } from '../trace/virtual.js';
import { gist } from './model.js';

/** @typedef {import('./model.js').Entry} Entry */

/** Height of a row in pixels; audit.css has the same. */
export const ROW = 46;
/** From so many rows before the end on, the next are asked for. */
const AHEAD = 20;

/** @param {{ entries: Entry[], before: number, busy: boolean, selected: number, onSelect: (id: number) => void, onMore: () => void }} props */
export function List({ entries, before, busy, selected, onSelect, onMore }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const [first, last] = useVisible(frame, entries.length, ROW);
  const at = entries.findIndex((one) => one.id === selected);
  const moved = useRef(before);
  useEffect(() => reveal(frame.current, at, ROW), [selected]);
  // What came above must not move what somebody reads.
  useLayoutEffect(() => {
    if (frame.current && frame.current.scrollTop > 0) frame.current.scrollTop += (before - moved.current) * ROW;
    moved.current = before;
  }, [before]);
  useEffect(() => {
    if (last + AHEAD >= entries.length) onMore();
  }, [last, entries.length, onMore]);
  return html`<div
    class="audit-rows" role="listbox" tabindex="0" ref=${frame} aria-label="Entries" aria-busy=${busy} aria-activedescendant=${at >= first && at < last ? `entry-${selected}` : undefined}
    onKeyDown=${keyboard({ entries, at, onSelect })} style=${{ height: `min(${entries.length * ROW + 2}px, max(50vh, calc(100vh - 300px)))` }}
  >
    <div class="spacer" role="presentation" style=${{ height: `${entries.length * ROW}px` }}>
      ${entries.slice(first, last).map((entry, i) => html`<${Row} key=${entry.id} entry=${entry} top=${(first + i) * ROW} place=${first + i + 1} of=${entries.length} chosen=${entry.id === selected} onSelect=${onSelect} />`)}
    </div>
  </div>`;
}

/** @param {{ entry: Entry, top: number, place: number, of: number, chosen: boolean, onSelect: (id: number) => void }} props */
function One({ entry, top, place, of, chosen, onSelect }) {
  return html`<div
    class=${classes('audit-row', chosen && 'chosen')} id=${`entry-${entry.id}`} role="option" aria-selected=${chosen} aria-posinset=${place} aria-setsize=${of}
    style=${{ transform: `translateY(${top}px)` }} onClick=${() => onSelect(chosen ? 0 : entry.id)}
  >
    <time class="a-at muted" dateTime=${new Date(entry.at).toISOString()}>${dateTime(entry.at).slice(0, -4)}</time>
    <span class="a-who"><bdi>${entry.who}</bdi></span>
    <span class="a-what"><b><bdi>${entry.action}</bdi></b> <bdi>${entry.target}</bdi></span>
    <span class="a-gist muted"><bdi>${entry.why ? `“${entry.why}” ` : ''}${gist(entry)}</bdi></span>
  </div>`;
}

const Row = memo(One);

/** @param {{ entries: Entry[], at: number, onSelect: (id: number) => void }} given */
function keyboard({ entries, at, onSelect }) {
  const go = (/** @type {number} */ to) => entries.length && onSelect(entries[Math.max(0, Math.min(entries.length - 1, to))].id);
  /** @type {Record<string, () => unknown>} */
  const acts = {
    ArrowDown: () => go(at + 1), ArrowUp: () => go(at < 0 ? 0 : at - 1), PageDown: () => go(at + 10), PageUp: () => go(at - 10),
    Home: () => go(0), End: () => go(entries.length - 1), Escape: () => onSelect(0),
    Enter: () => /** @type {HTMLElement | null} */ (document.querySelector('.audit .panel'))?.focus(),
  };
  return (/** @type {KeyboardEvent} */ event) => {
    const act = acts[event.key === 'j' ? 'ArrowDown' : event.key === 'k' ? 'ArrowUp' : event.key];
    if (!act || event.target !== event.currentTarget || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act();
  };
}
