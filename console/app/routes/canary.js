// A canary: how far it is, how the version does beside its base at the same time, and what comes of it.
import { classes, html } from '../html.js';
import { age, ago, count, dateTime, duration, percent } from '../format.js';
import { change } from '../route.js';
import { CourseView } from './course.js';
import { standing } from './model.js';

/** @typedef {import('./model.js').Canary} Canary */

const PHASES = /** @type {Record<string, [string, string]>} */ ({ running: ['busy', 'Running'], promoted: ['ok', 'Promoted'], aborted: ['bad', 'Aborted'] });

/** @param {{ canary: Canary }} props */
export function CanaryView({ canary }) {
  const [tone, word] = PHASES[canary.phase] ?? ['idle', canary.phase];
  const running = canary.phase === 'running';
  const open = (/** @type {string} */ kind) => () => change({ select: canary.brick, do: kind }, { replace: true });
  return html`<section class="canary" aria-label=${`Canary of ${canary.brick}`}>
    <header>
      <h3>Canary of <bdi>${canary.version}</bdi> <span class="state" data-tone=${tone}><span class="dot" aria-hidden="true"></span><span>${word}</span></span></h3>
      <span class="muted small" title=${dateTime(canary.started)}>begun ${ago(canary.started)}${running ? `, in this step for ${age(Date.now() - canary.stepped)} of at least ${duration(canary.holdMs)}` : ''}</span>
    </header>
    <${Steps} canary=${canary} />
    <p class="verdict" role="status" data-tone=${tone}>${standing(canary)}</p>
    ${canary.seen && html`<${Beside} canary=${canary} />`}
    <${CourseView} canary=${canary} />
    ${running && html`<p class="ways">
      <button type="button" class="button" onClick=${open('promote')}>Promote…</button>
      <button type="button" class="button danger" onClick=${open('abort')}>Abort…</button>
    </p>`}
  </section>`;
}

/** @param {{ canary: Canary }} props */
function Steps({ canary }) {
  const at = canary.phase === 'promoted' ? canary.steps.length : canary.step;
  return html`<ol class="steps" aria-label="Steps">
    ${canary.steps.map((step, i) => {
      const now = i === at && canary.phase === 'running';
      const left = i === at && canary.phase === 'aborted';
      return html`<li key=${step} class=${classes(i < at && 'done', now && 'now', left && 'left')} aria-current=${now ? 'step' : undefined}>
        <span>${step} %</span><span class="sr">${i < at ? ', passed' : now ? ', under way' : left ? ', ended here' : ''}</span>
      </li>`;
    })}
  </ol>`;
}

/** The version and its base, side by side. @param {{ canary: Canary }} props */
function Beside({ canary }) {
  const { seen, limits } = canary;
  if (!seen) return null;
  const share = (/** @type {import('./model.js').Seen} */ of) => (of.calls ? of.errors / of.calls : 0);
  const p99 = (/** @type {import('./model.js').Seen} */ of) => (of.p99 === null ? (of.calls ? 'beyond all bounds' : '–') : duration(of.p99));
  const failing = share(seen.own) > share(seen.base) + limits.errors;
  const slow = seen.base.p99 !== null && seen.own.calls > 0 && (seen.own.p99 === null || seen.own.p99 > seen.base.p99 * limits.times);
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${`${canary.version} beside ${canary.base}`}><table class="sheet beside">
    <caption class="sr">${canary.version} beside ${canary.base}, since the step began</caption>
    <thead><tr><th scope="col">Since the step began</th><th scope="col" class="number">Calls</th><th scope="col" class="number">Errors</th><th scope="col" class="number">p99</th></tr></thead>
    <tbody>
      <tr><th scope="row"><bdi>${canary.version}</bdi></th><td class="number">${count(seen.own.calls)}</td><td class="number" data-tone=${failing ? 'bad' : undefined}>${percent(share(seen.own))}</td><td class="number" data-tone=${slow ? 'bad' : undefined}>${p99(seen.own)}</td></tr>
      <tr><th scope="row"><bdi>${canary.base}</bdi> <span class="muted">at the same time</span></th><td class="number">${count(seen.base.calls)}</td><td class="number">${percent(share(seen.base))}</td><td class="number">${p99(seen.base)}</td></tr>
      <tr class="muted"><th scope="row">Borne</th><td class="number">from ${count(limits.calls)}</td><td class="number">${percent(Math.min(1, share(seen.base) + limits.errors))}</td><td class="number">${seen.base.p99 === null ? '–' : duration(seen.base.p99 * limits.times)}</td></tr>
    </tbody>
  </table></div>`;
}
