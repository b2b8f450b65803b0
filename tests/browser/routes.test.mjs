// The Routes screen in a real browser, on the mock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audit } from './lib/axe.mjs';
import { NASTY } from './lib/data.mjs';
import { held } from './lib/browser.mjs';
import { mock, visit } from './lib/console.mjs';
import { canaryCommand, courseOf, poolsOf, ruleCommand, standing, stepsOf, weightsCommand, withRule } from '../../console/app/routes/model.js';

const PATH = '/console/routes';
const PAYMENT = `${PATH}?select=payment`;

const card = (page) => page.getByRole('article', { name: 'payment' });
const dialog = (page) => page.getByRole('dialog');
const command = (page) => dialog(page).locator('.command code');
const row = (page, version) => card(page).locator('.versions tbody tr').filter({ has: page.locator('th', { hasText: version }) });

/** An instance of payment v2 beside the base. */
function withV2(changes = {}) {
  mock.reset(changes);
  const { agent } = mock.world;
  agent.rows.push({ ...agent.row('payment', 'payment@v2/1', 70) });
}

/** Two steps of ten looks each, the second one in trouble. */
function course(at) {
  const seen = (calls, errors, p99_ms) => ({ calls, errors, ...(p99_ms && { p99_ms }) });
  return Array.from({ length: 20 }, (_, i) => ({ at: at((20 - i) * 4_000), step: Math.floor(i / 10), share: i < 10 ? 1 : 5, own: seen(10 * i, i < 10 ? 0 : i, i && 100), base: seen(200 * (i + 1), i, 50) }));
}

/** A canary under way, or over. */
function tried(changes) {
  withV2();
  const at = (ms) => new Date(Date.now() - ms).toISOString();
  mock.world.control.canaries.set('payment', {
    brick: 'payment', version: 'v2', base: 'v1', steps: [1, 5, 25, 100], hold_ms: 30_000, limits: { error_rate: 0.01, p99_times: 2, min_calls: 100 }, phase: 'running', step: 1, share: 5, reason: '',
    started: at(95_000), stepped: at(12_000), seen: { step: 1, own: { calls: 180, errors: 0, p99_ms: 100 }, base: { calls: 3_400, errors: 3, p99_ms: 100 }, verdict: 'as-good', at: at(300) }, course: course(at), ...changes,
  });
}

test('each version stands there with its instances, the share it is to get and the one it gets', async () => {
  withV2();
  await visit(PATH, async (page) => {
    await page.getByText('1 brick with versions').waitFor();
    await card(page).getByText('Nothing is said: requests go to any instance.').waitFor();
    await row(page, 'v2').getByText(/[1-9]\d? %/).first().waitFor();
    assert.match(await row(page, 'v1').innerText(), /v1\s*base\s*1 ready\s*any\s*\d+ %\s*[\d.]+\/s/);
    await row(page, 'v2').getByRole('link', { name: '1 ready' }).click();
    await page.waitForURL(/bricks\?q=payment\+v2/);
  });
});

