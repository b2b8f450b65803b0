// The Bricks screen in a real browser, on the mock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audit } from './lib/axe.mjs';
import { NASTY, WEIRD } from './lib/data.mjs';
import { browser, mock, visit } from './lib/console.mjs';
import { scroll } from './lib/frames.mjs';
import { visible } from '../../console/app/visible.js';
import { figuresOf, groupsOf, instancesOf, rowsOf, startOf, withRegistry } from '../../console/app/bricks/model.js';

const PATH = '/console/bricks';

const rows = (page) => page.locator('.brick-row');
const row = (page, name) => rows(page).filter({ has: page.locator('.name', { hasText: new RegExp(`^${name}$`) }) });
const panel = (page) => page.getByRole('complementary');
const dialog = (page) => page.getByRole('dialog');

test('every brick and instance is there with state, version, port, pid, restarts, age and figures', () =>
  visit(PATH, async (page) => {
    await row(page, 'order/2').waitFor();
    await page.getByText('7 bricks, 13 of 13 instances ready').waitFor();
    assert.match(await row(page, 'order').innerText(), /2 of 2 ready[\s\S]*v1[\s\S]*\/s[\s\S]*1\.9 %[\s\S]*ms/);
    const { port, pid } = mock.world.agent.rows.find((one) => one.instance === 'order/1');
    await row(page, 'order/1').getByText(/\d\/s/).waitFor();
    const text = await row(page, 'order/1').innerText();
    for (const expected of ['ready', 'v1', '8f3c21d', 'a', String(port), String(pid), '2 h', '/s', 'ms']) assert.ok(text.includes(expected), `${expected} in ${text}`);
    assert.match(await row(page, 'gateway').innerText(), /platform/);
    assert.equal(await row(page, 'customer').getAttribute('aria-level'), '1', 'an only instance stands for its brick');
  }));

