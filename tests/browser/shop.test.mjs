// The whole way in a browser: buy something in the shop, find the purchase in the console.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setInterval } from 'node:timers/promises';
import { audit } from './lib/axe.mjs';
import { PATIENCE_MS, launch, open, screenshot } from './lib/browser.mjs';
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
  unfinished: '<td>placing</td>',
  ordersOf: (page) => page.locator('tbody tr'),
  thanks: (page) => page.getByText(/^Status placed, parcel/).first(),
};
/** A customer that the shop's seeder makes. */
const CUSTOMER = { email: process.env.SHOP_EMAIL ?? 'customer1@example.org', password: process.env.SHOP_PASSWORD ?? 'correct horse' };
/** Another, who has bought nothing yet. */
const UNLUCKY = { email: 'customer2@example.org', password: 'correct horse' };
const CROSSED = ['gateway', 'storefront', 'order', 'customer', 'product', 'payment', 'shipping'];

let shop;
let browser;
before(async () => {
  // A machine under load may need longer than the shop's own limit between a payment's stop and its going on.
  shop = await startShop((manifest) => manifest.replace('[limits."order -> payment"]\ntimeout = "2s"', '[limits."order -> payment"]\ntimeout = "20s"'));
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await shop?.stop();
});

/** A page with one thing in the cart, about to be bought. */
async function atTheTill(customer) {
  const page = await open(browser, shop.edge + storefront.signInPage);
  await storefront.email(page).fill(customer.email);
  await storefront.password(page).fill(customer.password);
  await storefront.signIn(page).click();
  // The cart is the page's script's: what is pressed before it runs does nothing.
  await page.waitForURL((url) => url.pathname !== storefront.signInPage);
  await storefront.addToCart(page).click();
  await page.goto(shop.edge + storefront.cartPage);
  return page;
}

async function buy() {
  const page = await atTheTill(CUSTOMER);
  await storefront.placeOrder(page).click();
  await storefront.thanks(page).waitFor();
  assert.deepEqual(page.foreign, [], 'the shop asks nobody else');
  await page.context().close();
}

/** Looks until the purchase is there with every brick in it, in the list and in the facets: spans are exported in batches. */
async function findPurchase(page) {
  const deadline = Date.now() + PATIENCE_MS;
  await page.getByLabel('Operation').fill('POST /checkout');
  for (;;) {
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.locator('section[aria-busy=false]').waitFor();
    // Another search may move the rows: the trace is named by its address.
    const rows = await page.locator('.result').evaluateAll((all) => all.map((one) => ({ href: one.getAttribute('href'), text: one.textContent ?? '' })));
    const found = rows.find(({ text }) => CROSSED.every((name) => text.includes(name)));
    if (found && (await page.getByRole('button', { name: /^payment [0-9]/ }).count())) return page.locator(`.result[href="${found.href}"]`);
    if (Date.now() > deadline) assert.fail(`no trace crosses ${CROSSED.join(', ')}; found:\n${(await page.locator('.result').allInnerTexts()).slice(0, 10).join('\n---\n')}`);
    await page.waitForResponse((answer) => answer.url().includes('/api/console/'), { timeout: 500 }).catch(() => {});
  }
}

/** A picture shows a system at work: purchases by the API, visitors of the pages, for as long as `act` takes. */
async function atWork(act) {
  if (process.env.SCREENSHOTS !== '1') return act();
  let closed = false;
  const visits = (async () => {
    for await (const _ of setInterval(200)) {
      if (closed) return;
      const page = async (path) => (await fetch(shop.edge + path)).text();
      const [product] = /\/products\/[\w-]+/.exec(await page('/')) ?? ['/cart'];
      await page(product);
    }
  })();
  const load = shop.brick('load', 'checkout', '--rps', '20', '--for', '75s');
  await shop.brick('load', 'checkout', '--rps', '5', '--for', '50s');
  try {
    await act();
  } finally {
    closed = true;
    await Promise.all([visits, load]);
  }
}

