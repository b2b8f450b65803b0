// A small line over time, or two beside each other, drawn by uPlot on a canvas.
import uPlot from '../../vendor/uplot.js';
import { html, useEffect, useRef } from '../html.js';
import { time } from '../format.js';
import { colour, painted } from '../theme.js';

/** @typedef {[number[], ...(number | null)[][]]} Points seconds since the epoch, values; a second line is what the first is held against */

const HEIGHT = 92;

/** @param {{ points: Points, format: (value: number) => string, label: string, stepped?: boolean, onHover: (index: number | null) => void }} props `stepped` where a value holds until the next */
export function Chart({ points, format, label, stepped = false, onHover }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {uPlot | null} */ (null));
  const repaint = painted.value;
  useEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const made = new uPlot(options(element.clientWidth, points.length - 1, stepped, format, onHover), points, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [repaint]);
  useEffect(() => plot.current?.setData(points), [points]);
  return html`<div class="plot" ref=${frame} role="img" aria-label=${label}></div>`;
}

/** @param {number} width @param {number} lines @param {boolean} stepped @param {(value: number) => string} format @param {(index: number | null) => void} onHover @returns {uPlot.Options} */
function options(width, lines, stepped, format, onHover) {
  const [line, text, grid] = [colour('--accent'), colour('--muted'), colour('--border')];
  const font = '11px system-ui, sans-serif';
  return {
    width,
    height: HEIGHT,
    padding: [6, 30, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    hooks: { setCursor: [(made) => onHover(made.cursor.idx ?? null)] },
    scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.08] } },
    axes: [
      {
        stroke: text,
        font,
        size: 22,
        space: 84,
        grid: { show: false },
        ticks: { show: false },
        values: (_, splits) => splits.map((at) => time(at * 1000).slice(0, 8)),
      },
      {
        stroke: text,
        font,
        size: 44,
        space: 34,
        grid: { stroke: grid, width: 1 },
        ticks: { show: false },
        values: (_, splits) => splits.map(format),
      },
    ],
    series: [
      {},
      { stroke: line, width: 1.75, fill: `color-mix(in srgb, ${line} 14%, transparent)`, points: { show: false }, ...(stepped && { paths: uPlot.paths.stepped?.({ align: 1 }) }) },
      ...Array.from({ length: lines - 1 }, () => ({ stroke: text, width: 1.5, dash: [4, 3], points: { show: false } })),
    ],
  };
}