test('words and states narrow the list, the address holds both, and nothing says how to get out', () =>
  visit(`${PATH}?q=order`, async (page) => {
    await row(page, 'order/1').waitFor();
    assert.equal(await rows(page).count(), 3);
    await page.getByRole('searchbox').fill('order b');
    await page.waitForFunction(() => document.querySelectorAll('.brick-row').length === 2);
    await page.getByRole('searchbox').fill('no such brick');
    await page.getByRole('button', { name: 'Clear the filter' }).click();
    await row(page, 'customer').waitFor();
    mock.reset({ down: ['payment/1'] });
    await page.getByRole('button', { name: 'Failing 1' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.brick-row').length === 2);
    assert.match(await row(page, 'payment/1').innerText(), /crash-loop/);
    assert.match(page.url(), /state=bad/);
  }));

test('the list sorts by any column and says so, bricks with their instances', () =>
  visit(PATH, async (page) => {
    await rows(page).first().waitFor();
    await page.getByRole('button', { name: 'Errors' }).click();
    assert.equal(await page.locator('[aria-sort=descending]').textContent(), 'Errors↓');
    // The figures that it is sorted by come a moment after the rows.
    await page.waitForFunction(() => document.querySelector('.brick-row')?.textContent?.includes('payment'));
    await page.getByRole('button', { name: 'PID' }).click();
    assert.match(page.url(), /sort=pid/);
  }));

test('the list is moved through by keyboard, folds, opens and closes', () =>
  visit(PATH, async (page) => {
    const grid = page.getByRole('treegrid');
    await row(page, 'order/2').waitFor();
    await grid.focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('j');
    await page.locator('.brick-row.chosen', { hasText: 'order' }).waitFor();
    assert.equal(await grid.getAttribute('aria-activedescendant'), 'row-brick:order');
    await page.keyboard.press('ArrowLeft');
    await row(page, 'order/1').waitFor({ state: 'detached' });
    assert.match(page.url(), /fold=order/);
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await panel(page).getByRole('heading', { name: 'order/1' }).waitFor();
    await page.keyboard.press('x');
    await dialog(page).waitFor();
    await page.keyboard.press('Escape');
    await dialog(page).waitFor({ state: 'detached' });
    assert.equal(await grid.evaluate((element) => element === document.activeElement), true, 'focus is back in the list');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Escape');
    await panel(page).waitFor({ state: 'detached' });
  }));

test('an instance shows its health with what it depends on, what it says of itself, its last lines, what happened', () =>
  visit(`${PATH}?select=order/1`, async (page) => {
    await panel(page).getByText('degraded').waitFor();
    const health = panel(page).locator('.findings').last();
    assert.match(await health.innerText(), /product[\s\S]*payment[\s\S]*no answer within 500 ms/);
    for (const expected of ['SDK version', 'Flag express-shipping', 'order/1 is ready after 180 ms']) await panel(page).getByText(expected).waitFor();
    await panel(page).getByRole('button', { name: 'shipping' }).waitFor();
    await panel(page).locator('.last-lines li').first().waitFor();
    assert.equal(await panel(page).getByRole('link', { name: 'All its logs' }).getAttribute('href'), '/console/logs?instance=order%2F1');
    await panel(page).getByRole('link', { name: 'Failed' }).click();
    await page.waitForURL(/\/console\/traces\?service=order&errors=1/);
  }));

test('an instance that crashes again and again says why, with its last lines', async () => {
  mock.reset({ down: ['payment/1'] });
  await visit(`${PATH}?select=payment/1`, async (page) => {
    await panel(page).getByText('last with exit code 101').waitFor();
    await panel(page).getByText('its last 2 lines').click();
    await panel(page).getByText('no ledger at /var/ledger.db').waitFor();
    await panel(page).getByText('connection refused').first().waitFor();
    assert.equal(await panel(page).getByRole('button', { name: 'Kill…' }).isDisabled(), true);
  });
});

test('scaling says what it will do and the command, then does it', () =>
  visit(`${PATH}?select=brick:order`, async (page) => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await panel(page).getByRole('button', { name: 'Scale…' }).click();
    await dialog(page).getByRole('button', { name: 'One less' }).click();
    await dialog(page).getByText('Stops order/2').waitFor();
    await dialog(page).getByLabel('Instances').fill('4');
    await dialog(page).getByText('Starts 2 more instances of order').waitFor();
    await dialog(page).getByRole('button', { name: 'Copy brick scale order=4' }).click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'brick scale order=4');
    await dialog(page).getByRole('button', { name: 'Scale', exact: true }).click();
    await dialog(page).getByText('2 changes: starts order/3; starts order/4.').waitFor();
    await dialog(page).getByText('order/4 is ready after 120 ms').waitFor();
    await dialog(page).locator('.dialog-foot').getByRole('button', { name: 'Close' }).click();
    await row(page, 'order/4').waitFor();
    assert.deepEqual(mock.world.agent.asked, [['scale', { brick: 'order', replicas: 4 }]]);
  }));

test('a version that runs nowhere is in the list, says so, and is scaled from there', () =>
  visit(PATH, async (page) => {
    assert.match(await row(page, 'payment@v2').innerText(), /no instance[\s\S]*v2/);
    await page.getByRole('searchbox').fill('payment@v2');
    await page.waitForFunction(() => document.querySelectorAll('.brick-row').length === 2);
    await row(page, 'payment@v2').click();
    await panel(page).getByText('Scaled up, it serves beside v1').waitFor();
    await panel(page).getByRole('button', { name: 'Scale…' }).click();
    assert.equal(await dialog(page).getByLabel('Version').inputValue(), 'v2');
    await dialog(page).getByRole('button', { name: 'One more' }).click();
    await dialog(page).getByRole('button', { name: 'Copy brick scale payment@v2=1' }).waitFor();
    await dialog(page).getByRole('button', { name: 'Scale', exact: true }).click();
    await dialog(page).getByText('starts payment@v2/1').waitFor();
    await page.keyboard.press('Escape');
    await panel(page).getByRole('button', { name: 'payment@v2/1' }).waitFor();
    await row(page, 'payment@v2/1').waitFor();
    await row(page, 'payment@v2').waitFor({ state: 'detached' });
    assert.deepEqual(mock.world.agent.asked, [['scale', { brick: 'payment', version: 'v2', replicas: 1 }]]);
  }));

