// The Audit screen in a real browser, on the mock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audit } from './lib/axe.mjs';
import { NASTY } from './lib/data.mjs';
import { mock, visit } from './lib/console.mjs';
import { scroll } from './lib/frames.mjs';
import { auditCommand, differencesOf, entriesOf, gist, placeOf } from '../../console/app/audit/model.js';

const PATH = '/console/audit';

const entries = (page) => page.getByRole('option').and(page.locator('.audit-row'));
const panel = (page) => page.getByRole('complementary');
const shown = (page, n) => page.waitForFunction((wanted) => document.querySelectorAll('.audit-row').length === wanted, n);

test('each entry says when, who, what and why; behind it stand before and after, its trace and its place', () =>
  visit(PATH, async (page) => {
    await page.getByText('12 entries').waitFor();
    assert.match(await entries(page).first().innerText(), /carol\s*pools\.set pools\/payment\s*“the bank is slow” weights\.v2 5 → 10/);
    await entries(page).first().click();
    await panel(page).getByRole('row', { name: 'weights.v2 5 10' }).waitFor();
    await panel(page).getByText('1 other value stayed as it was.').waitFor();
    await panel(page).getByRole('link', { name: 'Trace' }).waitFor();
    assert.match(page.url(), /select=12/);
    await panel(page).getByRole('link', { name: 'Show it' }).click();
    await page.waitForURL(/routes\?select=payment/);
    await page.goBack();
    await panel(page).getByRole('link', { name: 'Trace' }).click();
    await page.waitForURL(/traces\/4bf92f/);
  }));

test('who, action, target, time and any text narrow the list, in the address and in the command', () =>
  visit(PATH, async (page) => {
    await shown(page, 12);
    await page.getByLabel('Who', { exact: true }).fill('carol');
    await page.keyboard.press('Enter');
    await shown(page, 3);
    await page.getByLabel('Who', { exact: true }).fill('');
    await page.getByLabel('Action', { exact: true }).fill('limits');
    await page.keyboard.press('Enter');
    await shown(page, 2);
    await page.getByRole('textbox', { name: 'Target' }).fill('payment');
    await page.getByLabel(/^Since/).selectOption('1h');
    await page.getByRole('searchbox').fill('BANK');
    await page.locator('.command code', { hasText: '$ brick audit --action limits --target payment --text BANK --since 1h' }).waitFor();
    assert.match(page.url(), /action=limits&target=payment&since=1h&q=BANK/);
    await page.getByRole('searchbox').fill('nothing like it');
    await page.getByRole('button', { name: 'Clear the search' }).click();
    await shown(page, 12);
    assert.equal(new URL(page.url()).search, '');
  }));

test('entries are moved through by keyboard, and focus goes back to them', () =>
  visit(PATH, async (page) => {
    await entries(page).first().waitFor();
    await page.getByRole('listbox', { name: 'Entries' }).focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('j');
    await panel(page).getByRole('heading', { name: 'scale order' }).waitFor();
    assert.equal(await page.getByRole('listbox', { name: 'Entries' }).getAttribute('aria-activedescendant'), 'entry-11');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Escape');
    await panel(page).waitFor({ state: 'detached' });
    assert.equal(await page.evaluate(() => document.activeElement?.className), 'audit-rows');
  }));

test('thousands of entries come page by page as they are scrolled to, and few are in the page', async () => {
  mock.reset({ trail: 5_000 });
  await visit(PATH, async (page) => {
    await page.getByText(/entries, more below/).waitFor();
    assert.ok((await entries(page).count()) < 80);
    await scroll(page, '.audit-rows', 60, Infinity);
    await page.getByRole('listbox', { name: 'Entries' }).focus();
    for (let known = 0; known < 1_000;) {
      await page.keyboard.press('End');
      await page.waitForFunction((before) => Number(/[\d,]+/.exec(document.querySelector('.screen-head p')?.textContent ?? '')?.[0].replace(',', '') ?? 0) > before, known);
      known = Number(/[\d,]+/.exec(await page.locator('.screen-head p').innerText())[0].replace(',', ''));
    }
    assert.ok((await entries(page).count()) < 80);
    const ids = await entries(page).evaluateAll((rows) => rows.map((row) => Number(row.id.slice('entry-'.length))));
    assert.ok(ids.every((id, i) => !i || id === ids[i - 1] - 1), 'none is missing, none is twice');
  });
});

