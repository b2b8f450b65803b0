// The Overview in a real browser, on the mock: platform, neighbourhood, groups, the ways from a fault to its cause.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SYSTEM, WEIRD, graph, instances } from './lib/data.mjs';
import { audit } from './lib/axe.mjs';
import { PATIENCE_MS } from './lib/browser.mjs';
import { browser, mock, visit as visitAt } from './lib/console.mjs';
import { scroll } from './lib/frames.mjs';
import * as wide from './lib/wide.mjs';
import { draw, neighbourhood } from '../../console/app/overview/group.js';
import { grid } from '../../console/app/overview/grid.js';
import { visible } from '../../console/app/visible.js';
import { instancesOf, mapOf, problemsOf, systemOf } from '../../console/app/overview/model.js';

const visit = (path, steps, options) => visitAt(path, steps, { first: '.map .node', ...options });

const panel = (page) => page.getByRole('complementary', { name: 'Selection' });
const shop = () => mapOf(systemOf(SYSTEM), instancesOf(instances()), graph(60, 0, { platform: true }));
const metropolis = () => mapOf(systemOf(wide.SYSTEM), instancesOf(wide.instances()), wide.graph(60));

test('a neighbourhood is a node and what is so many steps from it', () => {
  const near = neighbourhood(shop(), 'payment', 1);
  assert.deepEqual(near.nodes.map((node) => node.id).sort(), ['order', 'payment', 'psp']);
  assert.ok(neighbourhood(shop(), 'payment', 2).nodes.some((node) => node.id === 'storefront'));
  assert.ok(near.edges.every((edge) => near.nodes.some((node) => node.id === edge.from) && near.nodes.some((node) => node.id === edge.to)));
});

test('a small map is drawn whole, a large one in groups that hide no fault and lose no call', () => {
  const small = draw(shop(), 'auto', new Set());
  assert.equal(small.nodes.length, shop().nodes.length);
  const map = metropolis();
  const large = draw(map, 'auto', new Set());
  assert.ok(large.nodes.length <= 24, `${large.nodes.length} nodes`);
  const members = large.nodes.flatMap((node) => node.members ?? [node.id]);
  assert.deepEqual(members.sort(), map.nodes.map((node) => node.id).sort(), 'each brick is somewhere, once');
  assert.equal(large.nodes.find((node) => node.members?.includes('ledger')).health, 'bad');
  const rate = (edges) => edges.reduce((sum, edge) => sum + edge.rate, 0);
  const inside = map.edges.filter((edge) => (large.holder.get(edge.from) ?? edge.from) === (large.holder.get(edge.to) ?? edge.to));
  assert.ok(Math.abs(rate(large.edges) + rate(inside) - rate(map.edges)) < 1e-6);
  const group = large.groups.find((one) => one.label === 'billing-*');
  const opened = draw(map, 'auto', new Set([group.id]));
  assert.ok(opened.nodes.some((node) => node.id === 'billing-api'));
  assert.deepEqual(opened.frames.map((frame) => frame.label), ['billing-*']);
});

test('zones are told by the instances that run in them', () => {
  const zones = draw(shop(), 'zone', new Set());
  assert.deepEqual(zones.frames.map((frame) => frame.label).sort(), ['zone a', 'zones a + b']);
  const large = draw(metropolis(), 'zone', new Set());
  assert.deepEqual(large.nodes.filter((node) => node.kind === 'group').map((node) => node.about), ['zone a', 'zone b', 'zone c']);
});

test('boxes of a grid do not overlap, whatever the width', () => {
  const map = draw(metropolis(), 'none', new Set());
  for (const columns of [1, 2, 6]) {
    const box = { width: 172, height: 58 };
    const placed = grid({ id: 1, down: false, columns, frames: [], nodes: map.nodes.map((node) => ({ id: node.id, ...box })), edges: map.edges.map(({ id, from, to }) => ({ id, from, to, width: 84, height: 34 })) });
    const all = Object.values(placed.nodes);
    assert.equal(new Set(all.map(({ x, y }) => `${x} ${y}`)).size, map.nodes.length);
    assert.ok(all.every(({ x, y }) => x - 86 >= 0 && x + 86 <= placed.width && y + 29 <= placed.height));
  }
});

