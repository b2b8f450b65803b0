// The console on made-up figures, to look at while working on it: `npm run mock`, then open the address.
import { startMock } from '../lib/mock.mjs';

const { url } = await startMock(Number(process.env.PORT ?? 7799));
console.log(`console ${url}/`);
