// A real running shop: `brick up` on a copy of systems/shop, everything on free ports. Build first:
// `cargo build --release -p brick-cli -p shop`.
import { execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');
const BRICK = process.env.BRICK ?? join(target, 'release/brick');
const START_MS = 180_000;

/**
 * Starts it and waits until `up` has printed both addresses. Its output goes into the error of a start that fails.
 * @param {(manifest: string) => string} edit changes the copy's manifest
 */
export async function startShop(edit = (manifest) => manifest) {
  const folder = await mkdtemp(join(tmpdir(), 'brickwork-shop-'));
  await cp(join(root, 'systems/shop'), folder, { recursive: true, filter: (path) => !path.includes('.brickwork') });
  const manifest = join(folder, 'brick.toml');
  await writeFile(manifest, edit(await readFile(manifest, 'utf8')));
  const args = ['up', folder, '--no-build', '--edge', '127.0.0.1:0', '--console', '0'];
  const child = spawn(BRICK, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, CARGO_TARGET_DIR: target, NO_COLOR: '1' } });
  const output = [];
  const ended = new Promise((done) => child.once('close', done));
  const found = {};
  const ready = new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${why}\n${output.slice(-60).join('\n')}`));
    const timer = setTimeout(() => fail(`the shop was not ready within ${START_MS} ms`), START_MS);
    child.once('error', (error) => fail(`cannot start ${BRICK}: ${error.message}`));
    child.once('close', (code) => fail(`brick up ended with ${code}`));
    const read = (line) => {
      output.push(line);
      const told = /^\s*(edge|console)\s+(https?:\/\/\S+)/.exec(line);
      if (told) found[told[1]] = told[2];
      if (!found.edge || !found.console) return;
      clearTimeout(timer);
      resolve(undefined);
    };
    createInterface({ input: child.stdout }).on('line', read);
    createInterface({ input: child.stderr }).on('line', (line) => output.push(line));
  });
  /** Runs `brick` on this shop and reads the JSON that it prints. */
  const brick = async (...words) => {
    const { stdout } = await promisify(execFile)(BRICK, ['-C', folder, '--format', 'json', ...words]);
    return stdout.trim() ? JSON.parse(stdout) : undefined;
  };
  /** The rows of `brick ps` of one brick. */
  const instances = async (name) => (await brick('ps')).filter((row) => row.brick === name);
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await ready;
  } catch (error) {
    await stop();
    throw error;
  }
  return { edge: found.edge.replace(/\/$/, ''), console: found.console, output, stop, brick, instances };
}
