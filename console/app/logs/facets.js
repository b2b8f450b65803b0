// The facets of log lines: level, brick, instance, version.
import { Facets, useFacets } from '../facets.js';
import { html } from '../html.js';
import { change, params } from '../route.js';
import { facetsUrl, identity } from './query.js';

const GROUPS = [
  { key: 'level', title: 'Level and above', order: ['error', 'warn', 'info', 'debug', 'trace'], above: true },
  { key: 'brick', title: 'Brick', coloured: true },
  { key: 'instance', title: 'Instance' },
  { key: 'version', title: 'Version' },
];
const REFRESH_MS = 10_000;

export function LogFacets() {
  const asked = params.value;
  const chosen = (/** @type {string} */ key) => asked.get(key) ?? '';
  const active = GROUPS.map((group) => group.key).filter(chosen);
  const facets = useFacets(identity(asked), active, (without) => facetsUrl(asked, without), REFRESH_MS);
  return html`<${Facets} groups=${GROUPS} facets=${facets} chosen=${chosen} onChoose=${choose} />`;
}

/** @param {string} key @param {string} value */
function choose(key, value) {
  // An instance belongs to one brick: another brick ends its filter.
  change({ [key]: value, ...(key === 'brick' && { instance: '' }), context: '' });
}
