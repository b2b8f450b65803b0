// When and how long: all traces that match, not only the page that is listed. Dragging over it narrows time and
// duration; the fields of the search do the same without a mouse.
import { classes, html, useEffect, useRef, useState } from '../html.js';
import { get } from '../api.js';
import { duration, plural, time } from '../format.js';
import { change, params } from '../route.js';
import { heatmapUrl } from './query.js';

/** @typedef {{ from_unix_s: number, step_s: number, bounds_ms: number[], cells: [number, number][][] }} Map */
/** @typedef {{ x: number, y: number }} Cell */

/** Rows shown at least, so that one busy row is no stripe. */
const ROWS_MIN = 5;

/** @param {{ round: number }} props */
export function Heatmap({ round }) {
  const url = heatmapUrl(params.value);
  const [map, setMap] = useState(/** @type {Map | null} */ (null));
  useEffect(() => {
    const stop = new AbortController();
    // The list below says what is wrong; a map that was known stays.
    get(url, stop.signal).then((raw) => setMap(raw), () => {});
    return () => stop.abort();
  }, [url, round]);
  if (!map?.cells?.length) return null;
  return html`<${Picture} map=${map} />`;
}

/** First row with a trace and the one after the last, widened to what can be read. @param {Map} map */
function rowsOf(map) {
  const all = map.bounds_ms.length + 1;
  const used = Array.from({ length: all }, (_, y) => map.cells.some((column) => (column[y]?.[0] ?? 0) > 0));
  let [low, high] = [used.indexOf(true), used.lastIndexOf(true) + 1];
  if (low < 0) return null;
  while (high - low < Math.min(ROWS_MIN, all)) {
    if (high < all) high += 1;
    if (high - low < ROWS_MIN && low > 0) low -= 1;
  }
  return { low, high };
}

/** @param {{ map: Map }} props */
function Picture({ map }) {
  const frame = useRef(/** @type {SVGSVGElement | null} */ (null));
  const [from, setFrom] = useState(/** @type {Cell | null} */ (null));
  const [at, setAt] = useState(/** @type {Cell | null} */ (null));
  const rows = rowsOf(map);
  if (!rows) return null;
  const columns = map.cells.length;
  const height = rows.high - rows.low;
  const most = map.cells.reduce((max, column) => column.reduce((top, [count]) => Math.max(top, count), max), 1);
  const total = map.cells.reduce((sum, column) => column.reduce((all, [count]) => all + count, sum), 0);
  /** @param {PointerEvent} event @returns {Cell} */
  const cell = (event) => {
    const box = /** @type {SVGSVGElement} */ (frame.current).getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * columns);
    const y = rows.high - 1 - Math.floor(((event.clientY - box.top) / box.height) * height);
    return { x: Math.min(Math.max(x, 0), columns - 1), y: Math.min(Math.max(y, rows.low), rows.high - 1) };
  };
  const down = (/** @type {PointerEvent} */ event) => {
    if (event.button !== 0) return;
    frame.current?.setPointerCapture(event.pointerId);
    setFrom(cell(event));
    setAt(cell(event));
  };
  const up = (/** @type {PointerEvent} */ event) => {
    if (from) brush(map, from, cell(event));
    setFrom(null);
  };
  const chosen = from && at ? box(from, at) : at ? box(at, at) : null;
  const narrowed = ['until', 'min', 'max'].some((key) => params.value.get(key));
  return html`<figure class="card heatmap">
    <figcaption><b>${plural(total, 'trace')} by time and duration</b> <span class="muted small">${chosen ? reading(map, chosen) : 'drag to narrow time and duration'}</span>
      ${narrowed && html`<button type="button" class="button" onClick=${() => change({ since: '', until: '', min: '', max: '' })}>Whole time</button>`}</figcaption>
    <div class="heat-scale" aria-hidden="true">${scaleOf(map, rows)}</div>
    <svg
      ref=${frame} role="img" aria-label=${`${plural(total, 'trace')} by time and duration; the list below tells them one by one`}
      viewBox=${`0 0 ${columns} ${height}`} preserveAspectRatio="none"
      onPointerDown=${down} onPointerMove=${(/** @type {PointerEvent} */ event) => setAt(cell(event))} onPointerUp=${up} onPointerCancel=${() => setFrom(null)} onPointerLeave=${() => !from && setAt(null)}
    >
      ${map.cells.map((column, x) => column.map(([count, errors], y) => (count > 0 && y >= rows.low && y < rows.high ? html`<${Square} key=${`${x} ${y}`} x=${x} y=${rows.high - 1 - y} weight=${Math.log(1 + count) / Math.log(1 + most)} failed=${errors / count} />` : null)))}
      ${chosen && html`<rect class=${classes('brush', from && 'on')} x=${chosen.left} y=${rows.high - chosen.high} width=${chosen.right - chosen.left} height=${chosen.high - chosen.low} />`}
    </svg>
    <div class="heat-time muted" aria-hidden="true">${[0, 0.5, 1].map((share) => html`<span key=${share}>${time((map.from_unix_s + share * columns * map.step_s) * 1000).slice(0, 8)}</span>`)}</div>
  </figure>`;
}