test('one version is rolled, without a build where one says so, and the command is the same', async () => {
  mock.world.agent.rows.push({ ...mock.world.agent.row('payment', 'payment@v2/1', 90) });
  await visit(`${PATH}?select=brick:payment&do=roll`, async (page) => {
    await dialog(page).getByRole('button', { name: 'Copy brick roll payment', exact: true }).waitFor();
    await dialog(page).getByText('replaces its 2 instances').waitFor();
    await dialog(page).getByLabel('Version').selectOption('v2');
    await dialog(page).getByLabel('Build first').uncheck();
    await dialog(page).getByText('Builds nothing; replaces its instance').waitFor();
    await dialog(page).getByRole('button', { name: 'Copy brick roll payment@v2 --no-build' }).waitFor();
    await dialog(page).getByRole('button', { name: 'Roll', exact: true }).click();
    await dialog(page).getByText('Replaced payment@v2/1.').waitFor();
    assert.deepEqual(mock.world.agent.asked, [['roll', { brick: 'payment@v2', no_build: true }]]);
  });
});

test('a version beside the base one is scaled by its own name', async () => {
  mock.world.agent.rows.push({ ...mock.world.agent.row('payment', 'payment@v2/1', 90) });
  await visit(`${PATH}?select=payment@v2/1&do=scale`, async (page) => {
    await dialog(page).getByRole('button', { name: 'One more' }).click();
    await dialog(page).getByRole('button', { name: 'Copy brick scale payment@v2=2' }).waitFor();
    await dialog(page).getByRole('button', { name: 'Scale', exact: true }).click();
    await dialog(page).getByText('Done.').waitFor();
    assert.deepEqual(mock.world.agent.asked, [['scale', { brick: 'payment', version: 'v2', replicas: 2 }]]);
  });
});

test('a roll tells its steps, and its end also to who looks elsewhere', () =>
  visit(`${PATH}?select=brick:order&do=roll`, async (page) => {
    let release = () => {};
    mock.world.agent.gate = new Promise((done) => (release = () => done(undefined)));
    await dialog(page).getByText('If a new one does not become ready the roll stops there').waitFor();
    await dialog(page).getByRole('button', { name: 'Copy brick roll order' }).waitFor();
    await dialog(page).getByRole('button', { name: 'Roll', exact: true }).click();
    await dialog(page).getByText('order/1 starts beside the old one').waitFor();
    await page.keyboard.press('Escape');
    await dialog(page).waitFor({ state: 'detached' });
    release();
    await page.getByRole('status', { name: 'News' }).getByText('Replaced order/1, order/2.').waitFor();
    assert.deepEqual(await audit(page), [], 'with news in the corner');
    await panel(page).getByRole('button', { name: 'order/1' }).click();
    await panel(page).locator('.facts').getByText('b71e0aa').waitFor();
  }));

test('a kill says who takes over, and what happened is told', () =>
  visit(`${PATH}?select=order/1&do=kill`, async (page) => {
    await dialog(page).getByText('Meanwhile 1 other instance takes its requests').waitFor();
    await dialog(page).getByLabel('In order (SIGTERM)').check();
    await dialog(page).getByRole('button', { name: 'Copy brick kill order/1 --signal TERM' }).waitFor();
    assert.notEqual(await page.evaluate(() => document.activeElement?.textContent), 'Kill', 'Enter alone must not kill');
    await dialog(page).getByRole('button', { name: 'Kill', exact: true }).click();
    await dialog(page).getByText(/^SIGTERM was sent to order\/1 \(pid \d+\)\.$/).waitFor();
    await dialog(page).getByText('order/1 was ended by SIGTERM; it is started again in 120 ms').waitFor();
    await page.keyboard.press('Escape');
    await panel(page).getByText('order/1 was ended by SIGTERM', { exact: false }).waitFor();
    await row(page, 'order/1').locator('[data-some]').waitFor();
  }));

