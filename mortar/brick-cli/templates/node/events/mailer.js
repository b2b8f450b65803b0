// The brick mailer: works the outbox of orders off. An event may come twice (the answer to "done" can get lost), so
// what was mailed is written down, and mailed once.
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { call, log, run } from './brick.js';
import { Journal } from './journal.js';

const POLL_MS = Number(process.env.POLL_MS ?? 1000); // [config.mailer] in brick.toml
const mails = new Map();
const journal = new Journal((mail) => mails.set(mail.event, mail));

/** "Sends" the mail: a real one would go to a mail server here. */
function mail({ id, item, email }) {
  if (mails.has(id)) return;
  const subject = `Your order: ${item}`;
  journal.write({ event: id, email, subject });
  log('mailed', { to: email, subject });
}

/** One round; how many events it took. */
export async function workOff() {
  const { items } = await call('orders', 'GET', '/outbox');
  items.forEach(mail);
  if (items.length) await call('orders', 'POST', '/outbox/done', { body: { ids: items.map(({ id }) => id) } });
  return items.length;
}

/** Rounds until the brick is asked to stop; while orders is away the events wait there. */
async function work(stop) {
  while (!stop.aborted) {
    await workOff().catch((problem) => log(`the outbox waits: ${problem.message}`, { level: 'warn' }));
    await wait(POLL_MS, undefined, { signal: stop }).catch(() => undefined);
  }
}

export const routes = {
  'GET /api/mails': () => ({ items: [...mails.values()].slice(-50).reverse() }),
};

if (process.argv[1] === fileURLToPath(import.meta.url)) await run(routes, work);
