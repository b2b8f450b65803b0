// The brick orders: takes orders, at the price that the catalogue says, and keeps them.
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Answer, Problem, run } from './brick.js';
import { Journal } from './journal.js';

const QUANTITY_MAX = Number(process.env.QUANTITY_MAX ?? 10); // [config.orders] in brick.toml
const orders = [];
const journal = new Journal((order) => orders.push(order));

/** POST /api/orders */
async function place(request) {
  const { product_id, quantity } = request.json();
  if (typeof product_id !== 'string' || !Number.isInteger(quantity) || quantity < 1 || quantity > QUANTITY_MAX) {
    throw new Problem(422, 'invalid_order', `expected a product_id and a quantity of 1 to ${QUANTITY_MAX}`);
  }
  const product = await request.call('catalogue', 'GET', `/api/products/${encodeURIComponent(product_id)}`);
  const order = { id: randomUUID(), product: product.name, quantity, total_cents: product.price_cents * quantity };
  journal.write(order);
  request.log('placed', { order: order.id, total_cents: order.total_cents });
  return new Answer(201, order);
}

export const routes = {
  'GET /api/orders': () => ({ items: orders.slice(-50).reverse() }),
  'POST /api/orders': place,
};

if (process.argv[1] === fileURLToPath(import.meta.url)) await run(routes);
