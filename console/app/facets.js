// What the things that match are made of: values with their number, each one press away from being the filter.
import { classes, html, useEffect, useRef, useState } from './html.js';
import { get } from './api.js';
import { compact } from './format.js';
import { colourOf } from './colour.js';

/** @typedef {{ value: string, count: number, errors?: number }} Count */
/** @typedef {{ key: string, title: string, order?: string[], coloured?: boolean, above?: boolean }} Group `above`: a value stands for those before it in `order` too */

/** Values of a group before it is asked to show all. */
const SHOWN = 12;

/**
 * Counts of all groups; a group that is filtered by is counted without its own filter, so that its other values stay
 * one press away.
 * @param {string} id what decides which things match
 * @param {string[]} chosen groups that are filtered by
 * @param {(without?: string) => string} urlOf
 * @param {number} [everyMs] counts again; never unless said
 * @returns {Record<string, Count[]> | null}
 */
export function useFacets(id, chosen, urlOf, everyMs) {
  const [facets, setFacets] = useState(/** @type {Record<string, Count[]> | null} */ (null));
  useEffect(() => {
    const stop = new AbortController();
    const look = async () => {
      if (document.hidden) return;
      try {
        const [all, ...others] = await Promise.all([urlOf(), ...chosen.map(urlOf)].map((url) => get(url, stop.signal)));
        const merged = { ...all };
        chosen.forEach((key, i) => (merged[key] = others[i][key]));
        if (!stop.signal.aborted) setFacets(merged);
      } catch {
        // The list says why nothing comes; counts that were known stay.
      }
    };
    void look();
    const timer = everyMs ? setInterval(() => void look(), everyMs) : 0;
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [id]);
  return facets;
}

/** @param {{ groups: Group[], facets: Record<string, Count[]> | null, chosen: (key: string) => string, onChoose: (key: string, value: string) => void }} props */
export function Facets({ groups, facets, chosen, onChoose }) {
  // What is counted anew must not move under the mouse.
  const under = useRef(false);
  return html`<details class="facets card" open=${innerWidth > 720} onPointerEnter=${() => (under.current = true)} onPointerLeave=${() => (under.current = false)}>
    <summary>Filter</summary>
    <div class="facet-groups">
      ${groups.map((group) => html`<${Values} key=${group.key} group=${group} counts=${facets?.[group.key] ?? []} chosen=${chosen(group.key)} still=${under} onChoose=${onChoose} />`)}
    </div>
  </details>`;
}

/** The counts in the places that their values had; new ones come behind. @param {Count[]} counts @param {string[]} places */
export function inPlace(counts, places) {
  const at = new Map(places.map((value, i) => [value, i]));
  return [...counts].sort((a, b) => (at.get(a.value) ?? places.length) - (at.get(b.value) ?? places.length));
}

/** @param {{ group: Group, counts: Count[], chosen: string, still: { current: boolean }, onChoose: (key: string, value: string) => void }} props */
function Values({ group, counts, chosen, still, onChoose }) {
  const [all, setAll] = useState(false);
  const places = useRef(/** @type {string[]} */ ([]));
  const known = counts.some((one) => one.value === chosen) || !chosen ? counts : [{ value: chosen, count: 0 }, ...counts];
  const order = group.order;
  const ordered = order ? [...known].sort((a, b) => order.indexOf(a.value) - order.indexOf(b.value)) : still.current ? inPlace(known, places.current) : known;
  places.current = ordered.map((one) => one.value);
  const sorted = group.above ? ordered.map((one, i) => ({ ...one, count: ordered.slice(0, i + 1).reduce((sum, { count }) => sum + count, 0) })) : ordered;
  const shown = all ? sorted : sorted.slice(0, SHOWN);
  const most = sorted.reduce((max, one) => Math.max(max, one.count), 1);
  if (!sorted.length) return null;
  return html`<div class="facet">
    <h3>${group.title}</h3>
    <ul>
      ${shown.map((one) => {
        const on = one.value === chosen;
        return html`<li key=${one.value}>
          <button type="button" class=${classes('facet-value', on && 'on')} aria-pressed=${on} data-value=${order ? one.value : undefined} title=${one.value} onClick=${() => onChoose(group.key, on ? '' : one.value)}>
            <span class="share" aria-hidden="true" style=${{ width: `${((one.count / most) * 100).toFixed(1)}%` }}></span>
            ${group.coloured && html`<span class="swatch" aria-hidden="true" style=${{ background: colourOf(one.value) }}></span>`}
            <span class="facet-name">${one.value || 'none'}</span>
            ${(one.errors ?? 0) > 0 && html`<span class="facet-errors" title="failed">${compact(one.errors ?? 0)}<span class="sr"> failed of </span></span>`}
            <span class="muted">${compact(one.count)}</span>
          </button>
        </li>`;
      })}
    </ul>
    ${sorted.length > SHOWN && html`<button type="button" class="link small muted" onClick=${() => setAll(!all)}>${all ? 'Fewer' : `${sorted.length - SHOWN} more`}</button>`}
  </div>`;
}
