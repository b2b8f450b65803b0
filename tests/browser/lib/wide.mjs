// A system of a hundred bricks and three hundred instances, as large organisations have them.
const FAMILIES = ['catalogue', 'billing', 'search', 'fleet'];
const SINGLES = ['cart', 'checkout', 'customer', 'ledger', 'mailer', 'pricing', 'reviews', 'session', 'stock', 'tax', 'vouchers', 'wishlist'];
const PARTS = ['api', 'cache', 'index', 'import', 'export', 'audit', 'jobs', 'rules', 'feed', 'store', 'view', 'sync'];

const names = [
  ...FAMILIES.flatMap((family) => PARTS.map((part) => `${family}-${part}`)),
  ...SINGLES,
  ...Array.from({ length: 40 }, (_, i) => `svc${i + 1}`),
];

export const SYSTEM = {
  name: 'metropolis',
  bricks: names.map((name, i) => ({
    name, replicas: 3,
    needs: [...new Set([names[(i * 7 + 3) % names.length], names[(i * 3 + 11) % names.length], ...(i % 4 ? [] : [names[(i + 1) % names.length]])])].filter((need) => need !== name),
  })),
  routes: SINGLES.map((name) => ({ name, path: `/${name}/**`, to: name, auth: 'public' })),
  externals: [],
};

export function instances() {
  return {
    items: SYSTEM.bricks.flatMap((brick, b) => Array.from({ length: 3 }, (_, i) => ({
      brick: brick.name, version: 'v1', slot: `${brick.name}/${i + 1}`, incarnation: `w-${b}-${i}`, zone: 'abc'[b % 3], addr: `127.0.0.1:${5000 + b * 3 + i}`,
      state: 'ready', ready: true, supervised: true, lease_ms: 9000,
    }))),
  };
}

export function graph(window_s) {
  const edges = [
    ...SYSTEM.routes.map((route, i) => ({ from: 'edge', to: route.to, rate: 40 + i, error_rate: 0, p50_ms: 8, p99_ms: 60 })),
    ...SYSTEM.bricks.flatMap((brick, b) => brick.needs.map((to, i) => ({ from: brick.name, to, rate: 2 + ((b * 13 + i) % 40), error_rate: to === 'ledger' ? 0.08 : 0, p50_ms: 3, p99_ms: b % 31 === 4 ? 420 : 20 }))),
  ];
  const nodes = ['edge', ...names].map((brick) => {
    const into = edges.filter((edge) => (brick === 'edge' ? edge.from : edge.to) === brick);
    const rate = into.reduce((sum, edge) => sum + edge.rate, 0);
    return { brick, kind: brick === 'edge' ? 'edge' : 'brick', instances: 3, rate, error_rate: brick === 'ledger' ? 0.08 : 0, p50_ms: 3, p99_ms: 60 };
  });
  return { window_s, nodes: [...nodes, { brick: 'control', kind: 'platform', instances: 1, rate: 3, error_rate: 0, p50_ms: 1, p99_ms: 4 }], edges };
}
