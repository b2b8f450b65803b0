// The console's part of docs/guide/tour.md: with the planted fault on, from the map to the slow edge, its trace, the
// log line, and the cause. Makes the tour's pictures with SCREENSHOTS=1.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PATIENCE_MS, launch, open, screenshot } from './lib/browser.mjs';
import { startShop } from './lib/shop.mjs';

const CAUSE = /ledger v2: lock wait timed out/;

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

test('the planted fault is found: map, slow edge, trace, log line, cause; and is gone when it is off', async () => {
  await shop.brick('demo', 'fault', 'on');
  // A picture is of a system that has been at it for a while.
  const pictured = process.env.SCREENSHOTS === '1';
  const load = shop.brick('load', 'checkout', '--rps', '15', '--for', pictured ? '60s' : '12s').catch((error) => error);
  if (pictured) await shop.brick('load', 'checkout', '--rps', '5', '--for', '40s').catch((error) => error);
  const page = await open(browser, shop.console);
  await page.getByRole('heading', { name: 'shop', level: 1 }).waitFor();

  // The map: the edge from order to payment is told as failing.
  const edge = page.locator('.edge[aria-label^="order to payment"]');
  await page.locator('.edge:is(.warn,.bad)[aria-label^="order to payment"]').waitFor();
  assert.match(await edge.getAttribute('aria-label') ?? '', /order to payment: .*%/);
  if (pictured) await page.locator('.edge.bad[aria-label^="order to payment"]').waitFor();
  await screenshot(page, 'tour-map');

  // From that edge to the requests that failed, and into one: the span that took the time.
  await load;
  await edge.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'Failed', exact: true }).click();
  await page.locator('.result').filter({ hasText: 'payment' }).first().click();
  await page.setViewportSize({ width: 1360, height: 1400 });
  await page.getByRole('treegrid').waitFor();
  await page.getByText('ledger v2: wait for lock').first().waitFor();

  // The log line in the same trace names the cause.
  await page.locator('.row', { hasText: CAUSE }).first().waitFor();
  await screenshot(page, 'tour-trace');
  assert.deepEqual([page.foreign, page.trouble], [[], []]);

  // Off: nothing fails any more.
  const off = await shop.brick('demo', 'fault', 'off');
  assert.equal(off.state, 'off');
  // A breaker that the fault has opened tries for itself before it closes.
  for (const deadline = Date.now() + PATIENCE_MS; ;) {
    const report = await shop.brick('load', 'checkout', '--rps', '10', '--for', '2s').catch((error) => JSON.parse(error.stdout));
    if (report.errors === 0) break;
    assert.ok(Date.now() < deadline, JSON.stringify(report.failures));
  }
  await page.context().close();
});
