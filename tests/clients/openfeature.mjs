// OpenFeature's own SDK with its OFREP provider: evaluates flags and prints what it found.
import { OpenFeature } from '@openfeature/server-sdk';
import { OFREPProvider } from '@openfeature/ofrep-provider';

const [baseUrl, authorization] = process.argv.slice(2);
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers: [['Authorization', authorization]] }));
const client = OpenFeature.getClient();
const of = async (details) => {
  const { value, variant, reason, errorCode } = await details;
  return { value, variant, reason, errorCode };
};
const users = Array.from({ length: 200 }, (_, n) => `user-${n}`);
const split = await Promise.all(users.map((targetingKey) => client.getBooleanValue('split', false, { targetingKey })));
console.log(JSON.stringify({
  plain: await of(client.getBooleanDetails('express', false)),
  targeted: await of(client.getStringDetails('button', 'none', { targetingKey: 'ann', tenant: 'acme' })),
  other: await of(client.getStringDetails('button', 'none', { targetingKey: 'bob' })),
  mistyped: await of(client.getNumberDetails('express', 7)),
  unknown: await of(client.getBooleanDetails('nowhere', true)),
  disabled: await of(client.getBooleanDetails('retired', true)),
  split: users.filter((_, n) => split[n]),
}));
process.exit(0);
