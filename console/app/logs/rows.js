// The lines themselves: only those that can be seen are in the document. While the view follows, the end stays in view.
import { classes, html, useEffect, useLayoutEffect, useRef, useState } from '../html.js';
import { time } from '../format.js';
import { colourOf } from '../colour.js';
import { reveal, useVisible } from '../trace/virtual.js';
import { pieces, plain } from './query.js';

/** @typedef {import('./ring.js').Line} Line */
/** @typedef {{ length: number, at: (i: number) => Line | null }} Lines */

export const ROW = 24;
/** Rows above the ones in view, while following. */
const MARGIN = 4;
/** Fields shown in a row; all of them are in the details. */
const FIELDS_MAX = 8;
/** Letters of a message that a row draws; a row is never wider than that. */
const LETTERS_MAX = 400;

/**
 * @param {{ lines: Lines, painted: number, prepended: number, following: boolean, chosen: number, marked?: string, sought: string, label: string,
 *   onChoose: (i: number) => void, onHold: () => void, onTop: () => void }} props
 */
export function Rows({ lines, painted, prepended, following, chosen, marked, sought, label, onChoose, onHold, onTop }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const before = useRef(prepended);
  const count = lines.length;
  const seen = useVisible(frame, count, ROW, { asked: !following });
  const height = useHeight(frame);
  const room = Math.ceil(height / ROW);
  const [first, last] = following ? [Math.max(0, count - room - MARGIN), count] : seen;
  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return;
    if (prepended !== before.current) element.scrollTop += (prepended - before.current) * ROW;
    before.current = prepended;
    if (following) element.scrollTop = element.scrollHeight;
  }, [painted, count, prepended, following, height]);
  useEffect(() => {
    if (!following) reveal(frame.current, chosen, ROW);
  }, [chosen, following]);
  const moved = () => {
    // A scroll may still be told of after the list is gone.
    if (frame.current && frame.current.scrollTop < ROW * 8) onTop();
  };
  // Only what a person does stops the view; the scroll that follows new lines must not.
  const wheel = (/** @type {WheelEvent} */ event) => event.deltaY < 0 && following && count > room && onHold();
  const shown = [];
  for (let i = first; i < last; i += 1) shown.push(i);
  return html`<div
    class="log-rows"
    ref=${frame}
    role="listbox"
    tabindex="0"
    aria-label=${label}
    aria-activedescendant=${chosen >= first && chosen < last ? `line-${chosen}` : undefined}
    onScroll=${moved}
    onWheel=${wheel}
    onTouchMove=${() => following && count > room && onHold()}
  >
    <div class="spacer" role="presentation" style=${{ height: `${count * ROW}px` }}>
      ${shown.map((i) => html`<${Row} key=${i - first} i=${i} line=${lines.at(i)} chosen=${i === chosen} marked=${Boolean(marked) && lines.at(i)?.id === marked} sought=${sought} onChoose=${onChoose} />`)}
    </div>
  </div>`;
}

/** Height of an element, followed. @param {{ current: HTMLElement | null }} frame */
function useHeight(frame) {
  const [height, setHeight] = useState(600);
  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return height;
}

/** @param {{ i: number, line: Line | null, chosen: boolean, marked: boolean, sought: string, onChoose: (i: number) => void }} props */
function Row({ i, line, chosen, marked, sought, onChoose }) {
  if (!line) return null;
  return html`<div
    class=${classes('log-row', chosen && 'chosen', marked && 'centre')}
    id=${`line-${i}`}
    role="option"
    aria-selected=${chosen}
    data-level=${line.level}
    style=${{ transform: `translateY(${i * ROW}px)` }}
    onClick=${() => onChoose(i)}
  ><span class="at">${time(line.ms)}</span><span class="level">${line.level}</span><span class="who" style=${{ '--service': colourOf(line.brick) }}>${line.instance || line.brick}</span><span class="msg">${highlight(line.msg.slice(0, LETTERS_MAX), sought)}${fieldsOf(line, sought)}</span>${line.trace_id && html`<span class="traced" title="Belongs to a trace" aria-hidden="true"></span>`}</div>`;
}

/** @param {Line} line @param {string} sought */
function fieldsOf(line, sought) {
  const shown = [];
  // Always in the same order: a row is found by where its fields stand.
  for (const key of Object.keys(line.fields).sort()) {
    if (key === 'target') continue;
    if (shown.length >= FIELDS_MAX) break;
    shown.push(html`<span class="log-field">${key}=${highlight(plain(line.fields[key]).slice(0, LETTERS_MAX), sought)}</span>`);
  }
  return shown;
}

/** A text with what was searched for marked. @param {string} text @param {string} sought */
export function highlight(text, sought) {
  if (!sought) return text;
  return pieces(text, sought).map((piece) => (piece.hit ? html`<mark>${piece.text}</mark>` : piece.text));
}
