// Scale, roll, kill: each says what it will do and how the command line does the same, then shows what comes of it.
import { html, useEffect, useState } from '../html.js';
import { ActDialog, DialogHead, Same, Why } from '../act.js';
import { send } from '../api.js';
import { Dialog } from '../dialog.js';
import { plural } from '../format.js';
import { LevelDialog } from '../config/level.js';
import { Entry } from './happened.js';
import { REPLICAS_MAX, killAction, rollAction, runs, scaleAction, start, watched } from './actions.js';
import { useEvents } from './events.js';

/**
 * @typedef {import('./model.js').Group} Group
 * @typedef {import('./model.js').Instance} Instance
 * @typedef {import('./actions.js').Action} Action
 */

const STEPS_MAX = 8;

/** @param {{ kind: string | null, group: Group, version: string, instance: Instance | null, onClose: () => void }} props `version` is the chosen one, if one is */
export function ActionDialog({ kind, group, version, instance, onClose }) {
  if (kind === 'scale' && !group.platform) return html`<${Scale} group=${group} first=${version || instance?.version || group.base} onClose=${onClose} />`;
  if (kind === 'roll' && !group.platform) return html`<${Roll} group=${group} first=${version} onClose=${onClose} />`;
  if (kind === 'kill' && instance && !instance.outsider) return html`<${Kill} group=${group} instance=${instance} onClose=${onClose} />`;
  if (kind === 'quarantine' && instance && !group.platform) return html`<${instance.quarantine === null ? Quarantine : Release} group=${group} instance=${instance} onClose=${onClose} />`;
  if (kind === 'log' && !group.platform) return html`<${LevelDialog} brick=${group.name} slots=${group.instances.map((one) => one.slot)} first=${instance && group.instances.length > 1 ? instance.slot : ''} onDone=${() => {}} onClose=${onClose} />`;
  return html`<${Dialog} label="Not possible" onClose=${onClose}>
    <header class="dialog-head"><h2>Not possible</h2></header>
    <p>${group.platform ? `${group.name} belongs to the platform: the agent starts its processes and replaces them itself; brick.toml says how many of control there are.` : kind === 'kill' && instance ? `No agent started ${instance.slot}: end it where it runs. Quarantine keeps requests from it.` : 'Choose one of its instances first.'}</p>
    <p class="dialog-foot"><button type="button" class="button" onClick=${onClose}>Close</button></p>
  </${Dialog}>`;
}

/** @param {{ action: Action, go: string, danger?: boolean, blocked?: boolean, onClose: () => void, children?: any }} props */
function Frame({ action, go, danger = false, blocked = false, onClose, children }) {
  const [id, setId] = useState(0);
  const [why, setWhy] = useState('');
  const run = runs.value.find((one) => one.id === id);
  useEffect(() => {
    if (!id) return undefined;
    watched.add(id);
    return () => void watched.delete(id);
  }, [id]);
  const busy = run?.state === 'running';
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    if (!busy && !blocked) setId(start(action, why));
  };
  return html`<${Dialog} label=${action.title} onClose=${onClose}>
    <${DialogHead} title=${action.title} onClose=${onClose} />
    <form class="dialog-form" onSubmit=${submit}>
      ${!run && children}
      ${!run && html`<${Why} why=${why} onWhy=${setWhy} /><${Same} command=${action.command} why=${why} />`}
      ${run && html`<${Progress} run=${run} />`}
      <p class="dialog-foot">
        ${busy && html`<span class="muted small dialog-note">It goes on when you close this.</span>`}
        <button type="button" class="button" onClick=${onClose}>${run ? 'Close' : 'Cancel'}</button>
        ${run?.state === 'failed' && html`<button type="submit" class="button primary">Try again</button>`}
        ${!run && html`<button type="submit" class=${danger ? 'button primary danger' : 'button primary'} disabled=${blocked} autofocus=${!danger && !blocked}>${go}</button>`}
      </p>
    </form>
  </${Dialog}>`;
}

/** What came of it so far. @param {{ run: import('./actions.js').Run }} props */
function Progress({ run }) {
  const { action } = run;
  const own = useEvents().filter((one) => one.seq > run.from && one.brick === action.brick && (!action.slot || one.instance === action.slot));
  return html`<div class="progress">
    <p class="outcome" role="status" data-state=${run.state}>
      ${run.state === 'running' && html`<span class="spinner" aria-hidden="true"></span>`}
      <span>${run.state === 'running' ? 'Under way…' : html`<b>${run.state === 'done' ? 'Done. ' : 'It did not work. '}</b><span class="outcome-text">${run.text}</span>`}</span>
    </p>
    ${own.length > 0 && html`<ol class="happened" aria-label="Steps">${own.slice(-STEPS_MAX).map((one) => html`<${Entry} key=${one.seq} one=${one} />`)}</ol>`}
  </div>`;
}