test('one purchase in the shop is one trace in the console, through every brick, with its logs', () => atWork(async () => {
  await buy();
  const page = await open(browser, shop.console);
  await page.getByRole('heading', { name: 'shop', level: 1 }).waitFor();
  await page.getByRole('button', { name: /^order: 2\/2 up/ }).waitFor();
  await page.locator('.line[data-state=live]').waitFor();
  await page.locator('.map .figures').first().waitFor();
  await screenshot(page, 'overview');
  await page.getByRole('link', { name: 'Traces', exact: true }).click();
  await page.locator('.heatmap rect').first().waitFor();
  await page.locator('.result').first().waitFor();
  await screenshot(page, 'traces');
  const row = await findPurchase(page);
  await row.click();
  await page.getByRole('treegrid').waitFor();
  // Of a long trace only the rows in view are in the page; the shares are of every brick.
  for (const name of CROSSED) await page.locator('.shares li', { hasText: name }).first().waitFor();
  await page.locator('.row.log').first().waitFor();
  await page.locator('.critical').first().waitFor();
  assert.match(await page.locator('.shares').innerText(), /order\s*[0-9.]+ %/);
  await screenshot(page, 'trace');
  assert.deepEqual([page.foreign, page.trouble], [[], []]);
  await page.context().close();
}));

test('the log lines of the shop are searched, read around, and followed to their trace, against the real telemetry', () => atWork(async () => {
  await buy();
  const { url } = await shop.brick('open', 'logs', '--print');
  const page = await open(browser, url);
  await page.locator('.log-bar .line', { hasText: 'Live' }).waitFor();
  await page.getByRole('button', { name: /^recommendation [0-9]/ }).waitFor();
  await screenshot(page, 'logs');
  await page.getByRole('button', { name: /^order [0-9]/ }).click();
  await page.waitForURL(/brick=order/);
  await page.waitForFunction(() => {
    const all = [...document.querySelectorAll('.log-row .who')];
    return all.length > 0 && all.every((who) => who.textContent?.startsWith('order/'));
  });
  await page.getByRole('button', { name: /^payment [0-9]/ }).waitFor();
  await page.getByPlaceholder('Search messages').fill('placed');
  await page.waitForURL(/q=placed/);
  // The line that the order brick wrote, not one in which a statement holds the word.
  const line = page.locator('.log-row:has(.traced)', { hasText: /placed.*total_cents=/ });
  await line.locator('mark', { hasText: 'placed' }).first().waitFor();
  await line.last().click();
  const detail = page.getByRole('complementary', { name: 'Log line' });
  await detail.getByRole('button', { name: /^Context/ }).click();
  await page.locator('.log-row.centre', { hasText: 'placed' }).waitFor();
  await page.goBack();
  await page.waitForURL((url) => !url.searchParams.has('context'));
  await page.locator('.log-row.chosen', { hasText: 'placed' }).waitFor();
  await detail.getByRole('link', { name: /^Trace t/ }).click();
  await page.getByRole('treegrid').waitFor();
  await page.locator('.row.chosen').waitFor();
  assert.deepEqual([page.foreign, page.trouble], [[], []]);
  await page.context().close();
}));

test('every instance has the figures of the last minute, as its brick has, also when the load was short', () => atWork(async () => {
  await shop.brick('load', 'checkout', '--rps', '10', '--for', '8s').catch((error) => JSON.parse(error.stdout));
  const { url } = await shop.brick('open', 'bricks', '--print');
  const page = await open(browser, url);
  for (const name of ['order', 'order/1', 'order/2', 'payment/1', 'storefront/1']) {
    await page.waitForFunction((wanted) => {
      const row = [...document.querySelectorAll('.brick-row')].find((one) => one.querySelector('.name')?.textContent === wanted);
      return /^[0-9.]+\/s$/.test(row?.querySelector('.c-rate')?.textContent ?? '') && row?.querySelector('.c-rate')?.textContent !== '0/s';
    }, name);
  }
  await page.locator('.brick-row', { hasText: 'order/1' }).click();
  const panel = page.getByRole('complementary', { name: 'order/1' });
  await panel.locator('.figures-list').getByText('/s').waitFor();
  await panel.locator('.last-lines li').first().waitFor();
  await panel.locator('.findings').first().waitFor();
  await screenshot(page, 'bricks');
  await page.keyboard.press('Control+k');
  await page.keyboard.type('order');
  await page.getByRole('option', { name: /order\/1/ }).first().waitFor();
  await screenshot(page, 'palette');
  await page.keyboard.press('Escape');
  await page.keyboard.press('s');
  await page.getByRole('dialog').getByRole('button', { name: 'One more' }).click();
  await page.getByRole('dialog').getByText('Starts 1 more instance').waitFor();
  await screenshot(page, 'scale');
  assert.deepEqual([page.foreign, page.trouble], [[], []]);
  await page.context().close();
}));