test('shares are changed after saying who would move, with the reason, and the command that does the same', async () => {
  withV2();
  await visit(PAYMENT, async (page) => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await card(page).getByRole('button', { name: 'Shares…' }).click();
    await dialog(page).getByText('No user would change their version by shares.').waitFor();
    const slider = dialog(page).getByRole('slider', { name: 'Share of v2' });
    assert.equal(await slider.evaluate((element) => element === document.activeElement), true, 'the keyboard begins at the slider');
    for (let i = 0; i < 10; i += 1) await page.keyboard.press('ArrowRight');
    await dialog(page).getByText('10 % of the users would change their version.').waitFor();
    await dialog(page).getByText('v1 → v2').waitFor();
    assert.equal(await dialog(page).locator('output').textContent(), '90 %');
    assert.deepEqual(mock.world.control.asked.filter(([method]) => method === 'PUT'), [], 'counting changes nothing');
    await dialog(page).getByLabel('Share of v2 in percent').fill('120');
    await dialog(page).getByText('Together it is more than 100 %.').waitFor();
    assert.equal(await dialog(page).getByRole('button', { name: 'Apply' }).isDisabled(), true);
    await dialog(page).getByLabel('Share of v2 in percent').fill('25');
    await dialog(page).getByLabel('Sticks to').selectOption('tenant');
    await dialog(page).getByText('25 % of the tenants would change').waitFor();
    await dialog(page).getByLabel('Why').fill('Größe is right');
    await dialog(page).getByRole('button', { name: /^Copy/ }).click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "brick route set payment v2=25 --sticky tenant --why 'Größe is right'");
    await dialog(page).getByRole('button', { name: 'Apply' }).click();
    await page.getByText('payment: v2 has 25 %.').waitFor();
    await row(page, 'v2').locator('td').nth(1).getByText('25 %').waitFor();
    await card(page).getByText('A share sticks to tenant.').waitFor();
    await card(page).getByRole('link', { name: /^Audit of the versions/ }).click();
    await page.getByRole('option', { name: /Größe is right/ }).waitFor();
  });
  assert.deepEqual(mock.world.control.asked.at(-1), ['PUT', 'pools/v1/payment', { rules: [], weights: { v2: 25 }, sticky: 'tenant' }, 'Größe is right']);
});

test('rules are added, shown in order, and taken back one by one; all of it is reset', async () => {
  withV2();
  await visit(PAYMENT, async (page) => {
    for (const [kind, name, value, expected] of [
      ['header', 'x-tester', 'it is me', "brick route header payment 'x-tester: it is me' v2"], ['cookie', 'beta', '1', 'brick route cookie payment beta=1 v2'],
      ['user', '', 'u-17', 'brick route user payment u-17 v2'], ['tenant', '', 'acme', 'brick route tenant payment acme v2'],
    ]) {
      await card(page).getByRole('button', { name: 'Add a rule…' }).click();
      await dialog(page).getByLabel('Of requests with').selectOption(kind);
      if (name) await dialog(page).getByLabel('Name', { exact: true }).fill(name);
      await dialog(page).getByLabel(name ? 'Value' : kind, { exact: false }).last().fill(value);
      assert.equal(await command(page).innerText(), `$ ${expected}`);
      await dialog(page).getByRole('button', { name: 'Add', exact: true }).click();
      await dialog(page).waitFor({ state: 'detached' });
      await card(page).locator('.rules li', { hasText: value }).waitFor();
    }
    assert.equal(await card(page).locator('.rules li').count(), 4);
    await card(page).getByRole('button', { name: 'Take back… cookie beta: 1' }).click();
    assert.equal(await command(page).innerText(), '$ brick route drop payment 2');
    await dialog(page).getByRole('button', { name: 'Take back', exact: true }).click();
    await card(page).locator('.rules li', { hasText: 'beta' }).waitFor({ state: 'detached' });
    await card(page).getByRole('button', { name: 'Reset…' }).click();
    assert.equal(await command(page).innerText(), '$ brick route reset payment');
    await dialog(page).getByRole('button', { name: 'Reset', exact: true }).click();
    await card(page).getByText('Nothing is said').waitFor();
    assert.equal(await card(page).locator('.rules li').count(), 0);
  });
});

