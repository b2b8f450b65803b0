// The console on the mock: one mock and one browser for all tests of the file that imports this.
import { after, before, beforeEach } from 'node:test';
import { launch, visit as visitAt } from './browser.mjs';
import { startMock } from './mock.mjs';

/** @type {Awaited<ReturnType<typeof startMock>>} */
export let mock;
/** @type {Awaited<ReturnType<typeof launch>>} */
export let browser;

before(async () => {
  mock = await startMock();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await mock?.stop();
});
beforeEach(() => mock.reset());

/**
 * Opens a path of the console and runs the steps, once `first` is there; nothing may go wrong and nothing leave the
 * origin.
 */
export const visit = (path, steps, { first, ...options } = {}) =>
  visitAt(browser, mock.url + path, async (page) => {
    if (first) await page.locator(first).first().waitFor();
    await steps(page);
  }, options);