/** @param {{ x: number, y: number, weight: number, failed: number }} props */
function Square({ x, y, weight, failed }) {
  const strength = `${Math.round(22 + 78 * weight)}%`;
  const tone = failed > 0 ? `color-mix(in oklab, var(--bad) ${Math.round(45 + 55 * failed)}%, var(--accent))` : 'var(--accent)';
  return html`<rect x=${x + 0.04} y=${y + 0.05} width="0.92" height="0.9" style=${{ fill: `color-mix(in srgb, ${tone} ${strength}, var(--surface))` }} />`;
}

/** Cells between two corners, the last ones excluded. @param {Cell} a @param {Cell} b */
function box(a, b) {
  return { left: Math.min(a.x, b.x), right: Math.max(a.x, b.x) + 1, low: Math.min(a.y, b.y), high: Math.max(a.y, b.y) + 1 };
}

/** The filter that a box of cells is. @param {Map} map @param {ReturnType<typeof box>} chosen */
export function filterOf(map, { left, right, low, high }) {
  return {
    since: new Date((map.from_unix_s + left * map.step_s) * 1000).toISOString(),
    until: new Date((map.from_unix_s + right * map.step_s) * 1000).toISOString(),
    min: low > 0 ? map.bounds_ms[low - 1] : '',
    max: high <= map.bounds_ms.length ? map.bounds_ms[high - 1] : '',
  };
}

/** @param {Map} map @param {Cell} a @param {Cell} b */
function brush(map, a, b) {
  change(filterOf(map, box(a, b)));
}

/** @param {Map} map @param {ReturnType<typeof box>} chosen */
function reading(map, chosen) {
  let [count, errors] = [0, 0];
  for (let x = chosen.left; x < chosen.right; x += 1) {
    for (let y = chosen.low; y < chosen.high; y += 1) {
      count += map.cells[x]?.[y]?.[0] ?? 0;
      errors += map.cells[x]?.[y]?.[1] ?? 0;
    }
  }
  const { since, until, min, max } = filterOf(map, chosen);
  const clock = (/** @type {string} */ text) => time(Date.parse(text)).slice(0, 8);
  const long = max === '' ? `over ${duration(Number(min))}` : `${duration(Number(min))} to ${duration(Number(max))}`;
  return `${plural(count, 'trace')}${errors ? `, ${errors} failed` : ''} · ${clock(since)} to ${clock(until)} · ${long}`;
}

/** @param {Map} map @param {{ low: number, high: number }} rows */
function scaleOf(map, { low, high }) {
  const marks = [];
  const every = Math.max(1, Math.ceil((high - low) / 6));
  for (let y = low; y < high && y < map.bounds_ms.length; y += every) {
    const share = 1 - (y + 1 - low) / (high - low);
    marks.push(html`<span key=${y} style=${{ top: `${(share * 100).toFixed(1)}%` }}>${duration(map.bounds_ms[y])}</span>`);
  }
  return marks;
}