test('a canary is begun with its limits, watched beside its base, and aborted by hand with the reason', async () => {
  withV2();
  await visit(PAYMENT, async (page) => {
    await card(page).getByRole('button', { name: 'Canary…' }).click();
    assert.equal(await command(page).innerText(), '$ brick canary start payment v2');
    await dialog(page).getByLabel('Steps in percent').fill('50,10');
    await dialog(page).getByText('ascending, the last 100').waitFor();
    await dialog(page).getByLabel('Steps in percent').fill('10,100');
    await dialog(page).getByLabel('Each step lasts').fill('60');
    await dialog(page).getByLabel('More errors than the base, borne').fill('2.5');
    assert.equal(await command(page).innerText(), '$ brick canary start payment v2 --steps 10,100 --hold 60s --errors 0.025');
    await dialog(page).getByRole('button', { name: 'Begin' }).click();
    const canary = card(page).getByRole('region', { name: 'Canary of payment' });
    await canary.getByText('too little is known to go on: 41 of 100 calls').waitFor();
    assert.equal(await canary.locator('[aria-current=step]').innerText(), '10 %\n, under way');
    assert.match(await canary.locator('.beside').innerText(), /v2\s*41\s*0 %\s*100 ms\s*v1 at the same time\s*3,900\s*0\.1 %\s*100 ms/);
    assert.equal(await card(page).getByRole('button', { name: 'Shares…' }).isDisabled(), true, 'the canary alone moves shares');
    await canary.getByRole('button', { name: 'Abort…' }).click();
    await dialog(page).getByText('what they were before the canary').waitFor();
    await dialog(page).getByLabel('Why').fill('customers complain');
    assert.equal(await command(page).innerText(), "$ brick canary abort payment --why 'customers complain'");
    await dialog(page).getByRole('button', { name: 'Abort', exact: true }).click();
    await canary.getByText('Aborted').waitFor();
    await canary.locator('.verdict', { hasText: 'customers complain' }).waitFor();
  });
  const [begun, ended] = mock.world.control.asked.filter(([, path]) => path.startsWith('canaries'));
  assert.deepEqual(begun, ['POST', 'canaries/v1/payment', { version: 'v2', steps: [10, 100], hold_ms: 60_000, limits: { error_rate: 0.025, p99_times: 2, min_calls: 100 } }]);
  assert.deepEqual(ended, ['POST', 'canaries/v1/payment/abort', {}, 'customers complain']);
});

test('a canary that does well is promoted by hand, one that ended by itself says why', async () => {
  tried({});
  await visit(PATH, async (page) => {
    const canary = card(page).getByRole('region', { name: 'Canary of payment' });
    await canary.getByText(/as good as v1 so far; the next step is 25 %/i).waitFor();
    await canary.getByRole('button', { name: 'Promote…' }).click();
    assert.equal(await command(page).innerText(), '$ brick canary promote payment');
    await dialog(page).getByRole('button', { name: 'Promote', exact: true }).click();
    await canary.getByText('Promoted', { exact: true }).waitFor();
  });
  tried({ phase: 'aborted', step: 0, share: 0, reason: '5.0 % of 400 calls failed, 0.1 % of the base\'s at the same time', seen: { step: 0, own: { calls: 400, errors: 20, p99_ms: 300 }, base: { calls: 9_000, errors: 9, p99_ms: 100 }, verdict: 'worse', because: '5.0 % of 400 calls failed' } });
  await visit(PATH, async (page) => {
    const canary = card(page).getByRole('region', { name: 'Canary of payment' });
    await canary.getByText(/5\.0 % of 400 calls failed, 0\.1 % of the base/).waitFor();
    assert.equal(await canary.locator('[data-tone=bad].number').count(), 2, 'errors and p99 are marked');
    assert.equal(await canary.getByRole('button').count(), 0);
    await card(page).getByRole('link', { name: 'Audit of canaries' }).click();
    await page.waitForURL(/audit\?target=canary%2Fpayment/);
  });
});

