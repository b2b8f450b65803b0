// Changing a brick's configuration while it runs: every instance takes it, or none. What each says is shown as it says it.
import { ActDialog } from '../act.js';
import { send } from '../api.js';
import { html, useMemo, useRef, useState } from '../html.js';
import { Command } from '../command.js';
import { usePolled } from '../poll.js';
import { HIDDEN, kindOf, reportOf, setCommand, textOf, typed } from './model.js';
import { Differences } from './values.js';

/**
 * @typedef {import('./model.js').Row} Row
 * @typedef {{ brick: string, rows: Row[], changes: import('./model.js').Change[], instances: import('../bricks/model.js').Instance[],
 *   onDone: () => void, onClose: () => void }} Given
 */

/** Who has spoken is looked at while a change is under way: it takes two seconds at most. */
const LOOK_MS = 120;
const KEY = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;

/** @param {string} brick */
export function configUrl(brick) {
  return `/api/config/v1/${encodeURIComponent(brick)}`;
}

/** @param {string} name */
export function acksUrl(name) {
  return `/bus/v1/acks?name=${encodeURIComponent(name)}`;
}

/**
 * One change: asks for it, shows who takes it, then how it went.
 * @param {Given & { title: string, go: string, command: string, danger?: boolean, blocked?: boolean, act: (why: string) => Promise<any>, children?: any }} props
 */
function ChangeDialog({ title, go, command, danger, blocked, act, brick, instances, onDone, onClose, children }) {
  const [report, setReport] = useState(/** @type {any} */ (null));
  const make = async (/** @type {string} */ why) => {
    try {
      setReport(await act(why));
    } finally {
      onDone();
    }
    return '';
  };
  return html`<${ActDialog} title=${title} go=${go} command=${command} act=${make} danger=${danger} blocked=${blocked} onClose=${onClose}
    progress=${html`<${Asked} brick=${brick} instances=${instances} />`} outcome=${report && html`<${Report} report=${report} />`}>${children}</${ActDialog}>`;
}

/** Each instance's word on the change that is under way. @param {{ brick: string, instances: import('../bricks/model.js').Instance[] }} props */
function Asked({ brick, instances }) {
  const [held, decided] = [usePolled(acksUrl(`prepare/${brick}`), LOOK_MS), usePolled(acksUrl(`config/${brick}`), LOOK_MS)];
  const began = useRef(Date.now());
  const words = useMemo(() => {
    const of = (/** @type {any} */ told, /** @type {string} */ incarnation) => {
      const found = (Array.isArray(told?.items) ? told.items : []).find((/** @type {any} */ one) => one.incarnation === incarnation);
      return found && Date.parse(found.at) >= began.current - 1_000 ? found : null;
    };
    return instances.map((one) => ({ slot: one.slot, holds: of(held.data, one.incarnation), has: of(decided.data, one.incarnation) }));
  }, [held.data, decided.data, instances]);
  return html`<div class="progress"><p class="outcome" role="status"><span class="spinner" aria-hidden="true"></span> <span>Every instance is asked whether it can take it…</span></p>
    <ul class="words">${words.map(({ slot, holds, has }) => {
      const [tone, text] = has ? ['ok', 'has it'] : holds?.refused ? ['bad', `refuses: ${String(holds.refused)}`] : holds ? ['busy', 'can take it'] : ['idle', 'is asked'];
      return html`<li key=${slot}><span class="state" data-tone=${tone}><span class="dot" aria-hidden="true"></span><bdi>${slot}</bdi></span> <span>${text}</span></li>`;
    })}</ul></div>`;
}

/** How it went. @param {{ report: any }} props */
function Report({ report }) {
  const later = Array.isArray(report.after_restart) ? report.after_restart.map(String) : [];
  const each = Array.isArray(report.instances) ? report.instances : [];
  return html`<div class="progress">
    <p class="outcome" role="status" data-state="done"><span><b>Done. </b><span class="outcome-text">${reportOf(report)}</span></span></p>
    <ul class="words">${each.map((/** @type {any} */ one) => html`<li key=${one.incarnation}>
      <span class="state" data-tone=${one.applied ? 'ok' : 'bad'}><span class="dot" aria-hidden="true"></span><bdi>${String(one.instance)}</bdi></span>
      <span>${one.applied ? `after ${one.ms} ms` : `has not: ${String(one.reason)}`}${Object.entries(one.shadowed ?? {}).map(([key, by]) => html`<span key=${key} class="muted small"> · goes on with ${key} of its ${String(by)}</span>`)}</span>
    </li>`)}</ul>
    ${report.change && html`<${Differences} items=${Array.isArray(report.diff) ? report.diff : []} />`}
    ${later.length > 0 && html`<p>After their next start: <b>${later.join(', ')}</b>. They do not follow changes while they run.</p><${Command} text=${`brick roll ${report.brick}`} />`}
  </div>`;
}