test('in the console a brick is scaled, rolled, and one of its instances killed, and each is seen to happen', async () => {
  const { url } = await shop.brick('open', 'bricks', '--print');
  const page = await open(browser, url);
  const row = (name) => page.locator('.brick-row').filter({ has: page.locator('.name', { hasText: new RegExp(`^${name}$`) }) });
  const dialog = page.getByRole('dialog');
  const pid = async (name) => (await row(name).locator('.c-pid').textContent()) ?? '';
  const act = async (button, outcome) => {
    await dialog.getByRole('button', { name: button, exact: true }).click();
    await dialog.getByText(outcome).waitFor({ timeout: 60_000 });
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
  };
  await row('order/2').getByText('ready').waitFor();
  const before = await pid('order/1');
  assert.match(before, /^\d+$/);

  await row('order/1').click();
  const panel = page.getByRole('complementary', { name: 'order/1' });
  await panel.getByText('SDK version').waitFor();
  await panel.locator('.findings', { hasText: 'state' }).waitFor();
  await panel.getByRole('button', { name: 'payment' }).waitFor();
  await panel.locator('.last-lines li').first().waitFor();

  await page.keyboard.press('x');
  await act('Kill', `SIGKILL was sent to order/1 (pid ${before}).`);
  await page.waitForFunction(([old]) => {
    const facts = [...document.querySelectorAll('.facts > div')].map((one) => one.textContent ?? '');
    return facts.some((text) => text === 'Stateready') && facts.some((text) => text.startsWith('PID') && text !== `PID${old}`);
  }, [before]);

  await page.keyboard.press('s');
  await dialog.getByRole('button', { name: 'One more' }).click();
  await act('Scale', 'Done.');
  await row('order/3').getByText('ready').waitFor();

  await page.keyboard.press('s');
  await dialog.getByRole('button', { name: 'One less' }).click();
  await act('Scale', 'Done.');
  await row('order/3').waitFor({ state: 'detached' });

  // The copy that runs here is outside the workspace that builds it: what has a build is rolled without.
  await row('shipping').click();
  await page.keyboard.press('r');
  await dialog.getByLabel('Build first').uncheck();
  await act('Roll', 'Replaced shipping/1.');

  // A version that runs nowhere, and that is back to nowhere afterwards.
  await row('payment@v2').click();
  await page.keyboard.press('s');
  await dialog.getByRole('button', { name: 'One more' }).click();
  await act('Scale', 'Done.');
  await row('payment@v2/1').getByText('ready').waitFor();
  await page.keyboard.press('s');
  await dialog.getByRole('button', { name: 'One less' }).click();
  await act('Scale', 'Done.');
  await row('payment@v2').getByText('no instance').waitFor();
  assert.deepEqual([page.foreign, page.trouble], [[], []]);
  await page.context().close();
});

test('a breaker held open makes checkouts fail fast, with the reason in the console, and let go they work again', async () => {
  await buy();
  const { url } = await shop.brick('open', 'breakers', '--print');
  const page = await open(browser, url);
  const cell = page.locator('.edge-cell').filter({ has: page.locator('.edge-name', { hasText: 'order → payment' }) });
  const panel = page.getByRole('complementary', { name: 'order → payment' });
  await cell.getByText('Closed').waitFor();
  await cell.click();
  await panel.locator('.callers').getByText(/^order\/[12]$/).first().waitFor();
  await panel.getByText('opens from 50 % errors on').waitFor();
  await panel.getByRole('button', { name: 'Hold open…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Hold open', exact: true }).click();
  await cell.getByText('Held open').waitFor();
  // The rules of the edge travel by the bus: as soon as every caller says that it follows, none lets a call pass.
  await page.waitForFunction(() => [...document.querySelectorAll('.callers tbody .breaker-state')].every((one) => one.textContent === 'Held open'));
  const load = shop.brick('load', 'checkout', '--rps', '5', '--for', '8s').catch((error) => JSON.parse(error.stdout));
  // What is rejected is told of the last ten seconds: looked for while there is something.
  await cell.locator('[data-tone=warn]', { hasText: /^Rej\.[1-9]/ }).waitFor();
  const report = await load;
  assert.ok(report.errors > 0, JSON.stringify(report));
  await shop.brick('breaker', 'auto', 'order->payment');
  await cell.getByText('Closed', { exact: true }).waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll('.callers tbody .breaker-state')].every((one) => one.textContent === 'Closed'));
  await buy();
  assert.deepEqual([page.foreign, page.trouble], [[], []]);
  await page.context().close();
});