test('how a canary went is drawn step by step beside its base, and read out', async () => {
  tried({});
  await visit(PATH, async (page) => {
    const canary = card(page).getByRole('region', { name: 'Canary of payment' });
    await canary.getByRole('img', { name: 'Share over the steps, at the end 5 %' }).waitFor();
    await canary.getByRole('img', { name: 'Errors over the steps, at the end v2 10 %, v1 0.47 %' }).waitFor();
    await canary.getByRole('img', { name: 'p99 over the steps, at the end v2 100 ms, v1 50 ms' }).locator('canvas').waitFor();
    mock.world.control.canaries.get('payment').course.push({ at: new Date().toISOString(), step: 1, share: 5, own: { calls: 0, errors: 0 }, base: { calls: 9, errors: 0, p99_ms: 50 } });
    await canary.getByRole('img', { name: 'Errors over the steps, at the end v2 –, v1 0 %' }).waitFor();
    await canary.locator('.curve').last().locator('.u-over').hover({ position: { x: 3, y: 20 } });
    await canary.getByText(/at \d\d:\d\d:\d\d/).first().waitFor();
  });
  tried({ course: undefined });
  await visit(PATH, async (page) => {
    await card(page).locator('.beside').waitFor();
    assert.equal(await card(page).locator('.curve').count(), 0, 'one look is no course');
  });
});

test('what somebody else changes meanwhile is shown before anything is done, and nothing of it is overwritten', async () => {
  withV2();
  const held = mock.world.control.pools.get('payment');
  const other = (changes) => Object.assign(held, { revision: held.revision + 1, sticky: 'user' }, changes);
  await visit(PAYMENT, async (page) => {
    await card(page).getByRole('button', { name: 'Shares…' }).click();
    await dialog(page).getByLabel('Share of v2 in percent').fill('50');
    other({ weights: { v2: 25 } });
    await dialog(page).getByRole('alert').getByText('Now: v1 75 %, v2 25 %, sticks to user.').waitFor();
    assert.equal(await dialog(page).getByLabel('Share of v2 in percent').inputValue(), '50', 'what one wrote stays while one reads');
    assert.equal(await dialog(page).getByRole('button', { name: 'Apply' }).isDisabled(), true);
    await dialog(page).getByRole('button', { name: 'Go on from that' }).click();
    assert.equal(await dialog(page).getByLabel('Share of v2 in percent').inputValue(), '25');
    await dialog(page).getByLabel('Share of v2 in percent').fill('30');
    await dialog(page).getByRole('button', { name: 'Apply' }).click();
    await row(page, 'v2').locator('td').nth(1).getByText('30 %').waitFor();
    // A rule is added to those that are there by then, whatever there was when the dialog opened.
    await card(page).getByRole('button', { name: 'Add a rule…' }).click();
    await dialog(page).getByLabel('Value').fill('me');
    other({ rules: [{ when: { user: 'u-1' }, to: 'v2' }] });
    await dialog(page).getByRole('button', { name: 'Go on from that' }).click();
    assert.equal(await dialog(page).getByLabel('Value').inputValue(), 'me');
    await dialog(page).getByRole('button', { name: 'Add', exact: true }).click();
    await card(page).locator('.rules li').nth(1).waitFor();
    // So is the rule that is taken back, wherever it stands by then.
    await card(page).getByRole('button', { name: /^Take back… header/ }).click();
    assert.equal(await command(page).innerText(), '$ brick route drop payment 2');
    other({ rules: held.rules.slice(1) });
    await dialog(page).getByRole('button', { name: 'Go on from that' }).click();
    assert.equal(await command(page).innerText(), '$ brick route drop payment 1');
    other({ rules: [] });
    await dialog(page).getByRole('button', { name: 'Go on from that' }).click();
    await dialog(page).getByText('Somebody has taken it back already.').waitFor();
  });
  assert.deepEqual(mock.world.control.asked.filter(([method]) => method === 'PUT').map(([, , body]) => [body.weights, body.rules.length]), [[{ v2: 30 }, 0], [{ v2: 30 }, 2]]);
});

