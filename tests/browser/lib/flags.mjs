// Feature flags as the console meets them through control.
import { NASTY } from './data.mjs';

const problem = (status, code, detail) => [status, { title: code, status, code, detail }];
const boolean = (defaultVariant, more) => ({ state: 'ENABLED', variants: { on: true, off: false }, defaultVariant, ...more });

/** What manifest and repository say, and what was set over it. */
export function startFlags(world) {
  const said = world.idle ? [] : [
    ['express_checkout', { origin: 'manifest', bricks: ['storefront'], ...boolean('off') }],
    ['new_search', { origin: 'repository flags.json@a1b2c3d', ...boolean('off', { targeting: { fractional: [['on', 10], ['off', 90]] }, shares: { on: 10, off: 90 } }) }],
    ['button_colour', { origin: 'repository flags.json@a1b2c3d', bricks: ['storefront', 'product'], state: 'ENABLED', variants: { calm: '#1d4ed8', loud: world.nasty ? NASTY : '#b91c1c' }, defaultVariant: 'calm', targeting: { if: [{ ends_with: [{ var: 'email' }, '@example.org'] }, 'loud', null] } }],
    ['old_cart', { origin: 'manifest', ...boolean('on'), state: 'DISABLED' }],
    ...(world.nasty ? [[NASTY, { origin: NASTY, bricks: [NASTY], ...boolean('off') }]] : []),
  ];
  return { said: new Map(said), live: new Map(), problem: '' };
}

/** What counts. */
function shown({ said, live }, key) {
  const below = said.get(key);
  const set = live.get(key);
  const flag = { key, ...below, ...(set && { ...set, origin: 'live', below }) };
  if (set && !set.shares) delete flag.shares;
  if (set && !set.targeting) delete flag.targeting;
  return { ...flag, tag: set ? JSON.stringify(JSON.stringify(set)) : '"none"' };
}

/** `/api/flags/v1`, as docs/reference/interfaces.md says. */
export function flags(world, method, [key], _, body, why, tag) {
  const { flags: held } = world.control;
  if (!key) return [200, { items: [...held.said.keys()].sort().map((one) => shown(held, one)), ...(held.problem && { problem: held.problem }) }];
  if (!held.said.has(key)) return problem(404, 'flag_unknown', `there is no flag "${key}"`);
  const before = shown(held, key);
  if (method === 'GET') return [200, before];
  if (tag && tag !== before.tag) return problem(412, 'changed_meanwhile', `flags/${key} was changed since it was read; read it again`);
  if (method === 'DELETE') {
    held.live.delete(key);
    world.control.note('flags.reset', `flags/${key}`, before.defaultVariant, null, why);
    return [204, ''];
  }
  const { state, variants, defaultVariant, targeting, shares } = { ...before, ...('defaultVariant' in body && { targeting: null, shares: null }), ...('targeting' in body && { shares: null }), ...body };
  if (targeting?.fly) return problem(422, 'flag_invalid', 'targeting: there is no operator "fly"');
  held.live.set(key, { state, variants, defaultVariant, ...(shares && { shares, targeting: { fractional: Object.entries(shares) } }), ...(!shares && targeting && { targeting }) });
  world.control.note('flags.set', `flags/${key}`, { defaultVariant: before.defaultVariant }, body, why);
  return [200, shown(held, key)];
}
