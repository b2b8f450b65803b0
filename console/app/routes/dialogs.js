// Changing who gets what: each dialog says who would move before anything is changed.
import { ActDialog, Meanwhile, replace, useHeld, valueOf } from '../act.js';
import { get, send } from '../api.js';
import { percent } from '../format.js';
import { html, useEffect, useState } from '../html.js';
import { CANARY, canaryCommand, planOf, restOf, ruleCommand, ruleOf, sharesOf, stepsOf, wantedText, weightsCommand, whenOf, withRule } from './model.js';

/** @typedef {import('./model.js').Pool} Pool @typedef {import('./model.js').Wanted} Wanted */

/** Keys are counted while one still drags. */
const REST_MS = 120;
const STICKY = [['user', 'the user'], ['tenant', 'the tenant'], ['header', 'a header'], ['cookie', 'a cookie'], ['', 'nothing: chance, for each request']];

/** @param {Event} event */
const numberIn = (event) => /** @type {HTMLInputElement} */ (event.currentTarget).valueAsNumber;

/** @param {string} brick */
export function poolUrl(brick) {
  return `/api/pools/v1/${encodeURIComponent(brick)}`;
}

/** @param {string} brick */
export function canaryUrl(brick) {
  return `/api/canaries/v1/${encodeURIComponent(brick)}`;
}

/** @param {{ kind: string, rule: string, pool: Pool, onDone: () => void, onClose: () => void }} props */
export function RouteDialog({ kind, rule, pool, onDone, onClose }) {
  const { held, changed, take } = useHeld(pool);
  const given = { kind, at: Number(rule), onDone, onClose };
  const made = { canary: Start, promote: End, abort: End }[kind];
  if (made) return html`<${made} ...${given} pool=${pool} />`;
  // What is wanted is replaced as a whole: what others want by now is looked at first.
  const changes = { weights: Weights, rule: AddRule, drop: DropRule, reset: Reset }[kind];
  return changes ? html`<${changes} ...${given} pool=${held} meanwhile=${changed && html`<${Meanwhile} now=${wantedText(pool)} onTake=${take} />`} />` : null;
}

/**
 * Who would move, asked while nothing is changed.
 * @param {string} brick
 * @param {Wanted | null} wanted
 */