test('a change that meets another one in the same moment is refused, and goes on from what is there', async () => {
  withV2();
  await visit(PAYMENT, async (page) => {
    await card(page).getByRole('button', { name: 'Shares…' }).click();
    await dialog(page).getByLabel('Share of v2 in percent').fill('50');
    await dialog(page).getByText('50 % of the users would change').waitFor();
    // The console has not been told yet when it asks.
    const told = await held(page, '**/api/pools/v1');
    await page.waitForRequest('**/api/pools/v1');
    Object.assign(mock.world.control.pools.get('payment'), { revision: 7, weights: { v2: 5 }, sticky: 'user' });
    await dialog(page).getByRole('button', { name: 'Apply' }).click();
    await dialog(page).getByRole('alert').getByText('was changed since it was read').waitFor();
    told();
    await dialog(page).getByRole('button', { name: 'Go on from that' }).click();
    assert.equal(await dialog(page).getByText('was changed since').count(), 0, 'what was settled is said no more');
    await dialog(page).getByLabel('Share of v2 in percent').fill('50');
    await dialog(page).getByRole('button', { name: 'Apply' }).click();
    await row(page, 'v2').locator('td').nth(1).getByText('50 %').waitFor();
  }, { quiet: /412/ });
});

test('a refusal stays in the dialog with its reason, and is tried again', async () => {
  withV2();
  mock.world.control.pools.get('payment').revision = 41;
  await visit(`${PAYMENT}&do=reset`, async (page) => {
    mock.world.control.refuse = [409, { title: 'Conflict', status: 409, code: 'canary_running', detail: 'a canary of payment moves the shares; abort or promote it first' }];
    await dialog(page).getByRole('button', { name: 'Reset', exact: true }).click();
    await dialog(page).getByRole('alert').getByText('a canary of payment moves the shares').waitFor();
    mock.world.control.refuse = null;
    await dialog(page).getByRole('button', { name: 'Try again' }).click();
    await dialog(page).waitFor({ state: 'detached' });
  }, { quiet: /409/ });
});

test('without versions, and without control, the screen says what to do', async () => {
  mock.reset({ idle: true });
  await visit(PATH, (page) => page.getByText('No brick has another version than its base').waitFor());
  mock.reset();
  mock.world.control.away = true;
  await visit(PATH, (page) => page.getByRole('alert').getByText('control does not answer').waitFor(), { quiet: /503/ });
});

test('keys and the palette open the actions', async () => {
  withV2();
  await visit(PATH, async (page) => {
    await card(page).waitFor();
    await page.keyboard.press('s');
    await page.getByRole('dialog', { name: 'Shares of payment' }).waitFor();
    await page.keyboard.press('Escape');
    await dialog(page).waitFor({ state: 'detached' });
    await page.keyboard.press('Control+k');
    await page.keyboard.type('canary of payment');
    await page.getByRole('option').first().getByText('Canary of payment…').waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'A canary of payment' }).waitFor();
  });
});

test('hostile rules and reasons are text', async () => {
  tried({ phase: 'aborted', reason: NASTY });
  Object.assign(mock.world.control.pools.get('payment'), { revision: 3, rules: [{ when: { header: { name: NASTY, value: NASTY } }, to: 'v2' }] });
  await visit(PATH, async (page) => {
    await card(page).locator('.verdict', { hasText: NASTY }).waitFor();
    await card(page).locator('.rules li', { hasText: NASTY }).waitFor();
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.locator('main img, main script').count(), 0);
  });
});

const DIALOGS = ['weights', 'rule', 'canary', 'reset', 'promote', 'abort'];
for (const theme of ['light', 'dark']) {
  test(`no serious accessibility violation in versions, canary and dialogs in the ${theme} theme`, async () => {
    tried({});
    mock.world.control.pools.get('payment').rules = [{ when: { user: 'u-17' }, to: 'v2' }];
    for (const query of [PATH, ...DIALOGS.map((kind) => `${PAYMENT}&do=${kind}`)]) {
      await visit(query, async (page) => {
        await card(page).locator('.beside').waitFor();
        if (query !== PATH) await dialog(page).waitFor();
        assert.deepEqual(await audit(page), [], query);
      }, { theme });
    }
  });
}

test('the screen and its dialogs fit a telephone', async () => {
  tried({});
  for (const query of [PATH, ...DIALOGS.map((kind) => `${PAYMENT}&do=${kind}`)]) {
    await visit(query, async (page) => {
      await card(page).locator('.beside').waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, query);
      if (query !== PATH) assert.ok(await dialog(page).evaluate((element) => element.scrollWidth <= element.clientWidth), `${query} is wider than the screen`);
    }, { width: 360, height: 740 });
  }
});

