// How a canary went: its share over time, and beside its base the errors and the time that 99 % of its calls keep to.
import { html, useEffect, useMemo, useState } from '../html.js';
import { duration, percent, time } from '../format.js';
import { Chart } from '../overview/chart.js';
import { usePolled } from '../poll.js';
import { canaryUrl } from './dialogs.js';
import { courseOf } from './model.js';

/** @typedef {import('./model.js').Canary} Canary @typedef {import('../overview/chart.js').Points} Points */

const EVERY_MS = 3_000;

/** @param {{ canary: Canary }} props */
export function CourseView({ canary }) {
  const running = canary.phase === 'running';
  const told = usePolled(canaryUrl(canary.brick), running ? EVERY_MS : EVERY_MS * 20);
  // A step that ends, and the end, are shown at once.
  useEffect(() => told.again(), [canary.step, canary.phase, canary.started]);
  const { share, errors, p99 } = useMemo(() => courseOf(told.data), [told.data]);
  if (told.failure && !told.data) return html`<p class="problem" role="alert">${told.failure}</p>`;
  if (share[0].length < 2) return null;
  const [own, base] = [canary.version, canary.base];
  return html`<div class="course">
    <p class="muted small course-key" aria-hidden="true"><span><i></i> <bdi>${own}</bdi></span><span><i data-base></i> <bdi>${base}</bdi>, at the same time</span></p>
    <div class="course-charts">
      <${Curve} title="Share" of=${own} points=${share} format=${shareText} stepped=${true} />
      <${Curve} title="Errors" of=${own} beside=${base} points=${errors} format=${percent} />
      <${Curve} title="p99" of=${own} beside=${base} points=${p99} format=${duration} />
    </div>
  </div>`;
}

/** @param {number} percents */
function shareText(percents) {
  return percent(percents / 100);
}

/** One figure over the steps, read where the mouse is, else at its end. @param {{ title: string, of: string, beside?: string, points: Points, format: (value: number) => string, stepped?: boolean }} props */
function Curve({ title, of, beside = '', points, format, stepped = false }) {
  const [hovered, setHovered] = useState(/** @type {number | null} */ (null));
  const [at, own, base] = points;
  const place = hovered === null || hovered >= at.length ? at.length - 1 : hovered;
  const said = (/** @type {(number | null)[]} */ line) => (line[place] === null ? '–' : format(/** @type {number} */ (line[place])));
  const reading = base ? `${of} ${said(own)}, ${beside} ${said(base)}` : said(own);
  return html`<figure class="curve">
    <figcaption><b>${title}</b> <span class="small"><bdi>${reading}</bdi>${hovered !== null && html` <span class="muted">at ${time(at[place] * 1000).slice(0, 8)}</span>`}</span></figcaption>
    <${Chart} points=${points} format=${format} stepped=${stepped} label=${`${title} over the steps, at the end ${reading}`} onHover=${setHovered} />
  </figure>`;
}