test('an edge is lossy by what both ends say, and says so in the list of problems', () => {
  const edge = (live) => {
    const graph = { nodes: [{ brick: 'order', rate: 1 }, { brick: 'payment', rate: 1 }], edges: [{ from: 'order', to: 'payment', rate: 10, error_rate: 0.3, p99_ms: 5, ...live }] };
    const map = mapOf(systemOf(SYSTEM), instancesOf(instances()), graph);
    return { ...map.edges.find((one) => one.id === 'order>payment'), problems: problemsOf(map).map((one) => one.text).filter((text) => text.includes('lost')) };
  };
  const check = (live, lossy, problems) => {
    const found = edge(live);
    assert.deepEqual([found.lossy, found.problems], [lossy, problems], JSON.stringify(live));
  };
  check({}, false, []);
  check({ callee: { rate: 10, error_rate: 0.3 }, lost: 0 }, false, []);
  check({ callee: { rate: 7, error_rate: 0 }, lost: 0.3 }, true, ['30 % of calls from order to payment are lost on the way']);
  check({ callee: null, lost: 0.009 }, false, []);
  check({ callee: 'odd', lost: 'odd' }, false, []);
});

test('a lossy edge between two healthy bricks is drawn as one and told from both ends, by keyboard too', async () => {
  mock.reset({ lossy: true });
  await visit('/', async (page) => {
    const line = page.getByRole('button', { name: /^storefront to recommendation:.*31 % of calls are lost on the way, recommendation saw 0 % errors/ });
    await line.waitFor();
    assert.match(await line.getAttribute('class'), /\blossy\b/);
    for (const name of ['storefront', 'recommendation']) assert.match(await page.locator('.map .node', { has: page.locator('.name', { hasText: name }) }).getAttribute('class'), /\bok\b/);
    await page.locator('.figures .second', { hasText: '31 % lost' }).waitFor();
    await line.focus();
    await page.keyboard.press('Enter');
    await panel(page).getByText('31 % of the calls failed for storefront alone').waitFor();
    const rows = await panel(page).locator('.ends tbody tr').allInnerTexts();
    assert.match(rows[1], /Errors\s+31 %\s+0 %/);
    assert.match(await panel(page).getByRole('link', { name: 'Breaker' }).getAttribute('href'), /breakers\?select=storefront/);
    const row = page.locator('.calls tbody tr[data-lossy]');
    assert.match(await row.innerText(), /storefront[\s\S]*lossy[\s\S]*recommendation[\s\S]*31 %[\s\S]*0 %[\s\S]*31 %/);
    await page.getByRole('button', { name: '31 % of calls from storefront to recommendation are lost on the way' }).waitFor();
  });
});

for (const theme of ['light', 'dark']) {
  test(`a lossy edge has no serious accessibility violation in the ${theme} theme, and fits a telephone`, async () => {
    mock.reset({ lossy: true });
    const path = `/?select=${encodeURIComponent('edge:storefront>recommendation')}`;
    for (const width of [1360, 360]) {
      await visit(path, async (page) => {
        await panel(page).getByText('lost on the way').waitFor();
        assert.deepEqual(await audit(page), []);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
      }, { theme, width });
    }
  });
}

test('slots of another version keep their name', () => {
  const [one] = instancesOf({ items: [{ brick: 'payment', version: 'v2', slot: 'payment@v2/1', ready: true }] });
  assert.equal(one.slot, 'payment@v2/1');
});

test('a platform process is drawn as one', async () => {
  mock.world.platform = true;
  await visit('/', async (page) => {
    await page.getByRole('button', { name: /^control: platform/ }).waitFor();
    assert.equal(await page.locator('.node.kind-platform').count(), 1);
  });
});

test('a node leads to its neighbourhood, one step or two, and back to the whole map', () =>
  visit('/?select=brick:payment', async (page) => {
    await panel(page).getByRole('button', { name: 'Neighbourhood' }).click();
    await page.waitForURL(/focus=payment/);
    await page.waitForFunction(() => document.querySelectorAll('.map .node').length === 3);
    await page.getByRole('button', { name: '2 steps' }).click();
    await page.getByRole('button', { name: /^storefront: / }).waitFor();
    await page.reload();
    await page.getByRole('button', { name: /^storefront: / }).waitFor();
    await page.getByRole('button', { name: 'Whole map' }).click();
    await page.waitForFunction(() => document.querySelectorAll('.map .node').length === 9);
  }));

