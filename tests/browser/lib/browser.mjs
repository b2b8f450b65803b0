// One Chromium for all tests of a file, and pages that remember what went wrong in them.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGS });
}

/** How long a step may take on a machine that is full; what is quicker is not waited for. */
export const PATIENCE_MS = 30_000;

/** A page whose foreign requests, console errors and exceptions are kept in `page.trouble`. */
export async function open(browser, url, { theme = 'light', width = 1360, height = 900 } = {}) {
  const context = await browser.newContext({ colorScheme: theme, viewport: { width, height }, reducedMotion: 'reduce' });
  const page = await context.newPage();
  const origin = new URL(url).origin;
  page.trouble = [];
  page.foreign = [];
  page.on('console', (message) => message.type() === 'error' && page.trouble.push(message.text()));
  page.on('pageerror', (error) => page.trouble.push(String(error)));
  page.on('request', (request) => {
    const asked = new URL(request.url());
    if (!['data:', 'blob:'].includes(asked.protocol) && asked.origin !== origin) page.foreign.push(request.url());
  });
  page.on('websocket', (socket) => new URL(socket.url()).host === new URL(url).host || page.foreign.push(socket.url()));
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(url);
  return page;
}

/**
 * A test's steps on a page of the mock; what the page reported and asked elsewhere is a failure. `quiet` matches reports
 * that are expected, such as the browser's own about an answer that is no success.
 */
export async function visit(browser, url, steps, { quiet, ...options } = {}) {
  const page = await open(browser, url, options);
  try {
    await steps(page);
    assert.deepEqual(page.foreign, [], 'a request left the origin');
    assert.deepEqual(page.trouble.filter((told) => !quiet?.test(told)), [], 'the page reported errors');
  } finally {
    await page.context().close();
  }
}

/** Requests of this address wait until the answer is called, as long as the page does not give them up. */
export async function held(page, address) {
  let release = () => {};
  const gate = new Promise((done) => (release = () => done(undefined)));
  await page.route(address, async (route) => {
    await gate;
    await route.continue().catch(() => {});
  });
  return release;
}

/** A picture for the docs, where SCREENSHOTS=1 asks for them. */
export async function screenshot(page, name) {
  if (process.env.SCREENSHOTS !== '1') return;
  const folder = new URL('../../../docs/images/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: new URL(`${name}.png`, folder).pathname });
}
