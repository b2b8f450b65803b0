// npm's cloud-config-client: reads an application's values by HTTP Basic and prints what it found.
import client from 'cloud-config-client';

const [endpoint, name, profiles, label, user, pass] = process.argv.slice(2);
const config = await client.load({ endpoint, name, profiles, label, auth: { user, pass } });
console.log(JSON.stringify({
  max_lines: config.get('max_lines'),
  pin: config.get('pin'),
  tag: config.get('tags[1]'),
  raw: config.raw.propertySources.map((source) => source.name),
}));
