// Opening and closing a breaker by hand: what it means, the command that does the same, the request.
import { get, put, remove } from '../api.js';
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

/** Keeps what else operators want of the edge. @param {Kind} kind @param {import('./model.js').Edge} edge */
export async function act(kind, edge) {
  const url = limitsUrl(edge);
  const { override } = await get(url);
  const patch = patched(override, KINDS[kind].forced);
  if (patch) await put(url, patch);
  else await remove(url);
}
