// The brick pages: what a browser sees.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Answer, run } from './brick.js';

const PAGE = readFileSync(new URL('page.html', import.meta.url), 'utf8');

export const routes = { 'GET /': () => new Answer(200, PAGE, 'text/html; charset=utf-8') };

if (process.argv[1] === fileURLToPath(import.meta.url)) await run(routes);
