// The Config screen in a real browser, on the mock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audit } from './lib/axe.mjs';
import { NASTY } from './lib/data.mjs';
import { mock, visit } from './lib/console.mjs';
import { changesOf, kindOf, reportOf, rowsOf, setCommand, typed, wordsOf } from '../../console/app/config/model.js';

const PATH = '/console/config';
const ORDER = `${PATH}?brick=order`;

const values = (page) => page.locator('.values tbody tr');
const value = (page, key) => values(page).filter({ has: page.locator('th code', { hasText: new RegExp(`^${key.replace('.', '\\.')}$`) }) });
const dialog = (page) => page.getByRole('dialog');
const command = (page) => dialog(page).locator('.command code').first();

/** Changes a value through the dialog, up to its outcome. */
async function set(page, key, text, why = '') {
  await value(page, key).getByRole('button', { name: /^Change/ }).click();
  await dialog(page).getByLabel('Value').fill(text);
  if (why) await dialog(page).getByLabel('Why').fill(why);
  await dialog(page).getByRole('button', { name: 'Change', exact: true }).click();
}

test('what counts for a brick stands there with its origin, secrets hidden', () =>
  visit(ORDER, async (page) => {
    await page.getByText('6 values, revision 40').waitFor();
    assert.match(await value(page, 'max_lines').innerText(), /max_lines\s*50\s*manifest/);
    assert.match(await value(page, 'limits.retry_ms').innerText(), /250\s*manifest/);
    assert.match(await value(page, 'carriers').innerText(), /\["clay","kiln"\]/);
    assert.match(await value(page, 'database.password').innerText(), /•••\s*secret/);
    assert.doesNotMatch(await page.content(), /kept"/);
    await page.getByRole('searchbox').fill('retry');
    await page.waitForFunction(() => document.querySelectorAll('.values tbody tr').length === 1);
    await page.getByRole('searchbox').fill('nothing like it');
    await page.getByRole('button', { name: 'Clear the filter' }).click();
    await page.getByRole('navigation', { name: 'Bricks' }).getByRole('link', { name: 'payment' }).click();
    await page.getByText('the defaults in its code count').waitFor();
  }));

test('a value is changed while the bricks run: each instance is seen to take it, then how long it took', async () => {
  let open = () => {};
  mock.world.control.gate = new Promise((done) => (open = done));
  await visit(ORDER, async (page) => {
    await value(page, 'max_lines').getByRole('button', { name: /^Change/ }).click();
    await dialog(page).getByText('Now 50, a number, from manifest').waitFor();
    assert.equal(await dialog(page).getByRole('button', { name: 'Change', exact: true }).isDisabled(), true, 'it is 50 already');
    await dialog(page).getByLabel('Value').fill('20');
    await dialog(page).getByLabel('Why').fill('parcels are small');
    assert.equal(await command(page).innerText(), "$ brick config set order.max_lines=20 --why 'parcels are small'");
    await dialog(page).getByRole('button', { name: 'Change', exact: true }).click();
    await dialog(page).locator('.words li', { hasText: 'order/1' }).getByText('can take it').waitFor();
    await dialog(page).locator('.words li', { hasText: 'order/2' }).getByText('can take it').waitFor();
    open();
    await dialog(page).getByText('Applied by 2/2 in 41 ms, spread 6 ms (1b2c3d0).').waitFor();
    assert.match(await dialog(page).locator('.words').innerText(), /order\/1\s*after 35 ms\s*order\/2\s*after 41 ms/);
    await dialog(page).getByRole('button', { name: 'Close', exact: true }).last().click();
    await value(page, 'max_lines').getByText('live').waitFor();
    assert.match(await value(page, 'max_lines').innerText(), /20/);
    await page.getByRole('list', { name: 'Changes' }).getByText('parcels are small').waitFor();
    assert.match(await page.getByRole('list', { name: 'Changes' }).innerText(), /operator\s*changed\s*1b2c3d0[\s\S]*parcels are small[\s\S]*max_lines\s*50\s*→[\s\S]*20/);
    await page.getByRole('list', { name: 'Instances' }).getByText('in force').first().waitFor();
    await page.getByRole('link', { name: /^Audit of the configuration/ }).click();
    await page.getByRole('option', { name: /config\.set config\/order/ }).waitFor();
  });
  assert.deepEqual(mock.world.control.asked, [['PATCH', 'config/v1/order', { values: { max_lines: 20 } }, 'parcels are small']]);
});

test('a value of the wrong type is refused by name, nothing changes, and the history keeps it', () =>
  visit(ORDER, async (page) => {
    await set(page, 'max_lines', 'many');
    await dialog(page).getByRole('alert').getByText('order/1 refuses: max_lines: expected a number, found "many"; nothing was changed anywhere').waitFor();
    await dialog(page).getByLabel('Value').fill('30');
    await dialog(page).getByRole('button', { name: 'Try again' }).click();
    await dialog(page).getByText('Applied by 2/2').waitFor();
    await page.keyboard.press('Escape');
    const changes = page.getByRole('list', { name: 'Changes' });
    await changes.getByText('order/1 refused: max_lines: expected a number').waitFor();
    assert.match(await changes.locator('> li').nth(1).innerText(), /refused/);
  }, { quiet: /409/ }));

test('a value that was set is taken back; a new one is set by its key; a secret goes nowhere but to control', () =>
  visit(ORDER, async (page) => {
    await page.getByRole('button', { name: 'Set a value…' }).click();
    await dialog(page).getByLabel('Key').fill('not a key');
    assert.equal(await dialog(page).getByRole('button', { name: 'Change', exact: true }).isDisabled(), true);
    await dialog(page).getByLabel('Key').fill('limits.slow_ms');
    await dialog(page).getByLabel('Value').fill('400');
    assert.equal(await command(page).innerText(), '$ brick config set order.limits.slow_ms=400');
    await dialog(page).getByRole('button', { name: 'Change', exact: true }).click();
    await dialog(page).getByText('Applied by 2/2').waitFor();
    await page.keyboard.press('Escape');
    await value(page, 'limits.slow_ms').getByRole('button', { name: /^Take back/ }).click();
    assert.equal(await command(page).innerText(), '$ brick config unset order.limits.slow_ms');
    await dialog(page).getByRole('button', { name: 'Take back', exact: true }).click();
    await dialog(page).getByText('Applied by 2/2').waitFor();
    await page.keyboard.press('Escape');
    await value(page, 'limits.slow_ms').waitFor({ state: 'detached' });
    await value(page, 'database.password').getByRole('button', { name: /^Change/ }).click();
    assert.equal(await dialog(page).getByLabel('Value').getAttribute('type'), 'password');
    await dialog(page).getByLabel('Value').fill('hunter2');
    assert.equal(await command(page).innerText(), '$ brick config set order.database.password="$VALUE"');
    await dialog(page).getByRole('button', { name: 'Change', exact: true }).click();
    await dialog(page).getByText('Applied by 2/2').waitFor();
    assert.doesNotMatch(await dialog(page).innerText(), /hunter2/);
    await page.keyboard.press('Escape');
    await value(page, 'database.password').getByText('live').waitFor();
    assert.doesNotMatch(await page.locator('main').innerText(), /hunter2/);
    assert.deepEqual(mock.world.control.asked.map(([, , body]) => body.values), [{ 'limits.slow_ms': 400 }, { 'limits.slow_ms': null }, { 'database.password': 'hunter2' }]);
  }));

test('two changes are compared, and the values rolled back to the earlier one', () =>
  visit(ORDER, async (page) => {
    for (const text of ['20', '30']) {
      await set(page, 'max_lines', text);
      await dialog(page).getByText('Applied by 2/2').waitFor();
      await page.keyboard.press('Escape');
      await dialog(page).waitFor({ state: 'detached' });
      await value(page, 'max_lines').getByText(text, { exact: true }).waitFor();
    }
    const compare = page.locator('.compare');
    await compare.getByRole('row', { name: 'max_lines 50 30' }).waitFor();
    await compare.getByLabel('From').selectOption('1b2c3d0');
    await compare.getByRole('row', { name: 'max_lines 20 30' }).waitFor();
    assert.match(page.url(), /from=1b2c3d0/);
    await page.getByRole('button', { name: 'Roll back… to 1b2c3d0' }).click();
    await dialog(page).getByRole('row', { name: 'max_lines 30 20' }).waitFor();
    assert.equal(await command(page).innerText(), '$ brick config rollback order 1b2c3d0');
    await dialog(page).getByRole('button', { name: 'Roll back', exact: true }).click();
    await dialog(page).getByText('Applied by 2/2').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('list', { name: 'Changes' }).getByText('rolled back').waitFor();
    await compare.getByText('Nothing differs.').waitFor();
  }));

test('a log level is set for a while, of a brick or one instance, and taken back', () =>
  visit(ORDER, async (page) => {
    await page.getByText('As it was started with.').waitFor();
    await page.keyboard.press('v');
    assert.equal(await command(page).innerText(), '$ brick config log order=debug --for 10m');
    await dialog(page).getByLabel(/^Of/).selectOption('order/2');
    await dialog(page).getByLabel('Level', { exact: true }).fill('info,order=trace');
    await dialog(page).getByLabel(/^For/).selectOption('1h');
    assert.equal(await command(page).innerText(), '$ brick config log order/2=info,order=trace --for 1h');
    await dialog(page).getByRole('button', { name: 'Set', exact: true }).click();
    const level = page.locator('.words li', { hasText: 'info,order=trace' });
    await level.getByText(/for (59 min|1 h 0 min) more/).waitFor();
    await level.getByRole('button', { name: /^Take back/ }).click();
    assert.equal(await command(page).innerText(), '$ brick config log order/2 --reset');
    await dialog(page).getByRole('button', { name: 'Take back', exact: true }).click();
    await page.getByText('As it was started with.').waitFor();
    await page.keyboard.press('v');
    await dialog(page).getByLabel('Level', { exact: true }).fill('LOUD!');
    await dialog(page).getByRole('button', { name: 'Set', exact: true }).click();
    await dialog(page).getByRole('alert').getByText('expected a level such as debug').waitFor();
  }, { quiet: /422/ }));

test('who refused, lags behind, does not follow or goes on with another layer is told apart', async () => {
  mock.world.control.shadow = { shadowed: { max_lines: 'environment ORDER_MAX_LINES' } };
  mock.world.control.problem = 'database.password cannot be decrypted with this master key';
  await visit(ORDER, async (page) => {
    await value(page, 'max_lines').getByText('order/1 goes on with its environment ORDER_MAX_LINES').waitFor();
    await page.getByRole('alert').getByText('cannot be decrypted').waitFor();
  });
  await visit(`${PATH}?brick=customer`, (page) => page.getByText('does not follow: it has what counted when it was started').waitFor());
  mock.world.control.away = true;
  await visit(ORDER, (page) => page.getByRole('alert').getByText('control does not answer').first().waitFor(), { quiet: /503/ });
});

test('what does not follow changes is named with the command that brings it', async () => {
  mock.world.control.later = ['order/2'];
  await visit(ORDER, async (page) => {
    await set(page, 'greeting', 'hello');
    await dialog(page).getByText('They do not follow changes while they run.').waitFor();
    await dialog(page).getByText('brick roll order', { exact: true }).first().waitFor();
  });
});

test('hostile values are text', async () => {
  mock.reset({ nasty: true });
  await visit(ORDER, async (page) => {
    await value(page, 'greeting').getByText(NASTY).waitFor();
    await set(page, 'greeting', `${NASTY}!`, NASTY);
    await dialog(page).getByText('Applied by 2/2').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('.quote', { hasText: NASTY }).waitFor();
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.locator('main img, main script').count(), 0);
  });
});

