// The Breakers screen in a real browser, on the mock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audit } from './lib/axe.mjs';
import { NASTY, WEIRD } from './lib/data.mjs';
import { mock, visit } from './lib/console.mjs';
import { scroll } from './lib/frames.mjs';
import { visible } from '../../console/app/visible.js';
import { edgesOf, patched, shownOf } from '../../console/app/breakers/model.js';

const PATH = '/console/breakers';
const PAYMENT = `${PATH}?select=${encodeURIComponent('order->payment')}`;

const cells = (page) => page.locator('.edge-cell');
const cell = (page, name) => cells(page).filter({ has: page.locator('.edge-name', { hasText: name }) });
const panel = (page) => page.getByRole('complementary');
const dialog = (page) => page.getByRole('dialog');

test('every edge is a cell with its state in a word and its figures, those without calls too, the worst first', () =>
  visit(PATH, async (page) => {
    await page.getByText('13 edges, 1 open, 1 half open').waitFor();
    const first = await cells(page).first().innerText();
    assert.match(first, /order[\s\S]*payment[\s\S]*Open[\s\S]*\/s[\s\S]*7\d %[\s\S]*5\.2 ms[\s\S]*88 ms[\s\S]*121[\s\S]*\/2,048/);
    assert.match(await cells(page).nth(1).innerText(), /storefront[\s\S]*order[\s\S]*Half open/);
    assert.match(await cell(page, 'gateway → storefront').innerText(), /Closed[\s\S]*52\.\d\/s/);
    assert.match(await cells(page).last().innerText(), /No calls yet/);
    await page.getByRole('button', { name: 'Open 1', exact: true }).click();
    await page.waitForFunction(() => document.querySelectorAll('.edge-cell').length === 1);
    await page.getByRole('button', { name: /^All/ }).click();
    await page.getByRole('searchbox').fill('order->');
    await page.waitForFunction(() => document.querySelectorAll('.edge-cell').length > 3);
    await page.getByRole('searchbox').fill('nothing of that name');
    await page.getByRole('button', { name: 'Clear the filter' }).click();
    await page.getByLabel('Order').selectOption('name');
    assert.match(page.url(), /sort=name/);
  }));

test('cells are moved through by keyboard, and keys hold the chosen one', () =>
  visit(PATH, async (page) => {
    await cells(page).first().waitFor();
    await page.getByRole('listbox').focus();
    await page.keyboard.press('ArrowDown');
    await panel(page).getByRole('heading', { name: 'order → payment' }).waitFor();
    assert.equal(await page.getByRole('listbox').getAttribute('aria-activedescendant'), 'edge-order->payment');
    await page.keyboard.press('ArrowRight');
    await panel(page).getByRole('heading', { name: 'storefront → order' }).waitFor();
    await page.keyboard.press('o');
    await dialog(page).getByText('fails at once with 503').waitFor();
    await page.keyboard.press('Escape');
    await dialog(page).waitFor({ state: 'detached' });
    await page.keyboard.press('Escape');
    await panel(page).waitFor({ state: 'detached' });
  }));

test('an edge shows each caller by itself, the limits in force and the faults that are on', () =>
  visit(PAYMENT, async (page) => {
    await panel(page).getByText('20 %: 300 ms later; ends in 4 min').waitFor();
    await panel(page).getByText('opens from 50 % errors on').waitFor();
    const rows = await panel(page).locator('.callers tbody tr').allInnerTexts();
    assert.equal(rows.length, 2);
    assert.match(rows[0], /order\/1[\s\S]*Open/);
    assert.match(rows[1], /order\/2[\s\S]*Closed/);
    await panel(page).getByRole('link', { name: 'Failed' }).click();
    await page.waitForURL(/traces\?service=payment&errors=1/);
  }));

test('a breaker is held open, closed and let go, each with what it means and the command', async () => {
  mock.world.edges.overrides.set('order->payment', { timeout_ms: 900 });
  await visit(PAYMENT, async (page) => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await panel(page).getByRole('button', { name: 'Hold open…' }).click();
    await dialog(page).getByText('No call of order reaches payment any more').waitFor();
    await dialog(page).getByRole('button', { name: /^Copy/ }).click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'brick breaker open "order->payment"');
    await dialog(page).getByRole('button', { name: 'Hold open', exact: true }).click();
    await page.getByText('order → payment: held open.').waitFor();
    await cell(page, 'order → payment').getByText('Held open').waitFor();
    await panel(page).getByRole('button', { name: 'Hold closed…' }).click();
    await dialog(page).getByText('however many of them fail').waitFor();
    await dialog(page).getByRole('button', { name: 'Hold closed', exact: true }).click();
    await cell(page, 'order → payment').getByText('Held closed').waitFor();
    await panel(page).getByRole('button', { name: 'Automatic…' }).click();
    await dialog(page).getByRole('button', { name: 'Back to automatic' }).click();
    await cell(page, 'order → payment').getByText('Open', { exact: true }).waitFor();
  });
  const edge = 'order->payment';
  assert.deepEqual(mock.world.edges.asked, [
    ['PUT', edge, { timeout_ms: 900, breaker: { forced: 'open' } }],
    ['PUT', edge, { timeout_ms: 900, breaker: { forced: 'closed' } }],
    ['PUT', edge, { timeout_ms: 900 }],
  ]);
});

