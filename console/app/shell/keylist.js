// The list of keys that work right now.
import { html } from '../html.js';
import { Dialog } from '../dialog.js';
import { bound, keyHelp, setSingleKeys, singleKeys } from '../keys.js';

const NAMES = /** @type {Record<string, string>} */ ({
  'mod+k': 'Ctrl K or ⌘ K', ' ': 'Space', ArrowDown: '↓', ArrowUp: '↑', PageDown: 'PgDn', PageUp: 'PgUp', Escape: 'Esc',
});
/** In lists, whatever their screen. */
const LISTS = [
  ['↑ ↓', 'Choose'],
  ['← →', 'Fold, unfold'],
  ['Enter', 'Open'],
  ['Esc', 'Close'],
];

export function KeyList() {
  const close = () => (keyHelp.value = false);
  return html`<${Dialog} label="Keys" onClose=${close}>
    <header class="dialog-head"><h2>Keys</h2><button type="button" class="quiet" onClick=${close} aria-label="Close">✕</button></header>
    <div class="key-groups">
      ${bound.value.map(
        (group) => html`<section key=${group.title}>
          <h3>${group.title}</h3>
          <dl>${group.bindings.map((one) => html`<${Row} key=${one.keys} keys=${NAMES[one.keys] ?? one.keys} text=${one.text} />`)}</dl>
        </section>`,
      )}
      <section>
        <h3>In lists</h3>
        <dl>${LISTS.map(([keys, text]) => html`<${Row} key=${keys} keys=${keys} text=${text} />`)}</dl>
      </section>
    </div>
    <label class="check"><input type="checkbox" checked=${singleKeys.value} onChange=${() => setSingleKeys(!singleKeys.value)} /> Keys without Ctrl or ⌘ work</label>
  </${Dialog}>`;
}

/** @param {{ keys: string, text: string }} props */
function Row({ keys, text }) {
  return html`<div>
    <dt>${keys.split(' ').map((key, i) => (key === 'or' ? html` or ` : html`<kbd key=${i}>${key}</kbd>`))}</dt>
    <dd>${text}</dd>
  </div>`;
}
