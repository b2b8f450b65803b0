// Opening and closing a breaker by hand: what it means, the command that does the same, the request.
import { Problem, get, send } from '../api.js';
import { patched } from './model.js';

/** @typedef {'open' | 'close' | 'auto'} Kind */

/** @type {Record<Kind, { forced: '' | 'open' | 'closed', go: string, title: (name: string) => string }>} */
export const KINDS = {
  open: { forced: 'open', go: 'Hold open', title: (name) => `Hold ${name} open` },
  close: { forced: 'closed', go: 'Hold closed', title: (name) => `Hold ${name} closed` },
  auto: { forced: '', go: 'Back to automatic', title: (name) => `Let ${name} decide by itself` },
};

/** Quoted, for `>` means something to every shell. @param {Kind} kind @param {import('./model.js').Edge} edge */
export function commandOf(kind, edge) {
  return `brick breaker ${kind} "${edge.caller}->${edge.callee}"`;
}

/** Address of the edge's limits. @param {{ caller: string, callee: string }} edge */
export function limitsUrl(edge) {
  return `/api/limits/v1/${encodeURIComponent(edge.caller)}/${encodeURIComponent(edge.callee)}`;
}

/** How often a change is made anew because another operator made one meanwhile. */
const ATTEMPTS = 5;

/** Keeps what else operators want of the edge, also what another wants by now. @param {Kind} kind @param {import('./model.js').Edge} edge @param {string} why */
export async function act(kind, edge, why) {
  const url = limitsUrl(edge);
  for (let attempt = 1; ; attempt += 1) {
    const { override, tag } = await get(url);
    try {
      const wanted = patched(override, KINDS[kind].forced);
      return await (wanted ? send('PUT', url, wanted, { why, tag: tag ?? '*' }) : send('DELETE', url, undefined, { why, tag: tag ?? '*' }));
    } catch (error) {
      if (attempt === ATTEMPTS || !(error instanceof Problem) || error.status !== 412) throw error;
    }
  }
}