test('what the agent refuses is shown as it says it and can be tried again', async () => {
  mock.world.agent.refuse = [409, { title: 'Conflict', status: 409, code: 'roll_stopped', detail: 'order/1: the new instance was not ready after 30 s; the old ones stay\nlast lines:\n  no ledger' }];
  await visit(`${PATH}?select=brick:order&do=roll`, async (page) => {
    await dialog(page).getByRole('button', { name: 'Roll', exact: true }).click();
    await dialog(page).getByText('It did not work.').waitFor();
    await dialog(page).getByText('the old ones stay').waitFor();
    mock.world.agent.refuse = null;
    await dialog(page).getByRole('button', { name: 'Try again' }).click();
    await dialog(page).getByText('Replaced order/1, order/2.').waitFor();
  }, { quiet: /409/ });
});

test('platform processes can be killed, not scaled', () =>
  visit(`${PATH}?select=telemetry/1`, async (page) => {
    await panel(page).getByRole('button', { name: 'Kill…' }).waitFor();
    assert.equal(await panel(page).getByRole('button', { name: 'Scale…' }).count(), 0);
    await page.keyboard.press('s');
    await dialog(page).getByText('telemetry belongs to the platform').waitFor();
  }));

test('without the agent the last that was known stays, dimmed, and a fresh page shows the registry', () =>
  visit(PATH, async (page) => {
    await row(page, 'order/1').waitFor();
    mock.world.agent.away = true;
    await page.getByRole('alert').getByText('This is what was last known').waitFor();
    assert.ok(Number(await page.locator('.bricks .stage').evaluate((element) => getComputedStyle(element).opacity)) < 1);
    await page.reload();
    await page.getByText('This is what the registry knows').waitFor();
    await row(page, 'order/1').waitFor();
    mock.world.agent.away = false;
    await page.getByRole('alert').waitFor({ state: 'detached' });
  }));

test('three hundred instances of a hundred bricks stay few rows while one scrolls', async () => {
  mock.reset({ many: true });
  await visit(PATH, async (page) => {
    await page.getByText('100 bricks, 303 of 303 instances ready').waitFor();
    const grid = page.getByRole('treegrid');
    assert.equal(await grid.getAttribute('aria-rowcount'), '404');
    assert.ok((await rows(page).count()) < 70);
    await scroll(page, '.brick-grid', 120);
    await grid.focus();
    await page.keyboard.press('End');
    await row(page, 'telemetry').waitFor();
    assert.ok((await rows(page).count()) < 70);
  });
});

test('an hour of news costs the tab no memory', async () => {
  await visit(`${PATH}?select=order/1`, async (page) => {
    await row(page, 'order/1').waitFor();
    const session = await page.context().newCDPSession(page);
    await session.send('HeapProfiler.enable');
    const heap = async () => {
      await session.send('HeapProfiler.collectGarbage');
      return (await session.send('Runtime.getHeapUsage')).usedSize;
    };
    const event = (/** @type {number} */ i) => mock.world.agent.tell('ready', 'order', 'order/1', `order/1 is ready after ${i} ms`);
    // Until the rings are full; then an hour's pushes of every topic, one a second, and an event with every other.
    for (let i = 0; i < 3_000; i += 1) event(i);
    await mock.flood(60);
    await panel(page).getByText('order/1 is ready after 2999 ms').waitFor();
    const before = await heap();
    for (let i = 0; i < 3600; i += 1) {
      if (i % 300 === 0) await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
      await mock.flood(1);
      if (i % 2) event(10_000 + i);
    }
    // The last push has been taken, and so have all before it.
    mock.world.agent.rows.find((one) => one.instance === 'order/1').restarts = 77;
    await mock.flood(1);
    await row(page, 'order/1').getByText('77', { exact: true }).waitFor({ state: 'attached' });
    await panel(page).getByText('order/1 is ready after 13599 ms').waitFor();
    const grown = (await heap()) - before;
    console.log(`# grew by ${(grown / 1e6).toFixed(2)} MB over 3,600 pushes of each topic`);
    assert.ok(grown < 5e6, `the tab grew by ${(grown / 1e6).toFixed(1)} MB`);
  });
});

