// The Flags screen in a real browser, on the mock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audit } from './lib/axe.mjs';
import { NASTY } from './lib/data.mjs';
import { mock, visit } from './lib/console.mjs';
import { bodyOf, flagCommand, flagsOf, givesText, variantText, wishOf } from '../../console/app/flags/model.js';

const PATH = '/console/flags';
const EXPRESS = `${PATH}?select=express_checkout`;

const dialog = (page) => page.getByRole('dialog');
const command = (page) => dialog(page).locator('.command code');
const row = (page, key) => page.locator('.flag-sheet tbody tr').filter({ has: page.locator('th code', { hasText: new RegExp(`^${key}$`) }) });
const asked = () => mock.world.control.asked.filter(([, path]) => path.startsWith('flags'));

test('each flag stands there with who gets what, who sees it and where that is said', () =>
  visit(PATH, async (page) => {
    await page.getByText('4 flags').waitFor();
    assert.match(await row(page, 'express_checkout').innerText(), /everybody: off[\s\S]*storefront\s*manifest/);
    assert.match(await row(page, 'new_search').innerText(), /on 10 %, off 90 %[\s\S]*every brick\s*repository flags\.json@a1b2c3d/);
    assert.match(await row(page, 'button_colour').innerText(), /by rules, else calm \(#1d4ed8\)/);
    assert.match(await row(page, 'old_cart').innerText(), /switched off: what the code says counts/);
    await row(page, 'button_colour').getByText('2 variants and rules').click();
    await row(page, 'button_colour').getByText('"ends_with"').waitFor();
    await row(page, 'button_colour').getByRole('link', { name: 'product' }).click();
    await page.waitForURL(/config\?brick=product/);
  }));

test('a flag is set for everybody, then for a share, and taken back, each with its reason and command', async () => {
  await visit(EXPRESS, async (page) => {
    await row(page, 'express_checkout').getByRole('button', { name: 'Set… express_checkout' }).click();
    assert.equal(await dialog(page).getByRole('button', { name: 'Set', exact: true }).isDisabled(), true, 'it is so already');
    await dialog(page).getByLabel('Variant').selectOption('on');
    await dialog(page).getByLabel('Why').fill('it sells');
    assert.equal(await command(page).innerText(), "$ brick flag set express_checkout on --why 'it sells'");
    await dialog(page).getByRole('button', { name: 'Set', exact: true }).click();
    await row(page, 'express_checkout').getByText('everybody: on').waitFor();
    assert.match(await row(page, 'express_checkout').innerText(), /live\s*else manifest: everybody: off/);
    await row(page, 'express_checkout').getByRole('button', { name: /^Set…/ }).click();
    await dialog(page).getByLabel('Who gets what').selectOption('shares');
    await dialog(page).getByLabel('Share of on in percent').fill('25');
    await dialog(page).getByText('Together it is 25 %, expected 100 %.').waitFor();
    assert.equal(await dialog(page).getByRole('button', { name: 'Set', exact: true }).isDisabled(), true);
    await dialog(page).getByLabel('Share of off in percent').fill('75');
    assert.equal(await command(page).innerText(), '$ brick flag set express_checkout on=25 off=75');
    await dialog(page).getByRole('button', { name: 'Set', exact: true }).click();
    await row(page, 'express_checkout').getByText('on 25 %, off 75 %').waitFor();
    await row(page, 'express_checkout').getByRole('button', { name: /^Take back…/ }).click();
    await dialog(page).getByText('Then it is what manifest says: everybody: off.').waitFor();
    assert.equal(await command(page).innerText(), '$ brick flag reset express_checkout');
    await dialog(page).getByRole('button', { name: 'Take back', exact: true }).click();
    await row(page, 'express_checkout').getByText('everybody: off').first().waitFor();
    await row(page, 'express_checkout').getByRole('link', { name: /^Audit/ }).click();
    await page.getByRole('option', { name: /flags\.set flags\/express_checkout[\s\S]*it sells/ }).waitFor();
  });
  assert.deepEqual(asked(), [
    ['PUT', 'flags/v1/express_checkout', { state: 'ENABLED', defaultVariant: 'on' }, 'it sells'],
    ['PUT', 'flags/v1/express_checkout', { state: 'ENABLED', shares: { on: 25, off: 75 } }],
    ['DELETE', 'flags/v1/express_checkout'],
  ]);
});

test('rules are written, what they get wrong is said, and a flag is switched off', async () => {
  await visit(`${PATH}?select=new_search&do=set`, async (page) => {
    await dialog(page).getByLabel('Who gets what').selectOption('rules');
    await dialog(page).getByRole('textbox', { name: 'Rules' }).fill('{"fly": [');
    await dialog(page).getByText('Not yet a JSON object.').waitFor();
    await dialog(page).getByRole('textbox', { name: 'Rules' }).fill('{"fly": [1]}');
    await dialog(page).getByRole('button', { name: 'Set', exact: true }).click();
    await dialog(page).getByRole('alert').getByText('targeting: there is no operator "fly"').waitFor();
    await dialog(page).getByRole('textbox', { name: 'Rules' }).fill('{"if": [{"==": [{"var": "tenant"}, "acme"]}, "on", "off"]}');
    await dialog(page).getByRole('button', { name: 'Try again' }).click();
    await row(page, 'new_search').getByText('by rules, else off').first().waitFor();
    await page.keyboard.press('e');
    await dialog(page).getByLabel('Switched on').uncheck();
    await dialog(page).getByText('each brick goes on with what its code says').waitFor();
    await dialog(page).getByRole('button', { name: 'Set', exact: true }).click();
    await row(page, 'new_search').getByText('switched off').first().waitFor();
  }, { quiet: /422/ });
  assert.deepEqual(asked().map(([, , body]) => body).slice(1), [{ state: 'ENABLED', targeting: { if: [{ '==': [{ var: 'tenant' }, 'acme'] }, 'on', 'off'] } }, { state: 'DISABLED' }]);
});

test('what somebody else sets meanwhile is shown first', () =>
  visit(`${EXPRESS}&do=set`, async (page) => {
    await dialog(page).getByLabel('Variant').selectOption('on');
    mock.world.control.flags.live.set('express_checkout', { state: 'DISABLED', variants: { on: true, off: false }, defaultVariant: 'off' });
    await dialog(page).getByRole('alert').getByText('Now: switched off').waitFor();
    await dialog(page).getByRole('button', { name: 'Go on from that' }).click();
    assert.equal(await dialog(page).getByLabel('Switched on').isChecked(), false);
  }));

test('without flags, without control, and with a repository that is broken, the screen says what to do', async () => {
  mock.reset({ idle: true });
  await visit(PATH, (page) => page.getByText('No flag is declared').waitFor());
  mock.reset();
  mock.world.control.flags.problem = 'flags.json: expected a value at line 3';
  await visit(PATH, (page) => page.getByRole('alert').getByText('flags.json: expected a value at line 3').waitFor());
  mock.world.control.away = true;
  await visit(PATH, (page) => page.getByRole('alert').getByText('control does not answer').waitFor(), { quiet: /503/ });
});

test('hostile flags are text', async () => {
  mock.reset({ nasty: true });
  await visit(PATH, async (page) => {
    await page.locator('.flag-sheet th', { hasText: NASTY }).waitFor();
    await row(page, 'button_colour').getByText('2 variants and rules').click();
    await row(page, 'button_colour').getByText(NASTY.slice(0, 20)).first().waitFor();
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.locator('main img, main script').count(), 0);
  });
});

const SETS = ['', '?select=express_checkout&do=set', '?select=new_search&do=set', '?select=button_colour&do=set', '?select=express_checkout&do=reset'];
const live = () => mock.world.control.flags.live.set('express_checkout', { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'on' });
for (const theme of ['light', 'dark']) {
  test(`no serious accessibility violation in flags and dialogs in the ${theme} theme`, async () => {
    live();
    for (const query of SETS) {
      await visit(PATH + query, async (page) => {
        await row(page, 'old_cart').waitFor();
        if (query) await dialog(page).waitFor();
        else await row(page, 'button_colour').getByText('2 variants and rules').click();
        assert.deepEqual(await audit(page), [], query);
      }, { theme });
    }
  });
}

test('the screen and its dialogs fit a telephone', async () => {
  live();
  for (const query of SETS) {
    await visit(PATH + query, async (page) => {
      await row(page, 'old_cart').waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, query);
      if (query) assert.ok(await dialog(page).evaluate((element) => element.scrollWidth <= element.clientWidth), `${query} is wider than the screen`);
    }, { width: 360, height: 740 });
  }
});

