// The Logs screen in a real browser, on the mock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { held, open } from './lib/browser.mjs';
import { NASTY, PURCHASE } from './lib/data.mjs';
import { browser, mock, visit as visitAt } from './lib/console.mjs';
import { fast } from './lib/frames.mjs';

const PATH = '/console/logs';

const visit = (path, steps, options) => visitAt(path, steps, { first: '.log-row', ...options });

const bar = (page) => page.locator('.log-bar');
const live = (page) => page.locator('.log-bar .line', { hasText: 'Live' }).waitFor();
const panel = (page) => page.getByRole('complementary', { name: 'Log line' });

for (const batched of [true, false]) {
  test(`new lines come by themselves ${batched ? 'in batches' : 'one by one'}, after those that were there`, async () => {
    Object.assign(mock.world, { perSecond: 40, batched });
    await visit(PATH, async (page) => {
      await live(page);
      await page.waitForFunction(() => document.querySelectorAll('.log-row').length > 10);
      const first = await page.locator('.log-row').last().innerText();
      await page.waitForFunction((before) => [...document.querySelectorAll('.log-row')].at(-1)?.innerText !== before, first);
      const end = await page.locator('.log-rows').evaluate((list) => list.scrollHeight - list.scrollTop - list.clientHeight);
      assert.ok(end < 2, `the end is in view, ${end} px below it`);
    });
  });
}

test('a paused view stands still, counts what comes, and goes on with all of it', async () => {
  mock.world.perSecond = 400;
  await visit(PATH, async (page) => {
    await live(page);
    await page.keyboard.press(' ');
    await bar(page).getByText('Paused').waitFor();
    await page.waitForURL(/live=off/);
    const still = await page.locator('.log-row').last().innerText();
    const resume = page.locator('.resume', { hasText: /[0-9,]{3,} new lines/ });
    await resume.waitFor();
    assert.equal(await page.locator('.log-row').last().innerText(), still);
    await resume.click();
    await live(page);
    assert.doesNotMatch(page.url(), /live=off/);
    await page.waitForFunction((before) => [...document.querySelectorAll('.log-row')].at(-1)?.innerText !== before, still);
  });
});

test('scrolling up pauses, and pages of history come until there is no more', () =>
  visit(PATH, async (page) => {
    await live(page);
    await bar(page).getByText('500 lines').waitFor();
    await page.locator('.log-rows').hover();
    await page.mouse.wheel(0, -300);
    await bar(page).getByText('Paused').waitFor();
    const text = await page.locator('.log-row').first().innerText();
    await page.locator('.log-rows').evaluate((list) => (list.scrollTop = 0));
    await bar(page).getByText('1,000 lines').waitFor();
    await page.locator('.log-rows').evaluate((list) => (list.scrollTop = 0));
    await bar(page).getByText('1,200 lines').waitFor();
    assert.notEqual(await page.locator('.log-row').first().innerText(), text);
  }));

test('facets narrow the lines, count the other values too, and stand in the address', () =>
  visit(PATH, async (page) => {
    await page.getByRole('button', { name: /^order [0-9]/ }).click();
    await page.waitForURL(/brick=order/);
    await page.waitForFunction(() => {
      const all = [...document.querySelectorAll('.log-row .who')];
      return all.length > 0 && all.every((who) => who.textContent?.startsWith('order/'));
    });
    await page.getByRole('button', { name: /^payment [0-9]/ }).waitFor();
    await page.getByRole('button', { name: /^warn [0-9]/ }).click();
    await page.waitForURL(/level=warn/);
    await page.waitForFunction(() => [...document.querySelectorAll('.log-row')].every((row) => ['warn', 'error'].includes(row.dataset.level)));
    await page.reload();
    await page.locator('.facet-value.on', { hasText: 'order' }).waitFor();
    await page.getByRole('button', { name: /^order [0-9]/ }).click();
    await page.waitForURL((url) => !url.searchParams.has('brick'));
  }));