test('hostile names, details, lines and flags are text', async () => {
  mock.reset({ nasty: true });
  await visit(`${PATH}?select=brick:${encodeURIComponent(WEIRD)}`, async (page) => {
    await row(page, 'order/1').waitFor();
    const names = await rows(page).locator('.name').allTextContents();
    assert.ok(names.includes(visible(WEIRD)), names.join());
    // Each name stands alone: an override in one does not turn what is beside it.
    assert.equal(await row(page, 'order/1').locator('.name bdi').count(), 1);
    await page.goto(`${mock.url}${PATH}?select=order/1`);
    await panel(page).locator('.findings', { hasText: NASTY }).waitFor();
    await panel(page).locator('.facts', { hasText: `Flag ${NASTY}` }).waitFor();
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.locator('main img, main script').count(), 0);
  });
});

test('an instance is quarantined with a reason, seen to be out of its pool, and released', () =>
  visit(`${PATH}?select=order/2`, async (page) => {
    await row(page, 'order/2').getByText('ready').waitFor();
    await page.keyboard.press('q');
    await dialog(page).getByText('order-2.order.brick').waitFor();
    await dialog(page).getByText('Meanwhile 1 other instance takes its requests.').waitFor();
    await dialog(page).getByLabel('Why').fill('answers slowly');
    assert.equal(await dialog(page).locator('.command code').innerText(), "$ brick quarantine order/2 --why 'answers slowly'");
    await dialog(page).getByRole('button', { name: 'Quarantine', exact: true }).click();
    await row(page, 'order/2').getByText('quarantined').waitFor();
    await row(page, 'order').getByText('1 of 2 ready').waitFor();
    await panel(page).getByText('answers slowly').waitFor();
    await panel(page).getByRole('button', { name: 'Release…' }).click();
    await dialog(page).getByText('answers slowly').waitFor();
    assert.equal(await dialog(page).locator('.command code').innerText(), '$ brick quarantine --release order/2');
    await dialog(page).getByRole('button', { name: 'Release', exact: true }).click();
    await row(page, 'order/2').getByText('ready').waitFor();
    await panel(page).getByText('answers slowly').waitFor({ state: 'detached' });
    assert.deepEqual(mock.world.control.asked, [['POST', 'registry/v1/instances/order%2F2/quarantine', { reason: 'answers slowly' }, 'answers slowly'], ['DELETE', 'registry/v1/instances/order%2F2/quarantine']]);
  }));

test('the last ready instance says what its quarantine means; the platform has none', () =>
  visit(`${PATH}?select=customer/1&do=quarantine`, async (page) => {
    await dialog(page).getByText('No other instance of customer is ready: who needs it gets errors').waitFor();
    await page.keyboard.press('Escape');
    await row(page, 'gateway').click();
    await panel(page).getByRole('button', { name: 'Kill…' }).waitFor();
    assert.equal(await panel(page).getByRole('button', { name: /Quarantine|Log level/ }).count(), 0);
  }));

test('zones narrow the list and group it', () =>
  visit(PATH, async (page) => {
    await row(page, 'order/2').waitFor();
    await page.getByRole('button', { name: 'Zone a' }).click();
    await row(page, 'order/2').waitFor({ state: 'detached' });
    assert.match(page.url(), /zone=a/);
    await page.getByRole('button', { name: 'Zone a' }).click();
    await page.getByLabel('By zone').check();
    await row(page, 'zone a').getByText(/\d+ of \d+ ready/).waitFor();
    const names = await rows(page).locator('.name').allInnerTexts();
    assert.deepEqual([names[0], names.filter((name) => name.startsWith('zone'))], ['zone a', ['zone a', 'zone b']]);
    assert.equal(names.length, 2 + mock.world.agent.rows.length);
    await row(page, 'zone a').locator('.fold').click();
    await page.waitForFunction((all) => document.querySelectorAll('.brick-row').length < all, names.length);
    await row(page, 'order/2').click();
    await panel(page).getByRole('heading', { name: 'order/2' }).waitFor();
  }));

