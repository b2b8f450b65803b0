// How much a tab grows that stays open: `node scripts/soak.mjs [MINUTES] [ROUNDS_PER_SECOND]`, by default an hour at 5.
// A real shop under load, one tab that changes its screen each minute; the heap after a collection, as JSON lines.
import { launch, open } from '../lib/browser.mjs';
import { startShop } from '../lib/shop.mjs';

const minutes = Number(process.argv[2] ?? 60);
const rps = process.argv[3] ?? '5';
const SCREENS = ['/', '/console/logs', '/console/traces', '/console/bricks'];

const shop = await startShop();
let over = false;
let loading;
const browser = await launch();
try {
  const page = await open(browser, shop.console);
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.enable');
  const started = Date.now();
  const end = started + minutes * 60_000;
  loading = (async () => {
    while (!over && Date.now() < end) {
      const rest = Math.min(14 * 60, Math.ceil((end - Date.now()) / 1000));
      await shop.brick('load', 'checkout', '--rps', rps, '--for', `${rest}s`).catch((error) => console.error(String(error)));
    }
  })();
  let first;
  let minute = 0;
  while (Date.now() < end) {
    // By the console's own links, as a reader would: the page is never loaded anew.
    const screen = SCREENS[minute % SCREENS.length];
    await page.locator(`nav a[href="${screen}"]`).first().click();
    minute += 1;
    await new Promise((done) => setTimeout(done, Math.max(0, started + minute * 60_000 - Date.now())));
    await session.send('HeapProfiler.collectGarbage');
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    const { jsEventListeners, nodes } = await session.send('Memory.getDOMCounters');
    // The first five minutes fill the rings.
    if (minute >= Math.min(5, minutes)) first ??= usedSize;
    const grown = first === undefined ? null : Math.round((usedSize - first) / 1e4) / 100;
    console.log(JSON.stringify({ minute, screen, heap_mb: Math.round(usedSize / 1e4) / 100, grown_mb: grown, nodes, listeners: jsEventListeners, trouble: page.trouble }));
  }
} finally {
  over = true;
  await browser.close();
  await shop.stop();
  await loading;
}
