// The screens there are. Navigation, keys and palette are made of this one list.
import { html } from './html.js';
import { Audit } from './audit.js';
import { Config } from './config.js';
import { Flags } from './flags.js';
import { Logs } from './logs.js';
import { Overview } from './overview.js';
import { Breakers } from './breakers.js';
import { Bricks } from './bricks.js';
import { Traces } from './traces.js';
import { Routes } from './routes.js';
import { Trace } from './trace.js';

/** @typedef {{ path: string, title: string, key: string, about: string, view: () => any }} Screen `key` follows `g` */

/** @type {Screen[]} */
export const SCREENS = [
  { path: '/', title: 'Overview', key: 'o', about: 'Service map and business metrics', view: Overview },
  { path: '/console/bricks', title: 'Bricks', key: 'b', about: 'Every instance, its health; scale, roll, kill, quarantine, log level', view: Bricks },
  { path: '/console/breakers', title: 'Breakers', key: 'k', about: 'Every edge between bricks, its breaker; open and close by hand', view: Breakers },
  { path: '/console/routes', title: 'Routes', key: 'r', about: 'Versions, their shares and rules, canaries', view: Routes },
  { path: '/console/config', title: 'Config', key: 'c', about: 'What counts for a brick and why, changes while it runs', view: Config },
  { path: '/console/flags', title: 'Flags', key: 'f', about: 'Feature flags, who gets what; set and taken back while it runs', view: Flags },
  { path: '/console/traces', title: 'Traces', key: 't', about: 'Search requests, see where their time went', view: Traces },
  { path: '/console/logs', title: 'Logs', key: 'l', about: 'Every line of every brick, live and searched', view: Logs },
  { path: '/console/audit', title: 'Audit', key: 'a', about: 'Who changed what, when and why', view: Audit },
];

const TRACE = /^\/console\/traces\/([0-9a-fA-F]{1,64})$/;

/**
 * What an address shows: its title, the place in the navigation it belongs to, what is drawn. None where there is no
 * such screen.
 * @param {string} path
 * @returns {{ title: string, under: string, view: any } | null}
 */
export function screenAt(path) {
  const trace = TRACE.exec(path);
  if (trace) {
    const view = html`<${Trace} id=${trace[1].toLowerCase()} key=${trace[1]} />`;
    return { title: `Trace ${trace[1].slice(0, 8)}`, under: '/console/traces', view };
  }
  const plain = path.replace(/(.)\/$/, '$1');
  const screen = SCREENS.find((one) => one.path === (plain === '/console' ? '/' : plain));
  return screen ? { title: screen.title, under: screen.path, view: html`<${screen.view} />` } : null;
}