test('the log level of a brick or one of its instances is set from its panel, and shown with its end', () =>
  visit(`${PATH}?select=order/2`, async (page) => {
    await panel(page).getByRole('button', { name: 'Log level…' }).click();
    assert.equal(await dialog(page).locator('.command code').innerText(), '$ brick config log order/2=debug --for 10m');
    await dialog(page).getByRole('button', { name: 'Set', exact: true }).click();
    await page.getByText('order/2 writes debug, back in 10 minutes.').waitFor();
    await panel(page).getByText(/Log level:\s*debug/).waitFor();
    await panel(page).getByText(/for 9 min more/).waitFor();
    assert.equal(mock.world.control.levels.instances['order/2'].level, 'debug');
  }));

/** One that registered itself, beside those of the agent. */
function withOutsider() {
  const at = (ms) => new Date(Date.now() + ms).toISOString();
  mock.world.control.outsiders.push({ brick: 'order', version: 'v1', slot: 3, incarnation: 'out-1', zone: 'b', addr: '127.0.0.1:49001', state: 'ready', ready: true, supervised: false, outsider: 'rack-7:9001', joined: 'eureka', ttl_ms: 90_000, lease_ms: 80_000, lease_ends: at(80_000) });
}

test('an instance that no agent started is told as one, with how it joined and when its lease ends', async () => {
  withOutsider();
  await visit(PATH, async (page) => {
    await row(page, 'order/3').getByText('outsider').waitFor();
    await row(page, 'order').getByText('3 of 3 ready').waitFor();
    await page.getByRole('searchbox').fill('outsider rack-7');
    await page.waitForFunction(() => document.querySelectorAll('.brick-row').length === 2);
    await row(page, 'order/3').click();
    await panel(page).getByText('It joined by Eureka as rack-7:9001.').waitFor();
    await panel(page).getByText(/Its lease of 1 m 30 s ends in .* unless it is renewed\./).waitFor();
    assert.equal(await panel(page).getByRole('button', { name: 'Kill…' }).count(), 0);
    await page.keyboard.press('x');
    await dialog(page).getByText('No agent started order/3: end it where it runs.').waitFor();
    await page.keyboard.press('Escape');
    await panel(page).getByRole('button', { name: 'Quarantine…' }).click();
    await dialog(page).getByText('Meanwhile 2 other instances take its requests.').waitFor();
    await page.keyboard.press('Escape');
    await panel(page).getByRole('button', { name: 'Scale…' }).click();
    assert.equal(await dialog(page).getByLabel('Instances').inputValue(), '2', 'the agent scales its own');
  });
});

test('a registry that lost sight of most instances says so, and which it keeps', async () => {
  mock.world.control.kept.add('order/2');
  await visit(`${PATH}?select=order/2`, async (page) => {
    await page.getByRole('alert').getByText('Control lost sight of most instances at once and keeps them.').waitFor();
    await page.getByRole('alert').getByText('Of 1 instance nothing is heard').waitFor();
    await row(page, 'order/2').getByText('kept').waitFor();
    await panel(page).getByText('its lease ran out').waitFor();
    mock.world.control.kept.clear();
    await page.getByRole('alert').waitFor({ state: 'detached' });
    await row(page, 'order/2').getByText('ready').waitFor();
  });
});

for (const theme of ['light', 'dark']) {
  test(`no serious accessibility violation in list, panel and dialogs in the ${theme} theme`, async () => {
    mock.reset({ down: ['payment/1'] });
    withOutsider();
    for (const query of ['', '?select=order/3', '?select=order/1', '?select=brick:order', '?select=payment/1', '?select=payment@v2', '?select=payment@v2&do=scale', '?select=brick:payment&do=roll', '?select=order/1&do=kill', '?select=order/1&do=quarantine', '?select=order/1&do=log', '?by=zone', '?q=nothing']) {
      await visit(PATH + query, async (page) => {
        await page.getByText('7 bricks', { exact: false }).waitFor();
        if (query.includes('order/1')) await panel(page).getByText('degraded').waitFor();
        if (query.includes('do=')) await dialog(page).waitFor();
        assert.deepEqual(await audit(page), [], query);
      }, { theme });
    }
  });
}