/** One change that was made and one that was refused. */
async function changed() {
  const url = new URL('http://mock/api/config/v1/order');
  const { answerControl } = await import('./lib/control.mjs');
  for (const max_lines of [20, 'many', 30]) await answerControl(mock.world, 'PATCH', url, { values: { max_lines } }, { 'x-brick-why': 'smaller parcels' });
  mock.world.control.levels.all = { level: 'debug', until: new Date(Date.now() + 6e5).toISOString() };
}

const DIALOGS = ['set', 'set&key=max_lines', 'unset&key=max_lines', 'rollback&key=1b2c3d0', 'log', 'unlog'];
for (const theme of ['light', 'dark']) {
  test(`no serious accessibility violation in values, history and dialogs in the ${theme} theme`, async () => {
    await changed();
    for (const query of [ORDER, ...DIALOGS.map((kind) => `${ORDER}&do=${kind}`), `${PATH}?brick=payment`]) {
      await visit(query, async (page) => {
        await page.getByRole('heading', { name: 'What was changed' }).waitFor();
        if (query.includes('do=')) await dialog(page).waitFor();
        else if (query === ORDER) await page.locator('.compare tbody tr').first().waitFor();
        assert.deepEqual(await audit(page), [], query);
      }, { theme });
    }
  });
}