/**
 * Which version is meant. With `all`, none of them is one of the choices.
 * @param {{ group: Group, version: string, all?: string, onChange: (version: string) => void }} props
 */
function VersionField({ group, version, all, onChange }) {
  const versions = group.versions.includes(group.base) ? group.versions : [group.base, ...group.versions];
  if (versions.length < 2) return null;
  const choices = [...(all ? [['', all]] : []), ...versions.map((one) => [one, one])];
  return html`<label class="field">Version
    <select onChange=${(/** @type {Event} */ event) => onChange(/** @type {HTMLSelectElement} */ (event.currentTarget).value)}>
      ${choices.map(([value, text]) => html`<option key=${value} value=${value} selected=${value === version}>${text}</option>`)}
    </select>
  </label>`;
}

/** @param {{ group: Group, first: string, onClose: () => void }} props */
function Scale({ group, first, onClose }) {
  const [version, setVersion] = useState(first);
  const own = group.instances.filter((one) => one.version === version && !one.outsider);
  const [wish, setWish] = useState(/** @type {number | null} */ (null));
  const replicas = wish ?? own.length;
  const valid = Number.isInteger(replicas) && replicas >= 0 && replicas <= REPLICAS_MAX;
  const set = (/** @type {number} */ n) => setWish(Math.max(0, Math.min(REPLICAS_MAX, n)));
  return html`<${Frame} action=${scaleAction(group, version, replicas)} go="Scale" blocked=${!valid || replicas === own.length} danger=${valid && replicas === 0} onClose=${onClose}>
    <${VersionField} group=${group} version=${version} onChange=${(/** @type {string} */ chosen) => (setVersion(chosen), setWish(null))} />
    <div class="field">
      <label for="replicas">Instances</label>
      <span class="stepper">
        <button type="button" class="button" aria-label="One less" onClick=${() => set(replicas - 1)} disabled=${replicas <= 0}>−</button>
        <input id="replicas" type="number" min="0" max=${REPLICAS_MAX} step="1" required value=${Number.isFinite(replicas) ? replicas : ''} onInput=${(/** @type {InputEvent} */ event) => setWish(/** @type {HTMLInputElement} */ (event.currentTarget).valueAsNumber)} />
        <button type="button" class="button" aria-label="One more" autofocus onClick=${() => set(replicas + 1)} disabled=${replicas >= REPLICAS_MAX}>+</button>
      </span>
    </div>
    <p aria-live="polite">${valid ? effect(group, version, own, replicas) : `It takes a whole number from 0 to ${REPLICAS_MAX}.`}</p>
  </${Frame}>`;
}

/** In words. @param {Group} group @param {string} version @param {Instance[]} own @param {number} replicas */
function effect(group, version, own, replicas) {
  const more = replicas - own.length;
  const name = group.versions.length > 1 ? `${group.name} ${version}` : group.name;
  if (more === 0) return `${name} has ${plural(own.length, 'instance')} now. Choose another number.`;
  if (more > 0) return `Starts ${plural(more, 'more instance')} of ${name}. Each takes requests as soon as it is ready.`;
  const going = own.slice(replicas).map((one) => one.slot);
  const who = going.length > 4 ? `${going.slice(0, 3).join(', ')} and ${going.length - 3} more` : going.join(', ');
  const rest = replicas === 0 ? ` Nothing of ${name} is left then: who needs it gets errors.` : '';
  return `Stops ${who}: no new requests, those under way are finished first.${rest}`;
}

/** @param {{ group: Group, first: string, onClose: () => void }} props */
function Roll({ group, first, onClose }) {
  const [version, setVersion] = useState(first);
  const [build, setBuild] = useState(true);
  const own = group.instances.filter((one) => (!version || one.version === version) && !one.outsider);
  const what = html`<b><bdi>${version ? `${group.name} ${version}` : group.name}</bdi></b>`;
  const replaces = own.length === 1 ? 'replaces its instance:' : `replaces its ${own.length} instances one after the other:`;
  return html`<${Frame} action=${rollAction(group, version, build)} go="Roll" blocked=${!own.length} onClose=${onClose}>
    <${VersionField} group=${group} version=${version} all="all of them" onChange=${setVersion} />
    <label class="option"><input type="checkbox" checked=${build} onChange=${(/** @type {Event} */ event) => setBuild(/** @type {HTMLInputElement} */ (event.currentTarget).checked)} /><span><b>Build first</b><br /><span class="muted">Without, the new ones run what was built last, with the present configuration.</span></span></label>
    ${own.length ? html`<p>${build ? html`Builds ${what} where it has a build, then ${replaces}` : html`Builds nothing; ${replaces}`}</p>` : html`<p>${what} has no instance: there is nothing to replace. Scale it up instead.</p>`}
    <ol class="plan">
      <li>starts a new one beside the old,</li>
      <li>waits until it is ready,</li>
      <li>takes the old one out of the pool and lets it finish.</li>
    </ol>
    <p>If a new one does not become ready the roll stops there, and the old ones stay.</p>
  </${Frame}>`;
}

