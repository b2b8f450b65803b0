// The brick orders: takes orders, and writes each down together with the event that tells of it, in one line of its
// journal (an outbox). What happens next is another brick's work, and the customer does not wait for it.
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Answer, Problem, run } from './brick.js';
import { Journal } from './journal.js';

const BATCH = 50;
const placed = new Map();
const outbox = new Map();
const journal = new Journal(({ order, event, done }) => {
  if (order) placed.set(order.id, order);
  if (event) outbox.set(event.id, event);
  for (const id of done ?? []) outbox.delete(id);
});

/** POST /api/orders */
function place(request) {
  const { item, email } = request.json();
  if (typeof item !== 'string' || typeof email !== 'string' || !email.includes('@')) {
    throw new Problem(422, 'invalid_order', 'expected an item and an email such as ann@example.org');
  }
  const order = { id: randomUUID(), item, email };
  journal.write({ order, event: { id: randomUUID(), kind: 'order.placed', item, email } });
  request.log('placed', { order: order.id });
  return new Answer(202, { id: order.id });
}

/** POST /outbox/done: events that have been worked off. */
function done(request) {
  const { ids } = request.json();
  if (!Array.isArray(ids) || !ids.every((id) => typeof id === 'string')) {
    throw new Problem(422, 'invalid_ids', 'expected a list of ids');
  }
  journal.write({ done: ids });
  return new Answer(204);
}

export const routes = {
  'POST /api/orders': place,
  // Events that are to be worked off, oldest first. No route of the edge leads here.
  'GET /outbox': () => ({ items: [...outbox.values()].slice(0, BATCH) }),
  'POST /outbox/done': done,
};

if (process.argv[1] === fileURLToPath(import.meta.url)) await run(routes);
