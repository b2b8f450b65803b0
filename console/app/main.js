// Where the console begins.
import { html, render } from './html.js';
import * as keys from './keys.js';
import * as live from './live.js';
import * as route from './route.js';
import { Shell } from './shell.js';

route.listen();
keys.listen();
live.start();
render(html`<${Shell} />`, /** @type {HTMLElement} */ (document.getElementById('app')));
