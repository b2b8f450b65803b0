// What is asked for, between the address of the screen and the questions to telemetry. Pure.
import { address } from '../route.js';

export const TRACE_ID = /^[0-9a-f]{32}$/i;
export const PAGE = 50;
export const SINCE = '15m';
const API = '/api/telemetry/v1/traces';
const COLUMNS = 60;

/** @param {URLSearchParams} asked @param {string} [without] a facet that is left out, so that its other values are counted too */
function filters(asked, without) {
  const errors = asked.get('errors');
  const all = {
    service: asked.get('service'),
    operation: asked.get('operation'),
    error: errors === '1' ? 'true' : errors === '0' ? 'false' : '',
    min_duration_ms: asked.get('min'),
    max_duration_ms: asked.get('max'),
    attr: asked.get('attr'),
    since: asked.get('since') || SINCE,
    until: asked.get('until'),
    synthetic: asked.get('synthetic'),
  };
  if (without === 'service' || without === 'operation') all[without] = '';
  if (without === 'status') all.error = '';
  return all;
}

/** A page of traces. @param {URLSearchParams} asked @param {string} [cursor] @param {import('../route.js').Changes} [more] */
export function pageUrl(asked, cursor, more) {
  return address(API, { ...filters(asked), limit: PAGE, cursor, ...more });
}

/** @param {URLSearchParams} asked @param {string} [without] */
export function facetsUrl(asked, without) {
  return address(`${API}/facets`, filters(asked, without));
}

/** @param {URLSearchParams} asked */
export function heatmapUrl(asked) {
  return address(`${API}/heatmap`, { ...filters(asked), columns: COLUMNS });
}