function usePreview(brick, wanted) {
  const [told, setTold] = useState(/** @type {{ moved: number, by: [string, number][], failure: string } | null} */ (null));
  const asked = wanted && JSON.stringify(wanted);
  useEffect(() => {
    if (!asked) {
      setTold(null);
      return undefined;
    }
    let over = false;
    const timer = setTimeout(() => {
      send('POST', `${poolUrl(brick)}/preview`, JSON.parse(asked)).then(
        (answer) => over || setTold({ moved: Number(answer.moved) || 0, by: Object.entries(answer.by ?? {}).map(([way, n]) => [way, Number(n)]), failure: '' }),
        (error) => over || setTold({ moved: 0, by: [], failure: error.message }),
      );
    }, REST_MS);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [brick, asked]);
  return told;
}

/** @param {{ told: ReturnType<typeof usePreview>, what: string, wanted: Wanted | null }} props */
function Moved({ told, what, wanted }) {
  if (!wanted) return null;
  if (told?.failure) return html`<p class="problem" role="alert">${told.failure}</p>`;
  if (!told) return html`<p class="muted moved" role="status">Counting who would move…</p>`;
  return html`<div class="moved" role="status">
    <p><b>${told.moved ? `${percent(told.moved / 10_000)} of the ${what} would change their version.` : `No ${what.replace(/s$/, '')} would change their version by shares.`}</b></p>
    ${told.by.length > 0 && html`<ul>${told.by.map(([way, n]) => html`<li key=${way}><bdi>${way.replace('->', ' → ')}</bdi> <span class="number">${percent(n / 10_000)}</span></li>`)}</ul>`}
  </div>`;
}

/** What is counted, by what it sticks to. @param {string} sticky */
function counted(sticky) {
  if (sticky === 'tenant') return 'tenants';
  if (sticky === 'user') return 'users';
  return sticky ? 'keys' : 'requests';
}

/** @param {Pool} pool @param {Wanted | null} wanted none takes it back @param {string} why @param {() => void} onDone */
function put(pool, wanted, why, onDone) {
  return replace(poolUrl(pool.brick), pool.tag, wanted, why, onDone);
}

/** @typedef {{ kind: string, at: number, pool: Pool, meanwhile?: any, onDone: () => void, onClose: () => void }} Props */

/** @param {Props} props */
function Weights({ pool, meanwhile, onDone, onClose }) {
  const [chosen, setChosen] = useState(() => chosenOf(pool));
  const { shares, kind, name } = chosen.tag === pool.tag ? chosen : chosenOf(pool);
  const choose = (/** @type {Partial<ReturnType<typeof chosenOf>>} */ change) => setChosen({ tag: pool.tag, shares, kind, name, ...change });
  const rest = restOf(shares);
  const sticky = kind === 'header' || kind === 'cookie' ? `${kind}:${name.trim()}` : kind;
  const valid = rest >= 0 && Object.values(shares).every((share) => Number.isInteger(share) && share >= 0) && !sticky.endsWith(':');
  const wanted = valid ? { ...pool.wanted, weights: shares, sticky: sticky || null } : null;
  const told = usePreview(pool.brick, wanted);
  const set = (/** @type {string} */ version, /** @type {number} */ share) => choose({ shares: { ...shares, [version]: share } });
  const act = async (/** @type {string} */ why) => {
    if (wanted) await put(pool, wanted, why, onDone);
    return `${pool.brick}: ${Object.entries(shares).map(([version, share]) => `${version} has ${share} %`).join(', ')}.`;
  };
  return html`<${ActDialog} title=${`Shares of ${pool.brick}`} go="Apply" command=${weightsCommand(pool, shares, sticky)} act=${act} blocked=${!valid || Boolean(told?.failure)} round=${pool.tag} meanwhile=${meanwhile} onClose=${onClose}>
    <div class="weights">
      ${Object.entries(shares).map(([version, share], i) => html`<${Share} key=${version} version=${version} share=${share} first=${i === 0} most=${Math.max(0, rest) + (Number.isFinite(share) ? share : 0)} onSet=${set} />`)}
      <p class="weight"><b><bdi>${pool.base}</bdi></b><span class="muted">the base has the rest</span><output class="number" data-bad=${rest < 0 || undefined}>${Number.isFinite(rest) ? `${rest} %` : '–'}</output></p>
    </div>
    ${rest < 0 && html`<p class="problem" role="alert">Together it is more than 100 %.</p>`}
    <label class="field">Sticks to
      <select onChange=${(/** @type {Event} */ event) => choose({ kind: valueOf(event) })}>${STICKY.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === kind}>${text}</option>`)}</select>
    </label>
    ${(kind === 'header' || kind === 'cookie') && html`<label class="field">Name of the ${kind}<input required value=${name} onInput=${(/** @type {Event} */ event) => choose({ name: valueOf(event) })} autocomplete="off" spellcheck=${false} /></label>`}
    ${!kind && html`<p class="muted small">Each request is dealt anew: one user may see both versions in turn.</p>`}
    <${Moved} told=${told} what=${counted(kind)} wanted=${wanted} />
  </${ActDialog}>`;
}

/** What the dialog begins with. @param {Pool} pool */
function chosenOf(pool) {
  const [kind, name] = split(pool.wanted.sticky ?? (pool.revision ? '' : 'user'));
  return { tag: pool.tag, shares: sharesOf(pool), kind, name };
}

/** @param {{ version: string, share: number, first: boolean, most: number, onSet: (version: string, share: number) => void }} props */
function Share({ version, share, first, most, onSet }) {
  const set = (/** @type {Event} */ event) => onSet(version, numberIn(event));
  const shown = Number.isFinite(share) ? share : '';
  return html`<div class="weight">
    <b><bdi>${version}</bdi></b>
    <input type="range" min="0" max="100" step="1" value=${shown === '' ? 0 : shown} aria-label=${`Share of ${version}`} autofocus=${first} onInput=${(/** @type {Event} */ event) => onSet(version, Math.min(numberIn(event), most))} />
    <span class="percent"><input type="number" min="0" max="100" step="1" required value=${shown} aria-label=${`Share of ${version} in percent`} onInput=${set} /> %</span>
  </div>`;
}

/** `header:x-user` as kind and name. @param {string} sticky @returns {[string, string]} */
function split(sticky) {
  const at = sticky.indexOf(':');
  return at < 0 ? [sticky, ''] : [sticky.slice(0, at), sticky.slice(at + 1)];
}

const KINDS = [['header', 'A header'], ['cookie', 'A cookie'], ['user', 'A user'], ['tenant', 'A tenant']];

/** @param {Props} props */
function AddRule({ pool, meanwhile, onDone, onClose }) {
  const other = pool.versions.find((one) => !one.base)?.version ?? pool.base;
  const [wish, setWish] = useState(/** @type {import('./model.js').RuleWish} */ ({ kind: 'header', name: 'x-tester', value: '', to: other }));
  const put_ = (/** @type {Partial<import('./model.js').RuleWish>} */ change) => setWish({ ...wish, ...change });
  const rule = ruleOf(wish);
  const wanted = rule && withRule(pool.wanted, rule);
  const told = usePreview(pool.brick, wanted);
  const named = wish.kind === 'header' || wish.kind === 'cookie';
  const act = async (/** @type {string} */ why) => {
    if (wanted) await put(pool, wanted, why, onDone);
    return `${pool.brick}: ${rule ? whenOf(rule.when) : ''} leads to ${wish.to}.`;
  };
  return html`<${ActDialog} title=${`A rule for ${pool.brick}`} go="Add" command=${rule ? ruleCommand(pool.brick, wish) : ''} act=${act} blocked=${!rule || Boolean(told?.failure)} round=${pool.tag} meanwhile=${meanwhile} onClose=${onClose}>
    <p>Requests that it fits go to one version, whatever the shares are. Rules are looked at in order; the first that fits decides.</p>
    <label class="field">Of requests with
      <select autofocus onChange=${(/** @type {Event} */ event) => put_({ kind: /** @type {any} */ (valueOf(event)) })}>${KINDS.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === wish.kind}>${text.toLowerCase()}</option>`)}</select>
    </label>
    ${named && html`<label class="field">Name<input required value=${wish.name} onInput=${(/** @type {Event} */ event) => put_({ name: valueOf(event) })} autocomplete="off" spellcheck=${false} /></label>`}
    <label class="field">${named ? 'Value' : KINDS.find(([key]) => key === wish.kind)?.[1].slice(2).replace(/^./, (letter) => letter.toUpperCase())}<input required value=${wish.value} onInput=${(/** @type {Event} */ event) => put_({ value: valueOf(event) })} autocomplete="off" spellcheck=${false} /></label>
    <label class="field">Go to
      <select onChange=${(/** @type {Event} */ event) => put_({ to: valueOf(event) })}>${pool.versions.map((one) => html`<option key=${one.version} value=${one.version} selected=${one.version === wish.to}>${one.version}</option>`)}</select>
    </label>
    ${told?.failure && html`<p class="problem" role="alert">${told.failure}</p>`}
  </${ActDialog}>`;
}