test('a search is done by telemetry, marks what it found, and says when nothing matches', () =>
  visit(PATH, async (page) => {
    await page.getByPlaceholder('Search messages').fill('Connection RESET');
    await page.waitForURL(/q=Connection\+RESET/);
    await page.locator('.log-row mark', { hasText: 'connection reset' }).first().waitFor();
    await page.getByPlaceholder('Search messages').fill('no such words');
    await page.getByText('No line matches').waitFor();
    await page.getByRole('link', { name: 'Clear the filters' }).click();
    await page.locator('.log-row').first().waitFor();
  }));

test('a line opens by keyboard, shows its fields, and leads to its trace and back', () =>
  visit(`${PATH}?q=declined`, async (page) => {
    await live(page);
    await page.keyboard.press('k');
    await panel(page).waitFor();
    assert.match(await panel(page).innerText(), /cause[\s\S]*connection reset by peer/);
    const first = await panel(page).innerText();
    await page.keyboard.press('k');
    await page.waitForFunction((before) => document.querySelector('.log-detail')?.innerText !== before, first);
    await page.keyboard.press('Enter');
    await panel(page).waitFor({ state: 'detached' });
    await page.keyboard.press('Enter');
    await panel(page).waitFor();
    await page.keyboard.press('Escape');
    await panel(page).waitFor({ state: 'detached' });
    await page.goto(`${mock.url}${PATH}?q=renewed`);
    await page.locator('.log-row').first().waitFor();
    await page.locator('.log-row:has(.traced)').last().click();
    await panel(page).getByRole('link', { name: /^Trace t/ }).waitFor();
    await page.keyboard.press('t');
    await page.waitForURL(new RegExp(`/console/traces/${PURCHASE}\\?span=`));
    await page.goBack();
    await panel(page).waitFor();
  }));

test('context shows the lines around one, of its instance alone', () =>
  visit(`${PATH}?q=declined`, async (page) => {
    await live(page);
    await page.keyboard.press('k');
    await page.keyboard.press('k');
    await panel(page).waitFor();
    await page.keyboard.press('c');
    await page.waitForURL(/context=/);
    await page.locator('.log-row.centre', { hasText: 'declined' }).waitFor();
    const owners = new Set(await page.locator('.log-row .who').allInnerTexts());
    assert.equal(owners.size, 1);
    await page.reload();
    await page.locator('.log-row.centre').waitFor();
    await page.getByRole('button', { name: 'More lines' }).click();
    await page.waitForURL(/around=60/);
    await page.getByRole('button', { name: /Back to the search/ }).click();
    await page.waitForURL((url) => !url.searchParams.has('context') && url.searchParams.get('q') === 'declined');
  }));

test('a line is copied whole', async () => {
  const page = await open(browser, `${mock.url}${PATH}?q=declined`);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.locator('.log-row').first().click();
  await page.keyboard.press('y');
  await panel(page).getByText('Copied').waitFor();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /ERROR \w+\/\d payment declined: .* cause=connection reset by peer/);
  await page.context().close();
});

test('dropped lines are told, and a lost line comes back without a gap or a double', async () => {
  Object.assign(mock.world, { perSecond: 50, keep: true });
  await visit(PATH, async (page) => {
    await live(page);
    mock.world.droppedNext = 1234;
    await page.getByText('1,234 lines dropped').waitFor();
    const back = await held(page, '**/logs/tail*');
    mock.dropTabs();
    await bar(page).getByText('Connection lost').waitFor();
    back();
    await live(page);
    await page.keyboard.press(' ');
    await bar(page).getByText('Paused').waitFor();
    const numbers = await page.locator('.log-row .msg').evaluateAll((found) => found.map((one) => Number(/n=(\d+)/.exec(one.textContent ?? '')?.[1])));
    assert.ok(numbers.length > 10);
    numbers.forEach((n, i) => i && assert.equal(n, numbers[i - 1] + 1, 'lines are there once, in order'));
  }, { quiet: /ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION/ });
});

