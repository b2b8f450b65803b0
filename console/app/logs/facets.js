// What the lines that match are made of: bricks, instances, levels, versions, each with its number of lines.
import { classes, html, useEffect, useState } from '../html.js';
import { get } from '../api.js';
import { compact } from '../format.js';
import { colourOf } from '../colour.js';
import { change, params } from '../route.js';
import { facetsUrl, identity } from './query.js';

/** @typedef {{ value: string, count: number }} Count */
/** @typedef {Record<string, Count[]>} Facets */

const GROUPS = [
  { key: 'level', title: 'Level' },
  { key: 'brick', title: 'Brick' },
  { key: 'instance', title: 'Instance' },
  { key: 'version', title: 'Version' },
];
const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'];
const REFRESH_MS = 10_000;
/** Values of a group before it is asked to show all. */
const SHOWN = 8;

export function Facets() {
  const facets = useFacets();
  return html`<details class="facets card" open=${innerWidth > 720}>
    <summary>Filter</summary>
    <div class="facet-groups">
      ${GROUPS.map((group) => html`<${Group} key=${group.key} group=${group} counts=${facets?.[group.key] ?? []} />`)}
    </div>
  </details>`;
}

/** Counts of all groups; a group that is filtered by is counted without its own filter. @returns {Facets | null} */
function useFacets() {
  const asked = params.value;
  const [facets, setFacets] = useState(/** @type {Facets | null} */ (null));
  const id = identity(asked);
  useEffect(() => {
    const stop = new AbortController();
    const look = async () => {
      if (document.hidden) return;
      const chosen = GROUPS.map((group) => group.key).filter((key) => asked.get(key));
      try {
        const [all, ...others] = await Promise.all([facetsUrl(asked), ...chosen.map((key) => facetsUrl(asked, key))].map((url) => get(url, stop.signal)));
        const merged = { ...all };
        chosen.forEach((key, i) => (merged[key] = others[i][key]));
        if (!stop.signal.aborted) setFacets(merged);
      } catch {
        // The list says why nothing comes; counts that were known stay.
      }
    };
    void look();
    const timer = setInterval(() => void look(), REFRESH_MS);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [id]);
  return facets;
}

/** @param {{ group: { key: string, title: string }, counts: Count[] }} props */
function Group({ group, counts }) {
  const [all, setAll] = useState(false);
  const chosen = params.value.get(group.key) ?? '';
  const known = counts.some((one) => one.value === chosen) || !chosen ? counts : [{ value: chosen, count: 0 }, ...counts];
  const sorted = group.key === 'level' ? [...known].sort((a, b) => LEVELS.indexOf(a.value) - LEVELS.indexOf(b.value)) : known;
  const shown = all ? sorted : sorted.slice(0, SHOWN);
  const most = sorted.reduce((max, one) => Math.max(max, one.count), 1);
  if (!sorted.length) return null;
  return html`<section class="facet" aria-labelledby=${`facet-${group.key}`}>
    <h3 id=${`facet-${group.key}`}>${group.title}${group.key === 'level' && chosen ? html` <span class="muted">and above</span>` : ''}</h3>
    <ul>
      ${shown.map((one) => {
        const on = one.value === chosen;
        return html`<li key=${one.value}>
          <button type="button" class=${classes('facet-value', on && 'on')} aria-pressed=${on} data-level=${group.key === 'level' ? one.value : undefined} title=${one.value} onClick=${() => choose(group.key, on ? '' : one.value)}>
            <span class="share" aria-hidden="true" style=${{ width: `${((one.count / most) * 100).toFixed(1)}%` }}></span>
            ${group.key === 'brick' && html`<span class="swatch" aria-hidden="true" style=${{ background: colourOf(one.value) }}></span>`}
            <span class="facet-name">${one.value || 'none'}</span><span class="muted">${compact(one.count)}</span>
          </button>
        </li>`;
      })}
    </ul>
    ${sorted.length > SHOWN && html`<button type="button" class="link small muted" onClick=${() => setAll(!all)}>${all ? 'Fewer' : `${sorted.length - SHOWN} more`}</button>`}
  </section>`;
}

/** @param {string} key @param {string} value */
function choose(key, value) {
  // An instance belongs to one brick: another brick ends its filter.
  change({ [key]: value, ...(key === 'brick' && { instance: '' }), context: '' });
}
