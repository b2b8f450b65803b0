// What a frame costs while something scrolls: frames per second, and the page's own processor time for each. The first
// tells of the machine too; the second does so less. Both are told always, and held where a machine is said to be quiet.
import assert from 'node:assert/strict';

/** Says how fast something was; a fault only with SPEED=1, on a machine that does nothing else. @param {boolean} ok @param {string} told */
export function fast(ok, told) {
  console.log(`# ${told}`);
  if (process.env.SPEED === '1') assert.ok(ok, told);
}

/**
 * @param {string} selector what scrolls
 * @param {number} by pixels a frame, back and forth
 * @param {number} [most_ms] what a frame may cost: half of one, unless said
 */
export async function scroll(page, selector, by, most_ms = 1000 / 120) {
  const ms = 2_500;
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const busy = async () => (await session.send('Performance.getMetrics')).metrics.find((one) => one.name === 'TaskDuration').value;
  const before = await busy();
  const { frames, seconds } = await page.locator(selector).evaluate(async (element, [by, ms]) => {
    const start = performance.now();
    let [frames, top, step] = [0, 0, by];
    while (performance.now() - start < ms) {
      top += step;
      if (top < 0 || top > element.scrollHeight - element.clientHeight) step = -step;
      element.scrollTop = top;
      await new Promise((done) => requestAnimationFrame(done));
      frames += 1;
    }
    return { frames, seconds: (performance.now() - start) / 1000 };
  }, [by, ms]);
  const cost_ms = (((await busy()) - before) / frames) * 1000;
  await session.detach();
  fast(cost_ms < most_ms, `${(frames / seconds).toFixed(1)} frames/s, ${cost_ms.toFixed(1)} ms of the main thread each`);
}