test('in the console a version gets a share after saying who would move, a value changes while the bricks run, and the audit trail has both', () => atWork(async () => {
  await shop.brick('scale', 'payment@v2=1');
  await buy();
  const { url } = await shop.brick('open', 'routes', '--print');
  const page = await open(browser, url);
  const dialog = page.getByRole('dialog');
  const card = page.getByRole('article', { name: 'payment' });
  await card.locator('.versions tr', { hasText: 'v2' }).getByText('1 ready').waitFor();
  await card.getByRole('button', { name: 'Shares…' }).click();
  await dialog.getByLabel('Share of v2 in percent').fill('10');
  await dialog.getByText('10 % of the users would change their version.').waitFor();
  await dialog.getByLabel('Why').fill('a tenth is enough to see');
  await dialog.getByRole('button', { name: 'Apply' }).click();
  await page.getByText('payment: v2 has 10 %.').waitFor();
  await card.locator('.versions tr', { hasText: 'v2' }).locator('td').nth(1).getByText('10 %', { exact: true }).waitFor();
  const told = await shop.brick('route', 'show', 'payment');
  assert.deepEqual([told[0].weights, told[0].sticky], [{ v2: 10 }, 'user'], JSON.stringify(told));
  if (process.env.SCREENSHOTS === '1') await shop.brick('canary', 'start', 'payment', 'v2', '--steps', '10,100', '--hold', '120s', '--errors', '0.9', '--slower', '100');
  if (process.env.SCREENSHOTS === '1') await card.locator('.beside').waitFor();
  await screenshot(page, 'routes');
  if (process.env.SCREENSHOTS === '1') await shop.brick('canary', 'abort', 'payment');

  await page.getByRole('link', { name: 'Config', exact: true }).click();
  await page.getByRole('navigation', { name: 'Bricks' }).getByRole('link', { name: 'order' }).click();
  const value = page.locator('.values tbody tr', { hasText: 'max_lines' });
  await value.getByText('manifest').waitFor();
  const set = async (/** @type {string} */ to) => {
    await value.getByRole('button', { name: /^Change/ }).click();
    await dialog.getByLabel('Value').fill(to);
    await dialog.getByLabel('Why').fill('parcels are small');
    await dialog.getByRole('button', { name: 'Change', exact: true }).click();
  };
  await set('many');
  await dialog.getByRole('alert').getByText(/order\/[12] refuses: .*nothing was changed anywhere/).waitFor();
  await page.keyboard.press('Escape');
  await set('20');
  await dialog.getByText(/Applied by 2\/2 in \d+ ms, spread \d+ ms/).waitFor();
  await dialog.locator('.words', { hasText: 'order/2' }).getByText(/after \d+ ms/).first().waitFor();
  await page.keyboard.press('Escape');
  await value.getByText('live', { exact: true }).waitFor();
  const words = page.getByRole('list', { name: 'Instances' });
  await words.getByText('in force').nth(1).waitFor();
  await screenshot(page, 'config');
  assert.deepEqual(await audit(page), []);

  await page.getByRole('link', { name: /^Audit of the configuration/ }).click();
  const entry = (/** @type {RegExp} */ text) => page.locator('.audit-row').filter({ hasText: text });
  await entry(/config\.set[\s\S]*config\/order[\s\S]*parcels are small[\s\S]*max_lines 50 → 20/).waitFor();
  await page.getByRole('textbox', { name: 'Target' }).fill('');
  await page.getByRole('searchbox').fill('a TENTH is');
  await entry(/pools\.set[\s\S]*pools\/payment/).click();
  await page.getByRole('complementary').getByRole('row', { name: /weights\.v2.*10/ }).waitFor();
  assert.deepEqual(await audit(page), []);

  await shop.brick('config', 'unset', 'order.max_lines');
  await shop.brick('route', 'reset', 'payment');
  await shop.brick('scale', 'payment@v2=0');
  assert.deepEqual([page.foreign, page.trouble.filter((one) => !/409/.test(one))], [[], []]);
  await page.context().close();
}));