test('what is done meanwhile comes on top, and what is read stays in its place', async () => {
  mock.reset({ trail: 300 });
  await visit(PATH, async (page) => {
    await entries(page).first().waitFor();
    mock.world.control.note('scale', 'shipping', { replicas: 1 }, { replicas: 2 });
    await entries(page).first().getByText('shipping').waitFor();
    const list = page.getByRole('listbox', { name: 'Entries' });
    await list.evaluate((element) => (element.scrollTop = 46 * 50));
    const read = page.locator('#entry-250');
    await read.waitFor();
    const before = await read.evaluate((element) => element.getBoundingClientRect().top);
    mock.world.control.note('kill', 'order/1', null, null);
    await page.getByText(/^102 entries/).waitFor();
    assert.equal(await read.evaluate((element) => element.getBoundingClientRect().top), before);
  });
});

test('an empty trail and one that cannot be read say what to do', async () => {
  mock.reset({ trail: 0 });
  await visit(PATH, (page) => page.getByText('Nothing was changed yet.').waitFor());
  mock.world.control.away = true;
  await visit(PATH, async (page) => {
    await page.getByRole('alert').getByText('control does not answer').waitFor();
    mock.world.control.away = false;
    await page.getByText('Nothing was changed yet.').waitFor();
  }, { quiet: /503/ });
});

test('hostile entries are text', async () => {
  mock.reset({ nasty: true });
  await visit(`${PATH}?select=8`, async (page) => {
    await entries(page).filter({ hasText: NASTY }).first().waitFor();
    await panel(page).getByText(NASTY).first().waitFor();
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.locator('main img, main script').count(), 0);
  });
});

for (const theme of ['light', 'dark']) {
  test(`no serious accessibility violation in list, entry and empty list in the ${theme} theme`, async () => {
    for (const query of [PATH, `${PATH}?select=12`, `${PATH}?select=9`, `${PATH}?q=nothing`]) {
      await visit(query, async (page) => {
        if (query.includes('q=')) await page.getByText('Nothing matches').waitFor();
        else await entries(page).first().waitFor();
        assert.deepEqual(await audit(page), [], query);
      }, { theme });
    }
  });
}

test('the list and an entry fit a telephone', async () => {
  for (const query of [PATH, `${PATH}?select=12`]) {
    await visit(query, async (page) => {
      await entries(page).first().waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, query);
    }, { width: 360, height: 740 });
  }
});

test('differences are told key by key, targets lead to their screens, and foreign answers break nothing', () => {
  for (const raw of [null, {}, { items: 4 }, { items: [{}, { before: [1], after: 'x', trace_id: 'no' }] }]) for (const one of entriesOf(raw)) assert.equal(typeof gist(one), 'string');
  assert.deepEqual(differencesOf({ a: 1, b: { c: 2 } }, { b: { c: 3 }, d: 4 }), { items: [{ key: 'a', before: 1 }, { key: 'b.c', before: 2, after: 3 }, { key: 'd', after: 4 }], same: 0 });
  assert.deepEqual(differencesOf(5, 25), { items: [{ key: '', before: 5, after: 25 }], same: 0 });
  assert.deepEqual(differencesOf(null, null), { items: [], same: 0 });
  const places = ['config/order', 'pools/payment', 'canary/payment', 'limits/a->b', 'order/2', 'payment@v2/1', 'clients/reports', 'system', 'flags/express'].map(placeOf);
  assert.deepEqual(places, ['/console/config?brick=order', '/console/routes?select=payment', '/console/routes?select=payment', '/console/breakers?select=a-%3Eb', '/console/bricks?select=order%2F2', '/console/bricks?select=payment%40v2%2F1', '', '', '/console/flags?select=express']);
  assert.equal(auditCommand({ who: '', action: '', target: "it's", since: '', text: '' }), "brick audit --target 'it'\\''s'");
});
