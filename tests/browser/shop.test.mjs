// The whole way in a browser: buy something in the shop, find the purchase in the console.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, screenshot } from './lib/browser.mjs';
import { startShop } from './lib/shop.mjs';

/** What the storefront's pages are found by; the only place that knows. */
const storefront = {
  signInPage: '/signin',
  email: (page) => page.locator('input[name=email]'),
  password: (page) => page.locator('input[name=password]'),
  signIn: (page) => page.getByRole('button', { name: 'Sign in' }),
  addToCart: (page) => page.getByRole('button', { name: /Add .*to cart/i }).first(),
  cartPage: '/cart',
  placeOrder: (page) => page.getByRole('button', { name: 'Place order' }),
  thanks: (page) => page.getByText(/^Status placed, parcel/).first(),
};
/** A customer that the shop's seeder makes. */
const CUSTOMER = { email: process.env.SHOP_EMAIL ?? 'customer1@example.org', password: process.env.SHOP_PASSWORD ?? 'correct horse' };
const CROSSED = ['gateway', 'storefront', 'order', 'customer', 'product', 'payment', 'shipping'];

let shop;
let browser;
before(async () => {
  shop = await startShop();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await shop?.stop();
});

async function buy() {
  const page = await open(browser, shop.edge + storefront.signInPage);
  await storefront.email(page).fill(CUSTOMER.email);
  await storefront.password(page).fill(CUSTOMER.password);
  await storefront.signIn(page).click();
  await storefront.addToCart(page).click();
  await page.goto(shop.edge + storefront.cartPage);
  await storefront.placeOrder(page).click();
  await storefront.thanks(page).waitFor();
  assert.deepEqual(page.foreign, [], 'the shop asks nobody else');
  await page.context().close();
}

/** Looks until the purchase is there with every brick in it: spans are exported in batches. */
async function findPurchase(page) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.locator('section[aria-busy=false]').waitFor();
    for (const row of await page.locator('.result').all()) {
      const text = await row.innerText();
      if (CROSSED.every((name) => text.includes(name))) return row;
    }
    if (Date.now() > deadline) assert.fail(`no trace crosses ${CROSSED.join(', ')}; found:\n${(await page.locator('.result').allInnerTexts()).slice(0, 10).join('\n---\n')}`);
    await page.waitForResponse((answer) => answer.url().includes('/api/console/'), { timeout: 500 }).catch(() => {});
  }
}

test('one purchase in the shop is one trace in the console, through every brick, with its logs', async () => {
  await buy();
  const page = await open(browser, shop.console);
  await page.getByRole('heading', { name: 'shop', level: 1 }).waitFor();
  await page.getByRole('button', { name: /^order: 2\/2 up/ }).waitFor();
  await page.locator('.line[data-state=live]').waitFor();
  await page.locator('.map .figures').first().waitFor();
  await screenshot(page, 'overview');
  await page.getByRole('link', { name: 'Traces', exact: true }).click();
  const row = await findPurchase(page);
  await row.click();
  await page.getByRole('treegrid').waitFor();
  const rows = (await page.locator('.row .what').allInnerTexts()).join('\n');
  for (const name of CROSSED) assert.ok(rows.includes(name), `${name} is missing in\n${rows}`);
  assert.ok((await page.locator('.row.log').count()) > 0, 'the trace shows no log line');
  await screenshot(page, 'trace');
  assert.deepEqual([page.foreign, page.trouble], [[], []]);
  await page.context().close();
});