test('an error badge leads to the warnings and errors of its brick', () =>
  visit('/', async (page) => {
    await page.getByRole('link', { name: /of requests to payment fail: its warnings and errors/ }).press('Enter');
    await page.waitForURL(/\/console\/logs\?brick=payment&level=warn/);
    await page.locator('.log-row:is([data-level=warn], [data-level=error])').first().waitFor();
  }));

test('a call that is slow leads to its slow traces, one that fails to its failed ones', async () => {
  mock.world.slow = true;
  await visit('/', async (page) => {
    await page.getByRole('button', { name: /^order to payment: .*, slow$/ }).waitFor();
    await page.getByRole('link', { name: /^order to payment is slow, p99 441 ms/ }).focus();
    await page.keyboard.press('Enter');
    await page.waitForURL(/service=order&attr=server.address%3Dpayment&min=220&sort=duration/);
    await page.goBack();
    await page.getByRole('link', { name: /^edge to order fails/ }).click();
    await page.waitForURL(/service=gateway&attr=server.address%3Dorder&errors=1/);
  });
});

test('a hundred bricks and three hundred instances are a map that can be read and opened', async () => {
  mock.world.wide = true;
  await visit('/', async (page) => {
    await page.getByText(/^10\d bricks in \d+ groups$/).waitFor();
    assert.match(await page.locator('.tile').last().innerText(), /300 \/ 300/);
    assert.ok((await page.locator('.map .node').count()) <= 24);
    await page.getByRole('button', { name: /^billing-\*: / }).click();
    await panel(page).getByRole('button', { name: 'billing-api', exact: true }).waitFor();
    await panel(page).getByRole('button', { name: 'Show its bricks on the map' }).click();
    await page.getByRole('button', { name: /^billing-api: 3\/3 up/ }).waitFor();
    await page.getByRole('button', { name: 'Close all groups' }).click();
    await page.getByRole('button', { name: /^billing-\*: / }).waitFor();
    await page.getByRole('combobox', { name: 'Group' }).selectOption('By zone');
    await page.getByRole('button', { name: /^zone b: / }).waitFor();
    await page.getByRole('button', { name: '8 % of requests to ledger fail' }).click();
    await panel(page).getByRole('heading', { name: 'ledger' }).waitFor();
    await page.locator('.node.kind-group.selected').waitFor();
  });
});

test('a map of a hundred bricks scrolls and takes its news, grouped or not', async () => {
  mock.world.wide = true;
  for (const path of ['/', '/?group=none']) {
    await visit(path, async (page) => {
      await scroll(page, 'html', 30);
    });
  }
});

test('hostile names are text on the map', async () => {
  mock.world.nasty = true;
  await visit('/', async (page) => {
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    await page.getByRole('button', { name: visible(WEIRD) }).first().waitFor();
    assert.doesNotMatch(await page.locator('main').innerText(), /[\u0007\u202e]/);
  });
});

test('every part of the map is reached by keyboard and has a name', () =>
  visit('/', async (page) => {
    const names = await page.locator('.map :is([role=button], a)').evaluateAll((all) => all.map((one) => [one.getAttribute('aria-label'), one.tabIndex]));
    assert.ok(names.length > 20);
    for (const [name, tab] of names) assert.ok(name && tab === 0, `${name} ${tab}`);
  }));

/** Waits until the mock has been asked for the graph as expected. */
async function askedFor(page, synthetic) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!mock.world.asked || mock.world.asked.synthetic !== synthetic) {
    assert.ok(Date.now() < deadline, `the graph was asked for as ${JSON.stringify(mock.world.asked)}`);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
  }
}

test('traffic of test suites is left out unless asked for', async () => {
  mock.world.asked = null;
  await visit('/', async (page) => {
    await askedFor(page, undefined);
    await page.getByRole('combobox', { name: 'Tests' }).selectOption('Alone');
    await page.waitForURL(/tests=only/);
    await askedFor(page, 'only');
  });
});
