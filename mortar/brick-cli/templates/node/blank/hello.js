// The brick {{name}}: greets.
import { fileURLToPath } from 'node:url';
import { run } from './brick.js';

const GREETING = process.env.GREETING ?? 'Hello'; // [config.{{name}}] in brick.toml

/** GET /hello?name=you */
function hello(request) {
  const name = request.query.get('name') ?? 'world';
  request.log('greeted', { name });
  return { message: `${GREETING}, ${name}!` };
}

export const routes = { 'GET /hello': hello };

if (process.argv[1] === fileURLToPath(import.meta.url)) await run(routes);