/** @param {Props} props */
function DropRule({ at, pool, meanwhile, onDone, onClose }) {
  const [rule] = useState(() => pool.wanted.rules[at - 1]);
  if (!rule) return null;
  // Another rule may stand in its place once others were taken back.
  const place = pool.wanted.rules.findIndex((one) => JSON.stringify(one) === JSON.stringify(rule));
  const wanted = { ...pool.wanted, rules: pool.wanted.rules.filter((_, i) => i !== place) };
  const act = async (/** @type {string} */ why) => {
    await put(pool, wanted, why, onDone);
    return `${pool.brick}: ${whenOf(rule.when)} leads to ${rule.to} no more.`;
  };
  return html`<${ActDialog} title=${`Take a rule of ${pool.brick} back`} go="Take back" command=${place < 0 ? '' : `brick route drop ${pool.brick} ${place + 1}`} act=${act} blocked=${place < 0} round=${pool.tag} meanwhile=${meanwhile} onClose=${onClose}>
    ${place < 0 && html`<p role="status">Somebody has taken it back already.</p>`}
    <p>Requests with <b><bdi>${whenOf(rule.when)}</bdi></b> go to <b><bdi>${rule.to}</bdi></b> no more: the rules behind it and the shares decide.</p>
  </${ActDialog}>`;
}

/** @param {Props} props */
function Reset({ pool, meanwhile, onDone, onClose }) {
  const act = async (/** @type {string} */ why) => {
    await put(pool, null, why, onDone);
    return `${pool.brick}: requests go to any instance.`;
  };
  return html`<${ActDialog} title=${`Take back what was said of ${pool.brick}`} go="Reset" command=${`brick route reset ${pool.brick}`} act=${act} danger=${true} round=${pool.tag} meanwhile=${meanwhile} onClose=${onClose}>
    <p>Shares, rules, stickiness and copies are taken back. Requests go to any instance of any version that runs, so that one user may see one version after the other.</p>
  </${ActDialog}>`;
}

/** How a version of the brick is tried where nobody says it now: the manifest's word, else what is usual. @param {string} brick */
function usePlan(brick) {
  const [plan, setPlan] = useState(CANARY);
  useEffect(() => {
    const asking = new AbortController();
    get(`${canaryUrl(brick)}/plan`, asking.signal).then((raw) => setPlan(planOf(raw)), () => {});
    return () => asking.abort();
  }, [brick]);
  return plan;
}

