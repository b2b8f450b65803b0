// The health of an instance as it tells it: its own parts, and what it depends on.
import { html } from '../html.js';
import { duration } from '../format.js';

/** @typedef {{ name: string, status: string, detail: string, took: number | null }} Finding */

/** @type {Record<string, import('./model.js').Tone>} */
const TONES = { up: 'ok', ok: 'ok', degraded: 'warn', down: 'bad' };
/** Findings shown of one kind. */
const FINDINGS_MAX = 50;

/** @param {{ of: any, waiting: boolean }} props */
export function Health({ of, waiting }) {
  if (waiting) return html`<h3>Health</h3><p class="muted small" role="status">Asking it…</p>`;
  if (!of) return null;
  if (of.error) return html`<h3>Health</h3><p class="muted small">It does not tell (<code>/health</code>): ${String(of.error)}</p>`;
  const status = String(of.status ?? 'unknown');
  const [parts, needs] = [findingsOf(of.components), findingsOf(of.dependencies)];
  return html`<h3>Health</h3>
    <div class="health">
      <p class="state" data-tone=${TONES[status] ?? 'warn'}><span class="dot" aria-hidden="true"></span><b>${status}</b>${of.ready === false && html`<span class="muted small">does not take work</span>`}</p>
      <${Branch} title="Own parts" findings=${parts} /><${Branch} title="Depends on" findings=${needs} />
      ${!parts.length && !needs.length && html`<p class="muted small">It names no parts.</p>`}
    </div>`;
}

/** @param {any} told @returns {Finding[]} */
function findingsOf(told) {
  if (!told || typeof told !== 'object') return [];
  return Object.entries(told).slice(0, FINDINGS_MAX).map(([name, one]) => ({
    name, status: String(one?.status ?? one), detail: String(one?.detail ?? one?.error ?? ''), took: typeof one?.took_ms === 'number' ? one.took_ms : null,
  }));
}

/** @param {{ title: string, findings: Finding[] }} props */
function Branch({ title, findings }) {
  if (!findings.length) return null;
  return html`<p class="branch muted small">${title}</p>
    <ul class="findings">
      ${findings.map(
        (one) => html`<li key=${one.name}>
          <span class="state" data-tone=${TONES[one.status] ?? 'warn'}><span class="dot" aria-hidden="true"></span><bdi>${one.name}</bdi><span class="sr">: ${one.status}</span></span>
          <span class="muted small took">${one.took === null ? '' : duration(one.took)}</span>
          ${one.detail && html`<span class="detail-text small"><bdi>${one.detail}</bdi></span>`}
        </li>`,
      )}
    </ul>`;
}
