// The slowest of all traces that match, not only of the newest page: the heat map tells from which duration on there are
// enough of them, and those alone are asked for.
import { get } from '../api.js';
import { floorOf } from './floor.js';
import { heatmapUrl, pageUrl } from './query.js';

/** Most that telemetry gives at once. */
const LIMIT_MAX = 1_000;
/** What may come between the two questions. */
const SLACK = 50;

/**
 * @param {URLSearchParams} asked
 * @param {number} wanted
 * @param {AbortSignal} signal
 * @returns {Promise<{ items: import('../traces.js').Summary[], next: string | null }>}
 */
export async function slowest(asked, wanted, signal) {
  const { min, count, all } = floorOf(await get(heatmapUrl(asked), signal), wanted);
  const least = Math.max(min, Number(asked.get('min')) || 0);
  const page = await get(pageUrl(asked, '', { min_duration_ms: least || '', limit: Math.min(LIMIT_MAX, count + SLACK) }), signal);
  const items = [...(page.items ?? [])].sort((a, b) => b.duration_ms - a.duration_ms).slice(0, wanted);
  return { items, next: all > items.length ? 'slower' : null };
}
