// Each brick alone, what it needs mocked.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problem } from './brick.js';
import * as catalogue from './catalogue.js';
import { mock, running } from './kit.js';
import * as orders from './orders.js';
import * as pages from './pages.js';

test('products are listed and read', async (t) => {
  const brick = await running(t, catalogue.routes);
  assert.equal((await brick.ask('GET', '/api/products')).value.items.length, 3);
  assert.equal((await brick.ask('GET', '/api/products/lamp')).value.price_cents, 3_900);
  assert.equal((await brick.ask('GET', '/api/products/none')).status, 404);
});

test('an order is placed at the price of the catalogue and kept, and what cannot be ordered is refused', async (t) => {
  await mock(t, 'catalogue', {
    'GET /api/products/{id}': ({ params }) => {
      if (params.id !== 'lamp') throw new Problem(404, 'unknown_product', 'there is no such product');
      return { name: 'Lamp', price_cents: 3_900 };
    },
  });
  const brick = await running(t, orders.routes);
  const { status, value } = await brick.ask('POST', '/api/orders', { product_id: 'lamp', quantity: 2 });
  assert.deepEqual([status, value.total_cents], [201, 7_800]);
  assert.deepEqual((await brick.ask('GET', '/api/orders')).value.items, [value]);
  for (const [product_id, quantity, expect] of [['none', 1, 404], ['lamp', 0, 422], ['lamp', 11, 422]]) {
    assert.equal((await brick.ask('POST', '/api/orders', { product_id, quantity })).status, expect);
  }
});

test('the page is served', async (t) => {
  const brick = await running(t, pages.routes);
  assert.match((await brick.ask('GET', '/')).value, /\/api\/products/);
});