test('what another operator changes at the same moment is kept, too', async () => {
  mock.world.edges.meanwhile = { timeout_ms: 700 };
  await visit(`${PAYMENT}&do=open`, async (page) => {
    await dialog(page).getByRole('button', { name: 'Hold open', exact: true }).click();
    await cell(page, 'order → payment').getByText('Held open').waitFor();
  }, { quiet: /412/ });
  assert.deepEqual(mock.world.edges.asked.map(([method, , body]) => [method, body]), [
    ['PUT', { breaker: { forced: 'open' } }],
    ['PUT', { timeout_ms: 700, breaker: { forced: 'open' } }],
  ]);
});

test('a refusal stays in the dialog with its reason, and is tried again', () =>
  visit(`${PAYMENT}&do=open`, async (page) => {
    mock.world.edges.refuse = [503, { title: 'Service Unavailable', status: 503, code: 'store_failed', detail: 'the change could not be stored and was not made; the log says why' }];
    await dialog(page).getByRole('button', { name: 'Hold open', exact: true }).click();
    await dialog(page).getByRole('alert').getByText('could not be stored').waitFor();
    mock.world.edges.refuse = null;
    await dialog(page).getByRole('button', { name: 'Try again' }).click();
    await cell(page, 'order → payment').getByText('Held open').waitFor();
  }, { quiet: /503/ }));

test('three hundred edges scroll while few of them are in the page', async () => {
  mock.reset({ many: true });
  await visit(`${PATH}?sort=name`, async (page) => {
    await page.getByText(/^[34]\d\d edges/).waitFor();
    assert.ok((await cells(page).count()) < 100);
    await scroll(page, '.edge-grid', 120, Infinity);
    assert.ok((await cells(page).count()) < 100);
  });
});

test('hostile names and faults are text', async () => {
  mock.reset({ nasty: true });
  await visit(`${PATH}?select=${encodeURIComponent(`order->${WEIRD}`)}`, async (page) => {
    await panel(page).getByText(NASTY).waitFor();
    assert.ok((await page.locator('.edge-name').allTextContents()).some((text) => text.includes(visible(WEIRD))));
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.locator('main img, main script').count(), 0);
  });
});

for (const theme of ['light', 'dark']) {
  test(`no serious accessibility violation in cells, panel and dialogs in the ${theme} theme`, async () => {
    for (const query of [PATH, PAYMENT, `${PAYMENT}&do=open`, `${PAYMENT}&do=close`, `${PATH}?q=nothing`]) {
      await visit(query, async (page) => {
        await page.getByText('13 edges', { exact: false }).waitFor();
        if (query !== PATH && !query.includes('q=')) await panel(page).getByText('Limits in force').waitFor();
        assert.deepEqual(await audit(page), [], query);
      }, { theme });
    }
  });
}

test('the cells fit a telephone', async () => {
  for (const query of [PATH, PAYMENT, `${PAYMENT}&do=open`]) {
    await visit(query, async (page) => {
      await cells(page).first().waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, query);
    }, { width: 360, height: 740 });
  }
});

test('foreign answers break nothing, and a patch keeps what else operators want', () => {
  for (const raw of [null, {}, { items: 'x' }, { items: [{}, { caller: 'a', callee: 'b', state: 'odd', calls: 'many', instances: 7 }] }]) assert.ok(Array.isArray(shownOf(edgesOf(raw, raw), { text: 'a', state: '', sort: 'p99' })));
  const check = (held, forced, expected) => assert.deepEqual(patched(held, forced), expected);
  check(null, 'open', { breaker: { forced: 'open' } });
  check({ timeout_ms: 5, breaker: { min_calls: 3, forced: 'open' } }, 'closed', { timeout_ms: 5, breaker: { min_calls: 3, forced: 'closed' } });
  check({ breaker: { min_calls: 3, forced: 'open' } }, '', { breaker: { min_calls: 3 } });
  check({ breaker: { forced: 'open' } }, '', null);
  check({ breaker: false }, '', { breaker: false });
});