test('the screen and its dialogs fit a telephone', async () => {
  await changed();
  for (const query of [ORDER, ...DIALOGS.map((kind) => `${ORDER}&do=${kind}`)]) {
    await visit(query, async (page) => {
      await values(page).first().waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, query);
      if (query !== ORDER) assert.ok(await dialog(page).evaluate((element) => element.scrollWidth <= element.clientWidth), `${query} is wider than the screen`);
    }, { width: 360, height: 740 });
  }
});

test('values are what they look like, unless text is there, and foreign answers break nothing', () => {
  for (const raw of [null, {}, { values: 3, origins: 'x', secrets: {} }, { items: [{}, { diff: 5, refused: {} }] }]) assert.ok(Array.isArray(rowsOf(raw)) && Array.isArray(changesOf(raw)) && Array.isArray(wordsOf([], raw)));
  assert.deepEqual([typed(1, '20'), typed('a', '20'), typed(undefined, '[1]'), typed(true, 'yes')], [20, '20', [1], 'yes']);
  assert.deepEqual([kindOf(1), kindOf('a'), kindOf([]), kindOf({}), kindOf(false), kindOf(undefined)], ['a number', 'text', 'a list', 'a table', 'true or false', '']);
  assert.equal(setCommand('order', 'greeting', 'good day', false), "brick config set 'order.greeting=good day'");
  assert.equal(reportOf({ revision: 3 }), 'It has these values already; nothing was changed.');
  assert.deepEqual(rowsOf({ values: { a: { b: 1 }, c: {} }, origins: { 'a.b': 'live' }, secrets: ['c'] }), [{ key: 'a.b', value: 1, origin: 'live', secret: false }, { key: 'c', value: '•••', origin: '', secret: true }]);
});