const SIGNALS = [
  { name: 'KILL', text: 'At once (SIGKILL)', about: 'It dies without a word, as in a crash: requests in it fail.' },
  { name: 'TERM', text: 'In order (SIGTERM)', about: 'It is asked to end: it finishes what it has, then ends.' },
];

/** @param {{ group: Group, instance: Instance, onClose: () => void }} props */
function Kill({ group, instance, onClose }) {
  const [chosen, setChosen] = useState('KILL');
  const others = group.instances.filter((one) => one.state === 'ready' && one !== instance).length;
  const next = group.platform
    ? 'It belongs to the platform; the system is built to go on without it for a while.'
    : others > 0 ? `Meanwhile ${plural(others, 'other instance takes', 'other instances take')} its requests.` : `No other instance of ${group.name} is ready: who needs it gets errors until it is back.`;
  return html`<${Frame} action=${killAction(instance.slot, chosen)} go="Kill" danger=${true} blocked=${instance.pid === null} onClose=${onClose}>
    <fieldset class="signals">
      <legend class="sr">How</legend>
      ${SIGNALS.map(
        (one) => html`<label key=${one.name} class="option"><input type="radio" name="signal" value=${one.name} checked=${chosen === one.name} onChange=${() => setChosen(one.name)} /><span><b>${one.text}</b><br /><span class="muted">${one.about}</span></span></label>`,
      )}
    </fieldset>
    <p>${instance.pid === null ? instance.restarts === null ? 'The agent is away: it alone knows the process.' : 'It has no process just now.' : `The agent sees that process ${instance.pid} is gone and starts ${instance.slot} again. ${next}`}</p>
  </${Frame}>`;
}

/** @param {string} slot */
function quarantineUrl(slot) {
  return `/api/registry/v1/instances/${encodeURIComponent(slot)}/quarantine`;
}

/** Its own name, by which callers still reach it. @param {Instance} instance */
function ownName(instance) {
  return `${instance.slot.replace(/[@/]/g, '-')}.${instance.brick}.brick`;
}

/** @param {{ group: Group, instance: Instance, onClose: () => void }} props */
function Quarantine({ group, instance, onClose }) {
  const others = group.instances.filter((one) => one.state === 'ready' && one.slot !== instance.slot).length;
  const act = async (/** @type {string} */ why) => {
    const answer = await send('POST', quarantineUrl(instance.slot), { reason: why.trim() }, { why });
    return `${instance.slot} left its pool${answer?.told === false ? '; not every caller has said so yet' : ''}.`;
  };
  return html`<${ActDialog} title=${`Quarantine ${instance.slot}`} go="Quarantine" command=${`brick quarantine ${instance.slot}`} act=${act} danger=${others === 0} onClose=${onClose}>
    <p>It leaves its pool at once and runs on, to be looked into. Requests under way are finished; new ones reach it by its own name alone, <code>${ownName(instance)}</code>.</p>
    <p>${others ? `Meanwhile ${plural(others, 'other instance takes', 'other instances take')} its requests.` : `No other instance of ${group.name} is ready: who needs it gets errors until it is released.`}</p>
    <p class="muted small">It is about this start of it: what is started in its place takes requests.</p>
  </${ActDialog}>`;
}

/** @param {{ instance: Instance, onClose: () => void }} props */
function Release({ instance, onClose }) {
  const act = async (/** @type {string} */ why) => {
    await send('DELETE', quarantineUrl(instance.slot), undefined, { why });
    return `${instance.slot} takes requests again.`;
  };
  return html`<${ActDialog} title=${`Release ${instance.slot}`} go="Release" command=${`brick quarantine --release ${instance.slot}`} act=${act} onClose=${onClose}>
    <p>It comes back into its pool and takes requests as the others do.</p>
    ${instance.quarantine && html`<p>It was quarantined because: <b><bdi>${instance.quarantine}</bdi></b></p>`}
  </${ActDialog}>`;
}
