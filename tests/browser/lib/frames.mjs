// What a frame costs while something scrolls: frames per second, and the page's own processor time for each. The first
// tells of the machine too; the second does not, so that is what tests hold.

/**
 * @param {string} selector what scrolls
 * @param {number} by pixels a frame, back and forth
 * @param {number} [ms] for how long
 */
export async function scroll(page, selector, by, ms = 2_500) {
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
  console.log(`# ${(frames / seconds).toFixed(1)} frames/s, ${cost_ms.toFixed(1)} ms of the main thread each`);
  await session.detach();
  return { perSecond: frames / seconds, cost_ms };
}
