// Each brick alone, what it needs mocked.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Problem } from './brick.js';
import { Journal } from './journal.js';
import { mock, running } from './kit.js';
import * as mailer from './mailer.js';
import * as orders from './orders.js';

test('an order leaves an event until it is done', async (t) => {
  const brick = await running(t, orders.routes);
  const wish = { item: 'lamp', email: 'ann@example.org' };
  assert.equal((await brick.ask('POST', '/api/orders', wish)).status, 202);
  const [event] = (await brick.ask('GET', '/outbox')).value.items;
  assert.equal(event.kind, 'order.placed');
  assert.equal((await brick.ask('POST', '/outbox/done', { ids: [event.id] })).status, 204);
  assert.deepEqual((await brick.ask('GET', '/outbox')).value.items, []);
  assert.equal((await brick.ask('POST', '/api/orders', { item: 'lamp' })).status, 422);
});

test('an event that comes again and again is mailed once', async (t) => {
  const event = { id: 'e1', kind: 'order.placed', item: 'lamp', email: 'ann@example.org' };
  await mock(t, 'orders', {
    'GET /outbox': () => ({ items: [event] }),
    'POST /outbox/done': () => {
      throw new Problem(503, 'away', 'the answer gets lost');
    },
  });
  await assert.rejects(mailer.workOff());
  await assert.rejects(mailer.workOff());
  const brick = await running(t, mailer.routes);
  const { items } = (await brick.ask('GET', '/api/mails')).value;
  assert.deepEqual(items.map(({ email }) => email), ['ann@example.org']);
});

test('a journal is read again, without a last line that a crash cut off', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'journal-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const url = `sqlite:${join(folder, 'x.db')}`;
  const first = new Journal(() => undefined, url);
  first.write({ n: 1 });
  first.close();
  writeFileSync(join(folder, 'x.db.jsonl'), '{"n":2', { flag: 'a' });
  const seen = [];
  const second = new Journal((change) => seen.push(change.n), url);
  second.write({ n: 3 });
  second.close();
  assert.deepEqual(seen, [1, 3]);
});