test('a time that ended is history: nothing follows, and now is one press away', () =>
  visit(`${PATH}?since=15m&until=${new Date(Date.now() + 60_000).toISOString()}`, async (page) => {
    await bar(page).getByText('History').waitFor();
    assert.equal(mock.world.tails.size, 0);
    await page.getByLabel('To', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Back to now' }).click();
    await live(page);
  }));

test('an empty system says where lines come from', async () => {
  mock.world.idle = true;
  const page = await open(browser, mock.url + PATH);
  await page.getByText('No line yet').waitFor();
  await page.context().close();
});

test('hostile text is text: markup, control characters, letters that turn the line', async () => {
  mock.world.nasty = true;
  await visit(PATH, async (page) => {
    await page.locator('.log-row .msg').filter({ hasText: `${NASTY}␀␛[31mred⟨U+202E⟩gnp.exe⟨U+2066⟩` }).first().waitFor();
    await page.locator('.log-row').last().click();
    await panel(page).filter({ hasText: '⟨U+202E⟩' }).waitFor();
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.locator('main img, main script').count(), 0);
    assert.doesNotMatch(await page.locator('main').innerText(), /[\u0000-\u0008\u202e\u2066]/);
  });
});

/** Frames per second that the page draws, over a while. */
async function framesPerSecond(page, ms) {
  return page.evaluate((span) => new Promise((done) => {
    const start = performance.now();
    let frames = 0;
    const frame = (now) => (now - start < span ? (frames++, requestAnimationFrame(frame)) : done((frames * 1000) / (now - start)));
    requestAnimationFrame(frame);
  }), ms);
}

test('of five thousand lines a second the page keeps no more than its bound, and loses none unsaid', async () => {
  await visit(PATH, async (page) => {
    await live(page);
    mock.world.perSecond = 5_000;
    await bar(page).getByText('10,000 lines').waitFor();
    const [sent, start] = [mock.world.sent, performance.now()];
    const busy = await busyTime(page);
    let best = 0;
    for (let i = 0; i < 2 && best < 55; i += 1) best = Math.max(best, await framesPerSecond(page, 3000));
    const seconds = (performance.now() - start) / 1000;
    const share = ((await busyTime(page)) - busy) / seconds;
    const rate = (mock.world.sent - sent) / seconds;
    fast(rate > 4_500 && share < 0.6 && best >= 55, `${best.toFixed(1)} frames/s at ${rate.toFixed(0)} lines/s, the page's thread busy ${(share * 100).toFixed(0)} % of the time`);
    assert.ok((await page.locator('.log-row').count()) < 90);
    assert.equal(await page.getByText('dropped').count(), 0);
  });
});

test('a tail that runs on keeps no more than its bound', async () => {
  await visit(PATH, async (page) => {
    await live(page);
    mock.world.perSecond = 5_000;
    await bar(page).getByText('10,000 lines').waitFor();
    const before = await heapOf(page);
    const enough = mock.world.sent + 40_000;
    while (mock.world.sent < enough) await framesPerSecond(page, 500);
    const grown = ((await heapOf(page)) - before) / 1e6;
    console.log(`# ${grown.toFixed(1)} MB more after 40,000 lines`);
    assert.ok(grown < 10, `${grown.toFixed(1)} MB`);
  });
});

/** Bytes that the page holds once the garbage is gone. */
async function heapOf(page) {
  page.cdp ??= await page.context().newCDPSession(page);
  await page.cdp.send('HeapProfiler.collectGarbage');
  return (await page.cdp.send('Runtime.getHeapUsage')).usedSize;
}

/** Seconds of processor time that the page's own thread has used. */
async function busyTime(page) {
  page.cdp ??= await page.context().newCDPSession(page);
  await page.cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
  const { metrics } = await page.cdp.send('Performance.getMetrics');
  return metrics.find((one) => one.name === 'TaskDuration').value;
}