test('the list fits a telephone', async () => {
  withOutsider();
  for (const query of ['', '?select=order/3', '?by=zone', '?select=order/1', '?select=order/1&do=kill', '?select=order/1&do=quarantine', '?select=order/1&do=log']) {
    await visit(PATH + query, async (page) => {
      await rows(page).first().waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, query);
    }, { width: 360, height: 740 });
  }
});

test('rows of the agent become groups, the start is read from the incarnation, foreign answers break nothing', () => {
  const of = (instance, more) => ({ brick: instance.split(/[@/]/)[0], instance, version: 'v1', state: 'ready', pid: 1, port: 2, restarts: 0, ...more });
  const groups = groupsOf(instancesOf([of('order/10'), of('order/2', { state: 'failed' }), of('control/1')]), { bricks: [{ name: 'order' }, { name: 'idle' }, { name: 'psp', external: true }] }, null);
  assert.deepEqual(groups.map((one) => [one.name, one.ready, one.tone]), [['idle', 0, 'idle'], ['order', 1, 'bad'], ['control', 1, 'ok']]);
  const how = { text: '', tone: '', sort: '', descending: false, folded: new Set(), figures: new Map() };
  assert.deepEqual(rowsOf(groups, how).map((one) => one.id), ['brick:idle', 'brick:order', 'order/2', 'order/10', 'control/1']);
  assert.deepEqual(rowsOf(groups, { ...how, folded: new Set(['order']), text: 'order' }).map((one) => one.id), ['brick:order']);
  const zoned = groupsOf(instancesOf([of('order/1', { zone: 'b' }), of('order/2', { zone: 'a' }), of('idle/1')]), null, null);
  assert.deepEqual(rowsOf(zoned, { ...how, byZone: true }).map((one) => one.id), ['zone:a', 'order/2', 'zone:b', 'order/1', 'zone:', 'idle/1']);
  assert.deepEqual(rowsOf(zoned, { ...how, zone: 'a' }).map((one) => one.id), ['brick:order', 'order/2']);
  const held = instancesOf([of('order/1', { incarnation: 'i', quarantined: true }), of('order/2', { incarnation: 'j' })]);
  assert.deepEqual(held.map((one) => [one.state, one.quarantine]), [['quarantined', ''], ['ready', null]]);
  assert.deepEqual(withRegistry(held, { items: [{ incarnation: 'i' }, { incarnation: 'j', quarantined: 'slow' }] }).map((one) => [one.state, one.tone, one.quarantine]), [['ready', 'ok', null], ['quarantined', 'warn', 'slow']]);
  assert.equal(startOf('0192f0c1-2345-7abc-8def-0123456789ab'), 0x0192f0c12345);
  for (const odd of ['', '0192f0c1-2345-4abc-8def-0123456789ab', 'x']) assert.equal(startOf(odd), null);
  for (const raw of [null, {}, 7, { items: null }]) assert.deepEqual(groupsOf(instancesOf(raw), raw, raw), []);
  const twice = ['v1', 'v2'].map((version) => ({ brick: 'payment', slot: 1, version, addr: '127.0.0.1:9', state: 'ready' }));
  assert.deepEqual(instancesOf({ items: twice }).map((one) => [one.slot, one.port, one.restarts]), [['payment/1', 9, null], ['payment@v2/1', 9, null]]);
  assert.deepEqual(rowsOf(groupsOf(instancesOf(twice), null, null), how).map((one) => one.id), ['brick:payment', 'payment/1', 'payment@v2/1']);
  const series = (labels, value) => ({ labels, points: [[1, 0], [2, value]] });
  const found = figuresOf({ series: [series({ instance: 'a/1' }, 10)] }, { series: [series({ instance: 'a/1' }, 0.25), series({ instance: 'b/1' }, 1)] }, { series: [series({ instance: 'a/1', http_response_status_code: '503' }, 2)] });
  assert.deepEqual([...found], [['a/1', { rate: 10, errors: 0.2, p50: null, p99: 250 }]]);
});
