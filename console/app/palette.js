// The palette: go to anything, do anything, from the keyboard. What was used last comes first.
import { html, signal, useEffect, useMemo, useRef, useState } from './html.js';
import { get } from './api.js';
import { Dialog } from './dialog.js';
import { plural } from './format.js';
import { useLive } from './live.js';
import { entriesOf, pasted, traceEntries } from './palette/entries.js';
import { ranked } from './palette/match.js';
import { recent, remember } from './palette/recent.js';

/** @typedef {import('./palette/entries.js').Entry} Entry */

const SHOWN_MAX = 50;
const TRACES = '/api/telemetry/v1/traces?limit=8&since=15m';
const shown = signal(false);

/** Opens it. */
export function openPalette() {
  shown.value = true;
}

export function Palette() {
  return shown.value ? html`<${Open} />` : null;
}

function Open() {
  const close = () => (shown.value = false);
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const system = useLive({ topic: 'system' }).data;
  const bricks = useLive({ topic: 'bricks' }).data;
  const traces = useTraces();
  const entries = useMemo(() => [...entriesOf(system, bricks), ...traces], [system, bricks, traces]);
  const found = useMemo(() => {
    const own = pasted(text).filter((one) => !entries.some((entry) => entry.id === one.id));
    return ranked([...own, ...entries], text, recent()).slice(0, SHOWN_MAX);
  }, [entries, text]);
  const chosen = Math.min(at, found.length - 1);
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => list.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' }), [chosen, text]);
  /** @param {Entry} entry */
  const take = (entry) => {
    close();
    remember(entry.id);
    entry.act();
  };
  const steps = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 });
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    if (event.key === 'Enter' && found[chosen]) take(found[chosen].entry);
    else if (steps[event.key]) setAt(Math.max(0, Math.min(found.length - 1, chosen + steps[event.key])));
    else return;
    event.preventDefault();
  };
  /** @param {InputEvent} event */
  const write = (event) => {
    setText(/** @type {HTMLInputElement} */ (event.currentTarget).value);
    setAt(0);
  };
  return html`<${Dialog} label="Go to anything" className="palette" onClose=${close}>
    <input
      class="palette-text" role="combobox" aria-label="Go to anything, do anything" aria-expanded="true" aria-controls="palette-list" aria-autocomplete="list"
      aria-activedescendant=${found.length ? `palette-${chosen}` : undefined}
      placeholder="A screen, a brick, “logs of order”, a trace id…" autocomplete="off" spellcheck=${false} autofocus
      value=${text} onInput=${write} onKeyDown=${press}
    />
    <ul id="palette-list" class="palette-list" role="listbox" aria-label="Found" ref=${list}>
      ${found.map(({ entry, marks }, i) => html`<${Option} key=${entry.id} entry=${entry} marks=${marks} place=${i} chosen=${i === chosen} onTake=${take} />`)}
    </ul>
    ${!found.length && html`<p class="hint">Nothing is called that. Try the name of a brick, or a trace id.</p>`}
    <p class="sr" role="status">${plural(found.length, 'entry', 'entries')}</p>
    <p class="palette-foot muted small" aria-hidden="true"><span><kbd>↑</kbd> <kbd>↓</kbd> choose</span><span><kbd>Enter</kbd> take</span><span><kbd>Esc</kbd> close</span></p>
  </${Dialog}>`;
}

/** @param {{ entry: Entry, marks: Set<number>, place: number, chosen: boolean, onTake: (entry: Entry) => void }} props */
function Option({ entry, marks, place, chosen, onTake }) {
  return html`<li id=${`palette-${place}`} class="palette-option" role="option" aria-selected=${chosen} onClick=${() => onTake(entry)}>
    <span class="palette-kind muted">${entry.kind}</span>
    <span class="palette-title"><bdi>${[...entry.title].map((letter, i) => (marks.has(i) ? html`<b key=${i}>${letter}</b>` : letter))}</bdi></span>
    <span class="palette-about muted">${entry.about}</span>
  </li>`;
}

/** The newest traces, asked for once each time the palette opens; without telemetry there are none. @returns {Entry[]} */
function useTraces() {
  const [traces, setTraces] = useState(/** @type {Entry[]} */ ([]));
  useEffect(() => {
    const stop = new AbortController();
    get(TRACES, stop.signal).then((raw) => setTraces(traceEntries(raw)), () => {});
    return () => stop.abort();
  }, []);
  return traces;
}
