// The brick {{name}}, alone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { routes } from './hello.js';
import { running } from './kit.js';

test('a guest is greeted by name', async (t) => {
  const brick = await running(t, routes);
  assert.deepEqual(await brick.ask('GET', '/hello?name=Ann'), { status: 200, value: { message: 'Hello, Ann!' } });
});

test('what is not there is a problem', async (t) => {
  const brick = await running(t, routes);
  const { status, value } = await brick.ask('GET', '/nothing');
  assert.deepEqual([status, value.code], [404, 'not_found']);
});
