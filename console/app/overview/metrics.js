// What the business sees: every metric that the bricks registered themselves, told apart from the technical families.
import { html, useMemo, useState } from '../html.js';
import { compact, duration, time } from '../format.js';
import { useLive } from '../live.js';
import { Chart } from './chart.js';

/** @typedef {{ name: string, kind: string, unit?: string, help?: string }} Metric */

/** Families that the platform and its libraries make. */
const TECHNICAL = /^(http|process|brick|db|gateway|control|telemetry|console|agent|bus|otel|rpc|python|go|jvm|nodejs|target|up|scrape|tokio|span|log|edge|proxy|registry|identity|sqlite)(_|$)/;
/** Most charts; each is one subscription of the tab. */
const CHARTS_MAX = 12;
/** Seconds between two points, by window. @type {Record<number, number>} */
const STEPS = { 60: 5, 300: 10, 900: 30 };

/** @param {{ window: number }} props */
export function Metrics({ window }) {
  const { data, error } = useLive({ topic: 'metrics' });
  const all = businessMetrics(data?.items ?? []);
  const shown = all.slice(0, CHARTS_MAX);
  return html`<section aria-labelledby="metrics-title">
    <h2 id="metrics-title">Business metrics</h2>
    ${shown.length === 0 &&
    html`<p class="card hint">
      ${error ? error.detail : html`None yet. A brick adds one with <code>brick.metrics().counter("shop_orders_placed_total", "…")</code>; it shows here within five seconds.`}
    </p>`}
    <div class="charts">
      ${shown.map((metric) => html`<${MetricCard} key=${`${metric.name} ${window}`} metric=${metric} window=${window} />`)}
    </div>
    ${all.length > shown.length && html`<p class="muted small">${all.length - shown.length} more are not drawn.</p>`}
  </section>`;
}

/** @param {Metric[]} items @returns {Metric[]} */
export function businessMetrics(items) {
  const own = items.filter((metric) => !TECHNICAL.test(metric.name));
  return own.sort((a, b) => Number(b.kind === 'counter') - Number(a.kind === 'counter') || a.name.localeCompare(b.name));
}

/** @param {Metric} metric */
function functionOf(metric) {
  if (metric.kind === 'counter') return 'increase';
  return metric.kind === 'histogram' ? 'p99' : 'raw';
}

/** `shop_revenue_cents_total` is revenue, in hundredths. @param {Metric} metric */
export function presentation(metric) {
  const words = metric.name.replace(/_(total|count)$/, '').split('_');
  const unit = ['cents', 'seconds', 'bytes', 'ratio'].find((one) => one === words.at(-1)) ?? '';
  const named = words.slice(words.length > 2 || !unit ? Math.min(1, words.length - 1) : 0, unit ? -1 : undefined).join(' ');
  const title = named.charAt(0).toUpperCase() + named.slice(1);
  const format = unit === 'seconds' && metric.kind !== 'counter'
    ? (/** @type {number} */ value) => duration(value * 1000)
    : (/** @type {number} */ value) => compact(unit === 'cents' ? value / 100 : value);
  return { title: title || metric.name, format };
}

/**
 * One line from all series of an answer: the sum where there are several.
 * @param {any} data
 * @returns {import('./chart.js').Points}
 */
export function pointsOf(data) {
  /** @type {Map<number, number | null>} */
  const sums = new Map();
  for (const { points = [] } of data?.series ?? []) {
    for (const [at, value] of points) {
      const number = value === null ? null : Number(value);
      const before = sums.get(at) ?? null;
      sums.set(at, number === null || !Number.isFinite(number) ? before : (before ?? 0) + number);
    }
  }
  const sorted = [...sums].sort((a, b) => a[0] - b[0]);
  return [sorted.map(([at]) => at), sorted.map(([, value]) => value)];
}

/** @param {{ metric: Metric, window: number }} props */
function MetricCard({ metric, window }) {
  const step = STEPS[window] ?? Math.max(5, Math.round(window / 60));
  const { data } = useLive({ topic: 'series', name: metric.name, fn: functionOf(metric), window, step });
  const points = useMemo(() => pointsOf(data), [data]);
  const [hovered, setHovered] = useState(/** @type {number | null} */ (null));
  const { title, format } = presentation(metric);
  const counts = metric.kind === 'counter';
  const values = points[1].filter((value) => value !== null);
  const headline = counts ? values.reduce((all, value) => all + value, 0) : values.at(-1) ?? 0;
  const span = window >= 120 ? `${window / 60} min` : `${window} s`;
  const about = counts ? `in ${span}` : metric.kind === 'histogram' ? 'p99 now' : 'now';
  const at = hovered === null ? null : points[1][hovered];
  const said = metric.help === title ? metric.name : metric.help ?? '';
  // What is counted in hundredths is shown in whole ones.
  const help = said.replace(/,? \(?in cents\)?$/, '');
  const reading = at === null || at === undefined || hovered === null
    ? help
    : `${format(at)}${counts ? ` in ${step} s` : ''} at ${time(points[0][hovered] * 1000).slice(0, 8)}`;
  return html`<article class="card chart">
    <h3 title=${metric.name}>${title}</h3>
    <p class="headline">${data ? format(headline) : '–'} <span class="muted small">${about}</span></p>
    <p class="muted small reading">${reading}</p>
    <${Chart} points=${points} format=${format} label=${`${title}: ${format(headline)} ${about}`} onHover=${setHovered} />
  </article>`;
}
