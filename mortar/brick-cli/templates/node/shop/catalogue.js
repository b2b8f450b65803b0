// The brick catalogue: what can be bought.
import { fileURLToPath } from 'node:url';
import { Problem, run } from './brick.js';

const PRODUCTS = [
  { id: 'kiln', name: 'Kiln', price_cents: 89_900 },
  { id: 'trowel', name: 'Trowel', price_cents: 1_950 },
  { id: 'lamp', name: 'Lamp', price_cents: 3_900 },
];

/** GET /api/products/{id} */
function product({ params: { id } }) {
  const found = PRODUCTS.find((one) => one.id === id);
  if (!found) throw new Problem(404, 'unknown_product', `there is no product "${id}"`);
  return found;
}

export const routes = { 'GET /api/products': () => ({ items: PRODUCTS }), 'GET /api/products/{id}': product };

if (process.argv[1] === fileURLToPath(import.meta.url)) await run(routes);