/** @param {Props} props */
function Start({ pool, onDone, onClose }) {
  const able = pool.versions.filter((one) => !one.base && one.ready > 0);
  const plan = usePlan(pool.brick);
  const [said, setSaid] = useState(/** @type {Partial<import('./model.js').CanaryWish>} */ ({}));
  const set = (/** @type {typeof said} */ change) => setSaid({ ...said, ...change });
  /** @type {import('./model.js').CanaryWish} */
  const wish = { version: able[0]?.version ?? '', ...plan, ...said };
  const steps = stepsOf(wish.steps);
  const fits = wish.hold >= 1 && wish.hold <= 86_400 && wish.errors >= 0 && wish.errors < 100 && wish.times >= 1 && wish.times <= 100 && wish.calls >= 1;
  const act = async (/** @type {string} */ why) => {
    const limits = { error_rate: wish.errors / 100, p99_times: wish.times, min_calls: wish.calls };
    await send('POST', canaryUrl(pool.brick), { version: wish.version, steps, hold_ms: Math.round(wish.hold * 1000), limits }, { why });
    onDone();
    return `${pool.brick}: the canary of ${wish.version} has begun.`;
  };
  /** @param {string} label @param {'hold' | 'errors' | 'times' | 'calls'} key @param {string} unit @param {string} step */
  const figure = (label, key, unit, step) => html`<label class="field">${label}<span class="percent"><input type="number" min="0" step=${step} required value=${Number.isFinite(wish[key]) ? wish[key] : ''} onInput=${(/** @type {Event} */ event) => set({ [key]: numberIn(event) })} /> ${unit}</span></label>`;
  if (!able.length) {
    return html`<${ActDialog} title=${`A canary of ${pool.brick}`} go="Begin" command=${`brick scale ${pool.brick}@${pool.versions.find((one) => !one.base)?.version ?? 'v2'}=1`} act=${async () => ''} blocked=${true} onClose=${onClose}>
      <p>No version beside <bdi>${pool.base}</bdi> has an instance that is ready. Scale one up first.</p>
    </${ActDialog}>`;
  }
  return html`<${ActDialog} title=${`A canary of ${pool.brick}`} go="Begin" command=${canaryCommand(pool.brick, wish, plan)} act=${act} blocked=${!steps || !fits} onClose=${onClose}>
    <p>The version gets a growing share of the users for as long as it does as well as <b><bdi>${pool.base}</bdi></b> at the same time. Worse, it is aborted by itself; through all steps, it is promoted.</p>
    <label class="field">Version
      <select autofocus onChange=${(/** @type {Event} */ event) => set({ version: valueOf(event) })}>${able.map((one) => html`<option key=${one.version} value=${one.version} selected=${one.version === wish.version}>${one.version}</option>`)}</select>
    </label>
    <label class="field">Steps in percent<input required value=${wish.steps} onInput=${(/** @type {Event} */ event) => set({ steps: valueOf(event) })} autocomplete="off" spellcheck=${false} aria-invalid=${!steps} /></label>
    ${!steps && html`<p class="problem" role="alert">Shares from 1 to 100, ascending, the last 100: 1,5,25,100.</p>`}
    ${figure('Each step lasts', 'hold', 's', '1')}
    ${figure('More errors than the base, borne', 'errors', '%', 'any')}
    ${figure('Slower than the base’s p99, borne', 'times', 'times', 'any')}
    ${figure('Calls that a step needs', 'calls', '', '1')}
  </${ActDialog}>`;
}

/** Promotes or aborts by hand. @param {Props} props */
function End({ kind, pool, onDone, onClose }) {
  const { canary } = pool;
  if (!canary) return null;
  const promotes = kind === 'promote';
  const act = async (/** @type {string} */ why) => {
    await send('POST', `${canaryUrl(pool.brick)}/${kind}`, {}, { why });
    onDone();
    return `${pool.brick}: ${canary.version} is ${promotes ? 'promoted' : 'aborted'}.`;
  };
  return html`<${ActDialog} title=${promotes ? `Promote ${canary.version} of ${pool.brick}` : `Abort the canary of ${pool.brick}`} go=${promotes ? 'Promote' : 'Abort'} command=${`brick canary ${kind} ${pool.brick}`} act=${act} danger=${!promotes} onClose=${onClose}>
    <p>${promotes ? html`<b><bdi>${canary.version}</bdi></b> gets all requests now, whatever was measured so far. <bdi>${canary.base}</bdi> runs on without any.` : html`<b><bdi>${canary.version}</bdi></b> gets nothing any more; the shares are again what they were before the canary.`}</p>
  </${ActDialog}>`;
}
