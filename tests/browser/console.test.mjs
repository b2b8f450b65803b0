// Both screens in a real browser, on the mock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audit } from './lib/axe.mjs';
import { held, open } from './lib/browser.mjs';
import { NASTY, PURCHASE } from './lib/data.mjs';
import { browser, mock, visit } from './lib/console.mjs';
import { SLOW } from './lib/mock.mjs';

const TRACE = `/console/traces/${PURCHASE}`;

const chosen = (page) => page.locator('.row.chosen .what').innerText();

test('the overview shows system, figures, map, metrics and the table that tells the same', () =>
  visit('/', async (page) => {
    await page.getByRole('button', { name: /^order: 2\/2 up/ }).waitFor();
    assert.equal(await page.locator('h1').innerText(), 'shop');
    assert.match(await page.locator('.tile').last().innerText(), /10 \/ 10/);
    assert.equal(await page.locator('.map .node').count(), 9);
    const rows = await page.locator('.calls tbody tr').count();
    assert.equal(rows, await page.locator('.map .edge[role=button]').count());
    await page.getByRole('heading', { name: 'Orders placed' }).waitFor();
    assert.equal(await page.getByText('resident memory').count(), 0, 'technical metrics are not business metrics');
    await page.locator('.line[data-state=live]').waitFor();
  }));

test('choosing a brick shows its instances and leads to its traces, and back leads back', () =>
  visit('/', async (page) => {
    await page.getByRole('button', { name: /^payment: / }).focus();
    await page.keyboard.press('Enter');
    const panel = page.getByRole('complementary', { name: 'Selection' });
    assert.match(await panel.innerText(), /payment\/1/);
    assert.match(page.url(), /select=brick%3Apayment/);
    await panel.getByRole('link', { name: 'Failed' }).click();
    await page.getByRole('heading', { name: 'Traces', level: 1 }).waitFor();
    assert.match(page.url(), /service=payment&errors=1/);
    assert.equal(await page.getByLabel('Service').inputValue(), 'payment');
    await page.locator('.facet-value.on', { hasText: 'error' }).waitFor();
    await page.goBack();
    await panel.waitFor();
  }));

test('the table sorts by any column and says so', () =>
  visit('/', async (page) => {
    await page.getByRole('button', { name: 'Errors', exact: true }).click();
    const first = page.locator('.calls tbody tr').first();
    assert.match(await first.innerText(), /order[\s\S]*payment/);
    assert.equal(await page.locator('th[aria-sort=descending]').innerText(), 'Errors↓');
    await page.getByRole('button', { name: 'Caller' }).click();
    assert.match(page.url(), /sort=from&dir=asc/);
  }));

test('an instance that is down is on the map and among the problems', async () => {
  mock.world.down = ['payment/1'];
  await visit('/', async (page) => {
    await page.getByRole('button', { name: 'payment is down' }).waitFor();
    await page.getByRole('button', { name: /^payment: 0\/1 up/ }).waitFor();
  });
});

test('an idle system says how to make traffic', async () => {
  mock.world.idle = true;
  await visit('/', (page) => page.getByText('brick load checkout --rps 50 --for 30s').waitFor());
  await visit('/console/traces', (page) => page.getByText('No trace yet').waitFor());
});

test('a line that breaks comes back by itself and says so', () =>
  visit('/', async (page) => {
    await page.locator('.line[data-state=live]').waitFor();
    // It must not be back before anybody could see that it was gone.
    const back = await held(page, '**/api/console/v1/session');
    mock.dropTabs();
    await page.locator('.line[data-state=reconnecting]').waitFor();
    back();
    await page.locator('.line[data-state=live]').waitFor();
  }));

test('who is signed out is told how to get in', async () => {
  mock.world.signedIn = false;
  const page = await open(browser, `${mock.url}/`);
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  await page.getByRole('button', { name: 'Copy brick open' }).waitFor();
  await page.context().close();
});

test('search writes the URL, the URL fills the form, and a trace id leads to its trace', () =>
  visit('/console/traces?operation=checkout&min=50', async (page) => {
    assert.equal(await page.getByLabel('Operation').inputValue(), 'checkout');
    await page.locator('.result').first().waitFor();
    for (const text of await page.locator('.result .operation').allInnerTexts()) assert.match(text, /checkout/);
    await page.getByLabel('Operation').fill('signin');
    await page.getByLabel('Longer than').fill('');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.waitForURL(/\?operation=signin$/);
    await page.locator('.result', { hasText: 'POST /signin' }).first().waitFor();
    await page.getByLabel('Trace id').fill(PURCHASE);
    await page.keyboard.press('Enter');
    await page.waitForURL(new RegExp(PURCHASE));
    await page.goBack();
    await page.waitForFunction(() => /** @type {HTMLInputElement | null} */ (document.querySelector('[name=operation]'))?.value === 'signin');
  }));

test('more traces are loaded page by page', () =>
  visit('/console/traces', async (page) => {
    await page.locator('#found-title', { hasText: '50 traces' }).waitFor();
    await page.getByRole('button', { name: 'Load more' }).click();
    await page.locator('#found-title', { hasText: '60 traces' }).waitFor();
  }));

