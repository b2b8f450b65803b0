// Changing a feature flag while the bricks run, and taking the change back.
import { ActDialog, Meanwhile, replace, useHeld, valueOf } from '../act.js';
import { html, useState } from '../html.js';
import { bodyOf, flagCommand, givesText, variantText, wishOf } from './model.js';

/** @typedef {import('./model.js').Flag} Flag @typedef {import('./model.js').Wish} Wish */
/** @typedef {{ flag: Flag, onDone: () => void, onClose: () => void }} Given */

const HOW = [['one', 'everybody the same'], ['shares', 'each a share of the users'], ['rules', 'rules decide (JsonLogic)']];

/** @param {string} key */
function flagUrl(key) {
  return `/api/flags/v1/${encodeURIComponent(key)}`;
}

/** @param {Given & { kind: string }} props */
export function FlagDialog({ kind, flag, onDone, onClose }) {
  const { held, changed, take } = useHeld(flag);
  const made = { set: Set, reset: Reset }[kind];
  return made ? html`<${made} flag=${held} onDone=${onDone} onClose=${onClose} meanwhile=${changed && html`<${Meanwhile} now=${givesText(flag)} onTake=${take} />`} />` : null;
}

/** @param {Given & { meanwhile: any }} props */
function Set({ flag, meanwhile, onDone, onClose }) {
  const [chosen, setChosen] = useState(() => ({ tag: flag.tag, wish: wishOf(flag) }));
  const wish = chosen.tag === flag.tag ? chosen.wish : wishOf(flag);
  const set = (/** @type {Partial<Wish>} */ change) => setChosen({ tag: flag.tag, wish: { ...wish, ...change } });
  const body = bodyOf(wish);
  const same = JSON.stringify(wish) === JSON.stringify(wishOf(flag));
  const act = async (/** @type {string} */ why) => {
    await replace(flagUrl(flag.key), flag.tag, body, why, onDone);
    return `${flag.key} is set.`;
  };
  return html`<${ActDialog} title=${`Set ${flag.key}`} go="Set" command=${body && !same ? flagCommand(flag, wish) : ''} act=${act} blocked=${!body || same} round=${flag.tag} meanwhile=${meanwhile} onClose=${onClose}>
    <p>Every instance that sees it has it a moment later, without a restart; it stays until it is taken back.</p>
    <label class="check"><input type="checkbox" autofocus checked=${wish.enabled} onChange=${() => set({ enabled: !wish.enabled })} /> Switched on</label>
    ${!wish.enabled && html`<p class="muted small">Switched off it answers nobody: each brick goes on with what its code says.</p>`}
    ${wish.enabled && html`<label class="field">Who gets what
      <select onChange=${(/** @type {Event} */ event) => set({ how: /** @type {any} */ (valueOf(event)) })}>${HOW.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === wish.how}>${text}</option>`)}</select>
    </label>`}
    ${wish.enabled && wish.how === 'one' && html`<label class="field">Variant
      <select onChange=${(/** @type {Event} */ event) => set({ variant: valueOf(event) })}>${flag.variants.map(([name]) => html`<option key=${name} value=${name} selected=${name === wish.variant}>${variantText(flag, name)}</option>`)}</select>
    </label>`}
    ${wish.enabled && wish.how === 'shares' && html`<${Shares} flag=${flag} wish=${wish} onSet=${set} />`}
    ${wish.enabled && wish.how === 'rules' && html`<label class="rules-field"><span>Rules</span><textarea rows="8" spellcheck=${false} value=${wish.rules} aria-invalid=${!body} onInput=${(/** @type {Event} */ event) => set({ rules: valueOf(event) })} placeholder='{"if": [{"ends_with": [{"var": "email"}, "@example.org"]}, "on", "off"]}'></textarea></label>
      ${!body && html`<p class="muted small" role="status">${wish.rules.trim() ? 'Not yet a JSON object.' : 'What they do not decide gets the default variant.'}</p>`}`}
  </${ActDialog}>`;
}

/** @param {{ flag: Flag, wish: Wish, onSet: (change: Partial<Wish>) => void }} props */
function Shares({ flag, wish, onSet }) {
  const sum = Object.values(wish.shares).reduce((all, part) => all + part, 0);
  const set = (/** @type {string} */ name) => (/** @type {Event} */ event) => onSet({ shares: { ...wish.shares, [name]: /** @type {HTMLInputElement} */ (event.currentTarget).valueAsNumber } });
  return html`<div class="weights">
    ${Object.entries(wish.shares).map(([name, share]) => html`<label key=${name} class="field"><bdi>${variantText(flag, name)}</bdi>
      <span class="percent"><input type="number" min="0" max="100" step="1" required value=${Number.isFinite(share) ? share : ''} aria-label=${`Share of ${name} in percent`} onInput=${set(name)} /> %</span></label>`)}
    ${sum !== 100 && html`<p class="problem" role="alert">${Number.isFinite(sum) ? `Together it is ${sum} %, expected 100 %.` : 'Each needs a number.'}</p>`}
    <p class="muted small">A user keeps their variant: it is dealt by the targeting key, and more of a share only adds users to it.</p>
  </div>`;
}

/** @param {Given & { meanwhile: any }} props */
function Reset({ flag, meanwhile, onDone, onClose }) {
  const act = async (/** @type {string} */ why) => {
    await replace(flagUrl(flag.key), flag.tag, null, why, onDone);
    return `${flag.key} is again what ${flag.below?.origin ?? 'was said before'} says.`;
  };
  return html`<${ActDialog} title=${`Take back what was set of ${flag.key}`} go="Take back" command=${`brick flag reset ${flag.key}`} act=${act} round=${flag.tag} meanwhile=${meanwhile} onClose=${onClose}>
    <p>${flag.below ? html`Then it is what <bdi>${flag.below.origin}</bdi> says: <b><bdi>${givesText(flag.below)}</bdi></b>.` : 'Nothing was set of it.'}</p>
  </${ActDialog}>`;
}
