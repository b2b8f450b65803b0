// Copies the console's libraries from node_modules (pinned by package-lock.json) to console/vendor and writes
// vendor.json: name, version, licence, source package and SHA-384 of each file. Run it after `npm ci`.
//
// The pages use no bundler and no import map (an inline one would need a hole in the content security policy), so
// bare import specifiers become relative ones. That, and dropping the source map reference, is the only change.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, '../node_modules');
const target = join(here, '../../../console/vendor');

/** What is taken: package, file in it, name here. */
const TAKEN = [
  ['preact', 'dist/preact.mjs', 'preact.js'],
  ['preact', 'hooks/dist/hooks.mjs', 'preact-hooks.js'],
  ['@preact/signals-core', 'dist/signals-core.mjs', 'signals-core.js'],
  ['@preact/signals', 'dist/signals.mjs', 'signals.js'],
  ['htm', 'dist/htm.mjs', 'htm.js'],
  ['uplot', 'dist/uPlot.esm.js', 'uplot.js'],
  ['uplot', 'dist/uPlot.min.css', 'uplot.css'],
  ['@dagrejs/dagre', 'dist/dagre.esm.js', 'dagre.js'],
];

/** Bare specifier to the file that stands for it. */
const RELATIVE = {
  preact: './preact.js',
  'preact/hooks': './preact-hooks.js',
  '@preact/signals-core': './signals-core.js',
};

/** @param {string} text */
function relative(text) {
  const linked = text.replace(/\bfrom\s*"([^"./\s][^"\s]*)"/g, (_, name) => {
    const file = RELATIVE[name];
    if (!file) throw new Error(`no vendored file stands for the import "${name}"; add it to RELATIVE`);
    return `from"${file}"`;
  });
  return linked.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, '\n');
}

rmSync(target, { recursive: true, force: true });
mkdirSync(join(target, 'licences'), { recursive: true });
const lock = JSON.parse(readFileSync(join(here, '../package-lock.json'), 'utf8'));
const files = TAKEN.map(([name, path, file]) => {
  const original = readFileSync(join(modules, name, path), 'utf8');
  const text = file.endsWith('.js') ? relative(original) : original;
  writeFileSync(join(target, file), text);
  const { version, license } = JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8'));
  const licence = `licences/${name.replace('@', '').replace('/', '-')}.txt`;
  const bundled = join(modules, name, `${path}.LEGAL.txt`); // dagre carries graphlib within it
  const texts = [join(modules, name, 'LICENSE'), bundled].filter((text) => existsSync(text));
  writeFileSync(join(target, licence), texts.map((text) => readFileSync(text, 'utf8')).join('\n'));
  return {
    file,
    package: name,
    version,
    licence: license,
    licence_text: licence,
    source: `npm:${name}@${version}/${path}`,
    source_integrity: lock.packages[`node_modules/${name}`].integrity,
    changed: text !== original,
    integrity: `sha384-${createHash('sha384').update(text).digest('base64')}`,
  };
});
const note = 'Made by `npm run vendor` in tests/browser; a test checks every hash. `source_integrity` is of the npm tarball.';
writeFileSync(join(target, 'vendor.json'), `${JSON.stringify({ note, files }, null, 2)}\n`);