test('a wish is asked for only where it is whole, and foreign answers break nothing', () => {
  for (const raw of [null, {}, { items: 7 }, { items: [{}, null, { key: 1, variants: [], shares: 'x', targeting: 3, bricks: {}, below: 7 }] }]) for (const one of flagsOf(raw)) assert.equal(typeof givesText(one), 'string');
  const [flag] = flagsOf({ items: [{ key: 'a b', state: 'ENABLED', variants: { on: true, off: false, some: [1] }, defaultVariant: 'off', tag: 't' }] });
  const wish = wishOf(flag);
  assert.deepEqual(wish, { enabled: true, how: 'one', variant: 'off', shares: { on: 0, off: 100, some: 0 }, rules: '' });
  assert.deepEqual([variantText(flag, 'on'), variantText(flag, 'some'), variantText(flag, 'gone')], ['on', 'some ([1])', 'gone']);
  const check = (change, body, text) => assert.deepEqual([bodyOf({ ...wish, ...change }), flagCommand(flag, { ...wish, ...change })], [body, text]);
  check({}, { state: 'ENABLED', defaultVariant: 'off' }, "brick flag set 'a b' off");
  check({ how: 'shares' }, { state: 'ENABLED', shares: wish.shares }, "brick flag set 'a b' on=0 off=100 some=0");
  check({ enabled: false }, { state: 'DISABLED' }, "brick flag set 'a b' --disable");
  assert.equal(flagCommand({ ...flag, enabled: false }, wish), "brick flag set 'a b' off --enable");
  assert.equal(bodyOf({ ...wish, how: 'shares', shares: { on: 50, off: 49 } }), null);
  assert.equal(bodyOf({ ...wish, how: 'rules', rules: '[1]' }), null);
  assert.deepEqual(bodyOf({ ...wish, how: 'rules', rules: '{"var":"x"}' }), { state: 'ENABLED', targeting: { var: 'x' } });
});
