// npm's eureka-js-client: two instances of an application register; the first finds an application of the system, renews
// its lease, hears of the second by a delta, and that it left.
import { Eureka } from 'eureka-js-client';

const [url, app, look] = process.argv.slice(2);
const quiet = { debug() {}, info() {}, warn() {}, error: console.error };
const instance = (id, port) => new Eureka({
  logger: quiet,
  shouldUseDelta: true,
  eureka: { serviceUrls: { default: [`${url}/apps/`] }, heartbeatInterval: 100, registryFetchInterval: 100 },
  instance: {
    app, instanceId: id, hostName: '127.0.0.1', ipAddr: '127.0.0.1', vipAddress: app, port: { $: port, '@enabled': true },
    dataCenterInfo: { '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo', name: 'MyOwn' },
  },
});
const done = (what, call) => new Promise((resolve, reject) => {
  call((error) => (error ? reject(new Error(`${what}: ${error.message}`)) : resolve()));
});
const heard = (client, reached) => new Promise((resolve) => {
  const look = setInterval(() => { if (reached(client)) { clearInterval(look); resolve(); } }, 20);
});
const ids = (client) => client.getInstancesByVipAddress(app).map((one) => one.instanceId).sort();

const [first, second] = [instance('js-1', 7001), instance('js-2', 7002)];
await done('start', (told) => first.start(told));
const found = first.getInstancesByAppId(look).map(({ hostName, port, status }) => [hostName, port.$, status]);
await new Promise((resolve) => { first.once('heartbeat', resolve); });
await done('start', (told) => second.start(told));
await heard(first, (client) => ids(client).length === 2);
const both = ids(first);
await done('stop', (told) => second.stop(told));
await heard(first, (client) => ids(client).length === 1);
const left = ids(first);
await done('stop', (told) => first.stop(told));
console.log(JSON.stringify({ found, both, left }));