test('a trace shows what it was, its spans over seven services, and its logs in their place', () =>
  visit(TRACE, async (page) => {
    await page.getByRole('treegrid').waitFor();
    const head = await page.locator('.trace-head').innerText();
    for (const expected of ['POST /checkout', PURCHASE, '96 ms', 'gateway', 'shipping']) assert.ok(head.includes(expected), expected);
    const rows = await page.locator('.row .what').allInnerTexts();
    const payment = rows.findIndex((text) => text.includes('POST /api/payments'));
    assert.match(rows[payment + 1], /provider is slow/);
    await page.getByRole('button', { name: /^Logs/ }).click();
    await page.getByText('order placed').waitFor();
    assert.match(page.url(), /view=logs/);
    assert.equal(await page.locator('.line-row').count(), 7);
  }));

test('the waterfall is moved through by keyboard', () =>
  visit(TRACE, async (page) => {
    await page.getByRole('treegrid').focus();
    await page.keyboard.press('ArrowDown');
    assert.match(await chosen(page), /gateway/);
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    assert.match(await chosen(page), /storefront[\s\S]*POST \/checkout/);
    await page.keyboard.press('ArrowLeft');
    // What is left: two spans above, the folded one, and the folded one's own log line.
    assert.equal(await page.locator('.row').count(), 4);
    assert.match(page.url(), /fold=/);
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    const detail = page.getByRole('complementary', { name: 'Span' });
    await detail.getByText('http.route').waitFor();
    await page.keyboard.press('Escape');
    await detail.waitFor({ state: 'detached' });
    await page.keyboard.press('End');
    assert.match(await chosen(page), /INSERT orders/);
    await page.reload();
    await page.locator('.row.chosen', { hasText: 'INSERT orders' }).waitFor();
  }));

test('eighty thousand spans keep the document small', async () => {
  mock.world.spans = 80_000;
  await visit(`/console/traces/${'f'.repeat(32)}`, async (page) => {
    const grid = page.getByRole('treegrid');
    await grid.waitFor();
    await page.waitForFunction(() => document.querySelector('[role=treegrid]')?.getAttribute('aria-rowcount') === '80000');
    assert.ok((await page.locator('.row').count()) < 90);
    await grid.focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('End');
    await page.getByText('step 79999', { exact: true }).first().waitFor();
    assert.ok((await page.locator('.row').count()) < 90);
  });
});

test('a trace that is not there says why and can be looked for again', () =>
  visitNoisy(`/console/traces/${'0'.repeat(32)}`, async (page) => {
    await page.getByRole('heading', { name: 'Trace not found' }).waitFor();
    await page.getByRole('button', { name: 'Look again' }).click();
    await page.getByRole('heading', { name: 'Trace not found' }).waitFor();
  }));

/** As `visit`, where the browser itself reports an answer that is no success. */
async function visitNoisy(path, steps) {
  const page = await open(browser, mock.url + path);
  await steps(page);
  assert.deepEqual(page.foreign, []);
  await page.context().close();
}

test('hostile text from telemetry is text', async () => {
  mock.world.nasty = true;
  const harmless = async (page, where) => {
    await page.locator(where).filter({ hasText: NASTY }).first().waitFor();
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.locator('main img, main script').count(), 0);
  };
  await visit('/console/traces', (page) => harmless(page, '.result'));
  await visit(`${TRACE}?span=0000abc00000000d`, async (page) => {
    await harmless(page, '.row .what');
    await harmless(page, '.detail');
  });
  await visit(`${TRACE}?view=logs`, (page) => harmless(page, '.line-row'));
});

test('the theme follows the system until it is chosen, and the choice stays', () =>
  visit('/', async (page) => {
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    const button = page.getByRole('button', { name: /^Theme/ });
    await button.click();
    await button.click();
    assert.notEqual(await background(), light);
    await page.reload();
    assert.notEqual(await background(), light);
  }));

for (const theme of ['light', 'dark']) {
  test(`no screen has a serious accessibility violation in the ${theme} theme`, async () => {
    for (const path of ['/?select=brick:order', '/?group=zone', '/?focus=order', '/console/traces', `${TRACE}?span=0000abc00000000d`, `${TRACE}?view=logs`, `${TRACE}?compare=${SLOW}`, '/console/logs?q=payment', '/console/logs?context=900013&at=900013']) {
      await visit(path, async (page) => {
        await page.locator('.map .node, .result, .row, .log-row').first().waitFor();
        await page.getByText('shop', { exact: true }).first().waitFor();
        const found = await audit(page);
        assert.deepEqual(found, [], path);
      }, { theme });
    }
  });
}

test('every screen fits a telephone', async () => {
  for (const path of ['/', '/?focus=order', '/console/traces', `${TRACE}?span=0000abc00000000d`, `${TRACE}?compare=${SLOW}`, '/console/logs', '/console/logs?context=900013']) {
    await visit(path, async (page) => {
      await page.locator('.map .node, .result, .row, .log-row').first().waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, path);
    }, { width: 360, height: 740 });
  }
});
