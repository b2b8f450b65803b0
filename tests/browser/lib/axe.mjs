// axe-core in a page whose policy forbids foreign scripts: it runs in a world of its own.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Serious and critical findings, each as a line that says where; none is what a test expects. */
export async function audit(page) {
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send('Page.getFrameTree');
  const { executionContextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id, worldName: 'axe' });
  const run = (expression, awaitPromise) => session.send('Runtime.evaluate', { expression, awaitPromise, contextId: executionContextId, returnByValue: true });
  await run(axe, false);
  const { result, exceptionDetails } = await run(
    `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.filter((one) => ['serious', 'critical'].includes(one.impact)).map((one) => one.id + ': ' + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160) + ' ' + node.failureSummary).join(' | ')))`,
    true,
  );
  await session.detach();
  if (exceptionDetails) throw new Error(`axe did not run: ${exceptionDetails.text}`);
  return result.value;
}