test('copies for a version are told, and kept when shares are changed', async () => {
  withV2();
  mock.world.control.pools.get('payment').mirror = { version: 'v2', percent: 5 };
  await visit(PAYMENT, async (page) => {
    await card(page).getByText('v2 gets copies of 5 % of the requests that change nothing.').waitFor();
    await card(page).getByRole('button', { name: 'Shares…' }).click();
    await dialog(page).getByLabel('Share of v2 in percent').fill('10');
    await dialog(page).getByRole('button', { name: 'Apply' }).click();
    await page.getByText('payment: v2 has 10 %.').waitFor();
  });
  assert.deepEqual(mock.world.control.asked.at(-1)[2].mirror, { version: 'v2', percent: 5 });
});

test('a canary begins as the manifest plans it, and the command says what differs', async () => {
  withV2();
  mock.world.control.plan = { steps: [10, 100], hold_ms: 300_000, limits: { error_rate: 0.005, p99_times: 1.5, min_calls: 500 } };
  await visit(PAYMENT, async (page) => {
    await card(page).getByRole('button', { name: 'Canary…' }).click();
    await page.waitForFunction(() => [...document.querySelectorAll('dialog input')].some((input) => input.value === '10,100'));
    const shown = await dialog(page).locator('input[type=number]').evaluateAll((inputs) => inputs.map((input) => input.value));
    assert.deepEqual(shown, ['300', '0.5', '1.5', '500']);
    assert.equal(await command(page).innerText(), '$ brick canary start payment v2');
    await dialog(page).getByLabel('Calls that a step needs').fill('200');
    assert.equal(await command(page).innerText(), '$ brick canary start payment v2 --min-calls 200');
  });
});

test('commands say what was chosen, and foreign answers break nothing', () => {
  for (const raw of [null, {}, { items: 7 }, { items: [{}, { brick: 'a', versions: 'x', rules: [null, {}], weights: [], sticky: 5 }] }]) assert.ok(Array.isArray(poolsOf(raw, raw, [], new Map())));
  for (const raw of [null, { course: 7 }, { course: [{}, null, { at: 'x' }, { at: '2026-11-21T18:00:00Z', own: 5 }] }]) assert.ok(courseOf(raw).errors.every((line) => line.length === (raw?.course?.length === 4 ? 1 : 0)));
  const [pool] = poolsOf({ items: [{ brick: 'pay', revision: 3, sticky: 'user', versions: [{ version: 'v1', base: true, share: 95 }, { version: 'v2', share: 5 }] }] }, { items: [] }, [], new Map());
  assert.equal(weightsCommand(pool, { v2: 10 }, 'user'), 'brick route set pay v2=10');
  assert.equal(weightsCommand(pool, { v2: 10 }, ''), 'brick route set pay v2=10 --sticky none');
  assert.equal(ruleCommand('pay', { kind: 'user', name: '', value: "it's me", to: 'v2' }), "brick route user pay 'it'\\''s me' v2");
  assert.equal(canaryCommand('pay', { version: 'v2', steps: '1,5,25,100', hold: 30, errors: 1, times: 2, calls: 100 }), 'brick canary start pay v2');
  assert.deepEqual([stepsOf('1, 5,100'), stepsOf('5,1,100'), stepsOf('1,5'), stepsOf('')], [[1, 5, 100], null, null, null]);
  const rule = { when: { user: 'a' }, to: 'v2' };
  assert.deepEqual(withRule({ rules: [{ when: { user: 'a' }, to: 'v1' }, { when: { user: 'b' }, to: 'v1' }], weights: {}, sticky: null }, rule).rules, [{ when: { user: 'b' }, to: 'v1' }, rule]);
  assert.equal(standing({ phase: 'running', seen: null }), 'its instances are asked');
});