/** @param {Given & { kind: string, asked: string }} props `asked` is a key, or a change */
export function ConfigDialog(props) {
  if (props.kind === 'set') return html`<${Set} ...${props} />`;
  if (props.kind === 'unset') return html`<${Unset} ...${props} />`;
  if (props.kind === 'rollback') return html`<${Rollback} ...${props} />`;
  return null;
}

/** @param {Given & { asked: string }} props */
function Set(props) {
  const { brick, rows, asked } = props;
  const [key, setKey] = useState(asked);
  const held = rows.find((row) => row.key === key.trim());
  const first = rows.find((row) => row.key === asked);
  const [text, setText] = useState(first && !first.secret ? textOf(first.value) : '');
  const secret = held?.secret ?? false;
  const value = (/** @type {Event} */ event) => /** @type {HTMLInputElement} */ (event.currentTarget).value;
  const valid = KEY.test(key.trim());
  const act = (/** @type {string} */ why) => send('PATCH', configUrl(brick), { values: { [key.trim()]: typed(secret ? undefined : held?.value, text) } }, { why });
  const same = held && !secret && textOf(held.value) === text;
  return html`<${ChangeDialog} ...${props} title=${asked ? `Change ${brick}.${asked}` : `Set a value of ${brick}`} go="Change" command=${valid ? setCommand(brick, key.trim(), text, secret) : ''} act=${act} blocked=${!valid || same || text === HIDDEN}>
    ${!asked && html`<label class="field">Key<input required autofocus list="config-keys" value=${key} onInput=${(/** @type {Event} */ event) => setKey(value(event))} placeholder="limits.max_lines" autocomplete="off" spellcheck=${false} /></label>
      <datalist id="config-keys">${rows.map((row) => html`<option key=${row.key} value=${row.key}></option>`)}</datalist>`}
    <label class="field">Value<input type=${secret ? 'password' : 'text'} autofocus=${Boolean(asked)} value=${text} onInput=${(/** @type {Event} */ event) => setText(value(event))} autocomplete=${secret ? 'new-password' : 'off'} spellcheck=${false} /></label>
    <p class="muted small">${held ? secret ? 'It is a secret: its value is shown nowhere. For the command, put it into VALUE first.' : html`Now <code>${textOf(held.value)}</code>, ${kindOf(held.value)}, from <bdi>${held.origin}</bdi>.` : valid ? 'Nobody says anything of this key so far; a brick that does not know it passes it over.' : 'Letters, digits, _ and -, nested by dots.'}</p>
    <p>Every instance of <b><bdi>${brick}</bdi></b> is asked first. Where one refuses, because the type is wrong or its own check says no, nothing is changed anywhere.</p>
  </${ChangeDialog}>`;
}

/** @param {Given & { asked: string }} props */
function Unset(props) {
  const { brick, asked } = props;
  const act = (/** @type {string} */ why) => send('PATCH', configUrl(brick), { values: { [asked]: null } }, { why });
  return html`<${ChangeDialog} ...${props} title=${`Take ${brick}.${asked} back`} go="Take back" command=${`brick config unset ${brick}.${asked}`} act=${act}>
    <p>What was set while the system runs is taken back: what the layers below say of <b><bdi>${asked}</bdi></b> counts again. Instances are asked as for any change.</p>
  </${ChangeDialog}>`;
}

/** @param {Given & { asked: string }} props */
function Rollback(props) {
  const { brick, asked, changes } = props;
  const to = changes.find((one) => one.change === asked);
  const differs = usePolled(`${configUrl(brick)}/diff?from=now&to=${encodeURIComponent(asked)}`, 10_000);
  const act = (/** @type {string} */ why) => send('POST', `${configUrl(brick)}/rollback`, { to: asked }, { why });
  const items = Array.isArray(differs.data?.items) ? differs.data.items : null;
  return html`<${ChangeDialog} ...${props} title=${`Roll ${brick} back to ${asked}`} go="Roll back" command=${`brick config rollback ${brick} ${asked}`} act=${act} blocked=${items?.length === 0}>
    <p>The values become what this change${to ? html` of <b><bdi>${to.by}</bdi></b>` : ''} left. It is a new change, of which every instance is asked; the history stays.</p>
    ${differs.failure && html`<p class="problem" role="alert">${differs.failure}</p>`}
    ${items && html`<${Differences} items=${items} />`}
    ${items?.length === 0 && html`<p role="status">These are the values that count now.</p>`}
  </${ChangeDialog}>`;
}