test('an instance quarantined in the console takes no request, and is released', async () => {
  const { url } = await shop.brick('open', 'bricks', '--print');
  const page = await open(browser, url);
  const row = page.locator('.brick-row').filter({ has: page.locator('.name', { hasText: /^order\/2$/ }) });
  const dialog = page.getByRole('dialog');
  await row.getByText('ready').waitFor();
  await row.click();
  await page.keyboard.press('q');
  await dialog.getByLabel('Why').fill('looked into');
  await dialog.getByRole('button', { name: 'Quarantine', exact: true }).click();
  await row.getByText('quarantined').waitFor();
  await page.getByRole('complementary').getByText('looked into').waitFor();
  await buy();
  await page.keyboard.press('q');
  await dialog.getByRole('button', { name: 'Release', exact: true }).click();
  await row.getByText('ready').waitFor();
  assert.deepEqual([page.foreign, page.trouble], [[], []]);
  await page.context().close();
});

test('calls that are cut off between two healthy bricks make the edge between them lossy, in the console and for brick map', async () => {
  const edge = 'storefront->recommendation';
  const set = await shop.brick('fault', 'set', edge, '--reset', '--share', '0.4', '--for', '5m');
  assert.ok(set, 'the fault is on');
  const home = await (await fetch(`${shop.edge}/`)).text();
  const [product] = /\/products\/[\w-]+/.exec(home) ?? [];
  assert.ok(product, home);
  let closed = false;
  const visitors = (async () => {
    while (!closed) {
      const answer = await fetch(shop.edge + product);
      assert.equal(answer.status, 200, 'the page goes without recommendations');
      await answer.text();
    }
  })();
  try {
    const { url } = await shop.brick('open', '--print');
    const page = await open(browser, url);
    const line = page.getByRole('button', { name: /^storefront to recommendation:.* of calls are lost on the way, recommendation saw 0 % errors/ });
    await line.waitFor();
    const box = (name) => page.locator('.map .node').filter({ has: page.locator('.name', { hasText: new RegExp(`^${name}$`) }) });
    for (const name of ['storefront', 'recommendation']) assert.match(await box(name).getAttribute('class'), /\bok\b/, `${name} is healthy`);
    await line.focus();
    await page.keyboard.press('Enter');
    const panel = page.getByRole('complementary', { name: 'Selection' });
    await panel.getByText('of the calls failed for storefront alone').waitFor();
    const told = (await shop.brick('map')).edges.find((one) => one.from === 'storefront' && one.to === 'recommendation').traffic;
    assert.ok(told.lossy && told.error_rate > 0.01 && told.callee.error_rate === 0, JSON.stringify(told));
    assert.deepEqual(await audit(page), []);
    assert.deepEqual([page.foreign, page.trouble], [[], []]);
    await page.context().close();
  } finally {
    closed = true;
    await Promise.all([visitors, shop.brick('fault', 'clear', edge)]);
  }
});

test('storefronts killed during a checkout: the browser goes on, buys once and stays signed in', async () => {
  const page = await atTheTill(UNLUCKY);
  const before = await shop.instances('storefront');
  // While payment stands still, the checkout is on its way through storefront and order.
  const [payment] = await shop.instances('payment');
  process.kill(payment.pid, 'SIGSTOP');
  try {
    const cut = page.waitForEvent('response', { predicate: (answer) => answer.url().endsWith('/checkout') && answer.status() >= 500 });
    await storefront.placeOrder(page).click();
    await onItsWay(page);
    for (const { pid } of before) process.kill(pid, 'SIGKILL');
    await cut;
  } finally {
    process.kill(payment.pid, 'SIGCONT');
  }
  await storefront.thanks(page).waitFor();
  const after = await shop.instances('storefront');
  for (const { instance, pid } of before) assert.notEqual(after.find((row) => row.instance === instance)?.pid, pid, `${instance} was not killed`);
  await page.goto(`${shop.edge}/orders`);
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
  assert.equal(await storefront.ordersOf(page).count(), 1, 'one cart is one order');
  await page.context().close();
});

/** Waits until the order brick has written the order down; it is not paid then, and not yet long enough to be given up. */
async function onItsWay(page) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const listed = await (await page.context().request.get(`${shop.edge}/orders`)).text();
    if (listed.includes(storefront.unfinished)) return;
    if (Date.now() > deadline) assert.fail(`the order is not on its way:\n${listed}`);
  }
}
