// A plausible shop for the mock: the shapes of docs/reference/interfaces.md, with figures that look like a real one.

export const SYSTEM = {
  name: 'shop',
  bricks: [
    { name: 'storefront', version: 'v1', versions: [], needs: ['customer', 'order', 'product', 'recommendation'], replicas: 2 },
    { name: 'order', version: 'v1', versions: [], needs: ['customer', 'product', 'payment', 'shipping'], replicas: 2 },
    { name: 'customer', version: 'v1', versions: [], needs: [], replicas: 1 },
    { name: 'product', version: 'v1', versions: [], needs: [], replicas: 2 },
    { name: 'payment', version: 'v1', versions: [{ version: 'v2', replicas: 0 }], needs: ['psp'], replicas: 1 },
    { name: 'shipping', version: 'v1', versions: [], needs: [], replicas: 1 },
    { name: 'recommendation', version: 'v1', versions: [], needs: ['product'], replicas: 1, optional: true },
  ],
  routes: [
    { name: 'pages', path: '/**', to: 'storefront', auth: 'public' },
    { name: 'products', path: '/api/products/**', to: 'product', auth: 'public' },
    { name: 'customers', path: '/api/customers/**', to: 'customer', auth: 'jwt' },
    { name: 'orders', path: '/api/orders/**', to: 'order', auth: 'jwt' },
  ],
  externals: [{ name: 'psp', url: 'https://psp.example' }],
};

/** Every replica of every brick; `down` names slots that are not ready. */
export function instances(down = []) {
  const items = SYSTEM.bricks.flatMap((brick, b) =>
    Array.from({ length: brick.replicas }, (_, i) => {
      const slot = `${brick.name}/${i + 1}`;
      const ready = !down.includes(slot);
      return {
        brick: brick.name, version: 'v1', slot: i + 1, incarnation: `019a-${b}-${i}`, zone: 'ab'[i % 2],
        addr: `127.0.0.1:${4100 + b * 10 + i}`, state: ready ? 'ready' : 'unready', ready, supervised: true, lease_ms: 9000,
      };
    }),
  );
  return { items };
}

const EDGES = [
  ['edge', 'storefront', 52.4, 0.0012, 4.1, 61],
  ['edge', 'product', 31.8, 0, 1.4, 9.2],
  ['edge', 'order', 6.1, 0.021, 14.2, 148],
  ['storefront', 'product', 44.1, 0, 1.1, 7.4],
  ['storefront', 'customer', 12.9, 0, 1.8, 22],
  ['storefront', 'order', 8.4, 0.018, 12.7, 131],
  ['storefront', 'recommendation', 20.2, 0, 2.9, 18],
  ['recommendation', 'product', 20.2, 0, 0.9, 5.1],
  ['order', 'customer', 14.5, 0, 1.2, 8.8],
  ['order', 'product', 29.2, 0, 1.6, 9.9],
  ['order', 'payment', 14.5, 0.074, 5.2, 88],
  ['order', 'shipping', 13.4, 0, 1.9, 12],
];

/** What the callee saw, and what was lost before it. */
function endOf(rate, error_rate, p50_ms, p99_ms, lossy) {
  const errors = lossy ? 0 : error_rate;
  return { callee: { rate: rate * (1 - error_rate + errors), error_rate: errors, p50_ms: p50_ms * 0.8, p99_ms: p99_ms * 0.9 }, lost: error_rate - errors };
}

export function graph(window_s, shift = 0, { slow = false, platform = false, lossy = false } = {}) {
  const edges = EDGES.map(([from, to, rate, errors, p50, p99]) => (lossy && to === 'recommendation' ? [from, to, rate, 0.31, p50, p99] : [from, to, rate, errors, p50, p99])).map(([from, to, rate, errors, p50, p99]) => (slow && to === 'payment' ? [from, to, rate, 0, 380, 441] : [from, to, rate, errors, p50, p99])).map(([from, to, rate, error_rate, p50_ms, p99_ms]) => ({
    from, to, rate: rate * (1 + 0.06 * Math.sin(shift + rate)), error_rate, p50_ms, p99_ms,
    ...endOf(rate, error_rate, p50_ms, p99_ms, lossy && to === 'recommendation'),
  }));
  const names = ['edge', ...SYSTEM.bricks.map((brick) => brick.name)];
  const nodes = names.map((brick) => {
    const into = edges.filter((edge) => (brick === 'edge' ? edge.from : edge.to) === brick);
    const rate = into.reduce((sum, edge) => sum + edge.rate, 0);
    const failed = into.reduce((sum, edge) => sum + edge.rate * edge.callee.error_rate, 0);
    const slowest = into.reduce((most, edge) => Math.max(most, edge.p99_ms), 0);
    return { brick, kind: brick === 'edge' ? 'edge' : 'brick', instances: 1, rate, error_rate: rate ? failed / rate : 0, p50_ms: 3.2, p99_ms: slowest };
  });
  if (platform) {
    nodes.push({ brick: 'control', kind: 'platform', instances: 1, rate: 2, error_rate: 0, p50_ms: 1, p99_ms: 4 });
    edges.push({ from: 'order', to: 'control', rate: 2, error_rate: 0, p50_ms: 1, p99_ms: 4 });
  }
  return { window_s, nodes, edges };
}

export const METRICS = {
  items: [
    { name: 'http_server_request_duration_seconds', kind: 'histogram', series: 40 },
    { name: 'process_resident_memory_bytes', kind: 'gauge', series: 9 },
    { name: 'shop_orders_placed_total', kind: 'counter', help: 'Orders placed', series: 2 },
    { name: 'shop_revenue_cents_total', kind: 'counter', help: 'Revenue of placed orders', series: 2 },
    { name: 'shop_carts_open', kind: 'gauge', help: 'Carts with a line in them', series: 2 },
  ],
};

export function series(query) {
  const [to, step] = [Number(query.get('to')), Number(query.get('step'))];
  const from = Number(query.get('from'));
  const size = { shop_orders_placed_total: 13, shop_revenue_cents_total: 68_000, shop_carts_open: 41 }[query.get('name')] ?? 1;
  const points = [];
  for (let at = from; at <= to; at += step) points.push([at, size * (1 + 0.3 * Math.sin(at / 47) + 0.12 * Math.sin(at / 9))]);
  return { series: [{ labels: {}, points }] };
}

export const STATS = { spans: 48_211, logs: 20_330, series: 412, bytes: 31_457_280, bytes_max: 50_331_648, evicted_spans: 0, evicted_logs: 0, evicted_points: 0, dropped: 0, refused: 0 };

export const PURCHASE = '4bf92f3577b34da6a3ce929d0e0e4736';
export const NASTY = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';

/** A name with a control character and a right-to-left override in it. */
export const WEIRD = '<b>pay</b>\u202etnem\u0007';

const id = (i) => (0xabc0_0000_0000 + i).toString(16).padStart(16, '0');

/** name, service, parent, start ms, duration ms, kind, status, attributes */
const STEPS = [
  ['POST /checkout', 'gateway', -1, 0, 96, 'server', 'ok', { 'http.request.method': 'POST', 'http.response.status_code': 303, 'url.path': '/checkout' }],
  ['POST', 'gateway', 0, 1, 94, 'client', 'ok', { 'server.address': 'storefront', 'peer.service': 'storefront' }],
  ['POST /checkout', 'storefront', 1, 2, 92, 'server', 'ok', { 'http.route': '/checkout' }],
  ['SELECT sessions', 'storefront', 2, 3, 0.8, 'client', 'ok', { 'db.system.name': 'sqlite', 'db.query.text': 'SELECT data FROM sessions WHERE id = $1' }],
  ['POST', 'storefront', 2, 5, 86, 'client', 'ok', { 'server.address': 'order' }],
  ['POST /api/orders', 'order', 4, 6, 84, 'server', 'ok', { 'http.route': '/api/orders', 'http.response.status_code': 201 }],
  ['GET', 'order', 5, 7, 7, 'client', 'ok', { 'server.address': 'customer' }],
  ['GET /api/customers/{id}', 'customer', 6, 8, 5, 'server', 'ok', { 'http.route': '/api/customers/{id}' }],
  ['SELECT customers', 'customer', 7, 9, 1.2, 'client', 'ok', { 'db.system.name': 'sqlite', 'db.namespace': 'customer' }],
  ['POST', 'order', 5, 15, 14, 'client', 'ok', { 'server.address': 'product' }],
  ['POST /api/products/{id}/reservations', 'product', 9, 16, 12, 'server', 'ok', {}],
  ['UPDATE products', 'product', 10, 18, 6, 'client', 'ok', { 'db.operation.name': 'UPDATE', 'db.system.name': 'sqlite' }],
  ['POST', 'order', 5, 30, 38, 'client', 'ok', { 'server.address': 'payment' }],
  ['POST /api/payments', 'payment', 12, 31, 36, 'server', 'ok', { 'http.response.status_code': 201 }],
  ['INSERT payments', 'payment', 13, 33, 4.5, 'client', 'ok', { 'db.system.name': 'sqlite' }],
  ['authorise', 'payment', 13, 39, 26, 'internal', 'ok', { 'payment.provider': 'psp' }],
  ['POST', 'order', 5, 70, 9, 'client', 'ok', { 'server.address': 'shipping' }],
  ['POST /api/shipments', 'shipping', 16, 71, 7, 'server', 'ok', { 'http.response.status_code': 202 }],
  ['INSERT shipments', 'shipping', 17, 72, 3, 'client', 'ok', { 'db.system.name': 'sqlite' }],
  ['INSERT orders', 'order', 5, 81, 7, 'client', 'ok', { 'db.system.name': 'sqlite', 'db.query.text': 'INSERT INTO orders (id, customer_id, total_cents) VALUES ($1, $2, $3)' }],
];

const LINES = [
  [2, 'info', 'checkout of 2 lines', { cart_lines: 2 }],
  [5, 'info', 'order accepted', { order_id: '019a42' }],
  [10, 'info', 'stock reserved', { product_id: 'lamp-07', quantity: 1 }],
  [13, 'warn', 'provider is slow, retrying once', { attempt: 1 }],
  [15, 'info', 'payment authorised', { amount_cents: 5980 }],
  [17, 'info', 'shipment requested', { ticket: 'S-1042' }],
  [19, 'info', 'order placed', { order_id: '019a42', total_cents: 5980 }],
];

const BASE_MS = 1_795_213_000_000;

/** The same with a provider that takes 400 ms: the spans above it last longer, those behind it begin later. */
function slowed([operation, service, parent, start, took, ...rest], i) {
  const above = [0, 1, 2, 4, 5, 12, 13, 15].includes(i);
  return [operation, service, parent, start + (start > 65 ? 400 : 0), took + (above ? 400 : 0), ...rest];
}

/** One purchase; `slow` with a late provider, the `first` spans of it, begun `at`; `nasty` puts hostile text wherever text can stand. */
export function purchase({ failed = false, nasty = false, slow = false, at = BASE_MS, first = STEPS.length } = {}) {
  const base = BigInt(at) * 1_000_000n;
  const steps = (slow ? STEPS.map(slowed).filter((_, i) => i !== STEPS.length - 1) : STEPS).slice(0, first);
  const spans = steps.map(([operation, service, parent, start, took, kind, status, attributes], i) => ({
    span_id: id(i), ...(parent >= 0 && { parent_id: id(parent) }), service, instance: `${service}/1`, version: 'v1', zone: 'a',
    operation: nasty ? NASTY : operation, kind,
    start_unix_ns: String(base + BigInt(Math.round(start * 1e6))), duration_ns: Math.round(took * 1e6),
    status: failed && i >= 12 && i <= 13 ? 'error' : status === 'ok' ? 'unset' : status,
    attributes: nasty ? { [NASTY]: NASTY } : attributes,
    events: i === 13 ? [{ name: nasty ? NASTY : 'retry', time_unix_ns: String(base + 37_000_000n), attributes: { attempt: 1 } }] : [],
  }));
  const logs = LINES.filter(([span]) => span < steps.length).map(([span, level, msg, fields]) => ({
    id: String(900_000 + span), ts: new Date(at + STEPS[span][3] + 1).toISOString(), brick: STEPS[span][1], version: 'v1', instance: `${STEPS[span][1]}/1`,
    level, msg: nasty ? NASTY : msg, trace_id: PURCHASE, span_id: id(span), fields: nasty ? { x: NASTY } : fields,
  }));
  return { trace_id: PURCHASE, spans, logs };
}

/** A trace of any size: a root with chains of ten below it. */
export function large(n) {
  const base = BigInt(BASE_MS) * 1_000_000n;
  const names = SYSTEM.bricks.map((brick) => brick.name);
  const spans = Array.from({ length: n }, (_, i) => ({
    span_id: id(i), ...(i > 0 && { parent_id: id(i % 10 === 1 ? 0 : i - 1) }), service: names[i % names.length], instance: 'x/1', version: 'v1',
    zone: 'a', operation: `step ${i}`, kind: 'internal', start_unix_ns: String(base + BigInt(i) * 1000n), duration_ns: 50_000, status: 'unset', attributes: {}, events: [],
  }));
  return { trace_id: 'f'.repeat(32), spans, logs: [] };
}

const ROOTS = [
  ['gateway', 'POST /checkout', 96, ['gateway', 'storefront', 'order', 'customer', 'product', 'payment', 'shipping']],
  ['gateway', 'GET /', 12.4, ['gateway', 'storefront', 'product', 'recommendation']],
  ['gateway', 'GET /api/products', 3.1, ['gateway', 'product']],
  ['gateway', 'POST /api/orders', 148, ['gateway', 'order', 'customer', 'product', 'payment']],
  ['gateway', 'GET /products/{id}', 8.7, ['gateway', 'storefront', 'product']],
  ['gateway', 'POST /signin', 24.2, ['gateway', 'storefront', 'customer']],
];

/** Traces that match, newest first. */
export function tracesOf(query, { nasty = false } = {}) {
  const all = Array.from({ length: 60 }, (_, i) => {
    const [root_service, root_operation, took, names] = ROOTS[i % ROOTS.length];
    const error = i % 17 === 3;
    return {
      trace_id: i === 0 ? PURCHASE : (0x1000_0000 + i * 7919).toString(16).padStart(32, 'c'), root_service,
      root_operation: nasty ? NASTY : root_operation, start: new Date(Date.now() - 4000 - i * 3700).toISOString(),
      duration_ms: took * (1 + 0.5 * Math.sin(i * 2.1)), spans: names.length * 3 - 1, error, ...(i % 13 === 5 && { synthetic: 'smoke' }),
      services: names.map((name, n) => ({ name, spans: n ? 3 : 2, errors: error && n === names.length - 1 ? 1 : 0 })),
    };
  });
  const errors = query.get('error');
  const [since, until] = ['since', 'until'].map((name) => momentOf(query.get(name)));
  const tests = query.get('synthetic') ?? 'true';
  return all.filter(
    (one) =>
      (!query.get('service') || one.services.some((service) => service.name === query.get('service'))) &&
      (!query.get('operation') || one.root_operation.includes(query.get('operation'))) &&
      (!errors || one.error === (errors === 'true')) &&
      (tests === 'true' || Boolean(one.synthetic) === (tests === 'only')) &&
      (since === null || Date.parse(one.start) >= since) && (until === null || Date.parse(one.start) < until) &&
      one.duration_ms >= Number(query.get('min_duration_ms') || 0) && one.duration_ms <= Number(query.get('max_duration_ms') || Infinity),
  );
}

/** A duration ago, or a time; null where there is none. */
export function momentOf(text) {
  if (!text) return null;
  const ago = /^(\d+)([smhd])$/.exec(text);
  return ago ? Date.now() - Number(ago[1]) * { s: 1e3, m: 6e4, h: 36e5, d: 864e5 }[ago[2]] : Date.parse(text);
}

export function summaries(query, world) {
  const found = tracesOf(query, world);
  const from = Number(query.get('cursor') ?? 0);
  const limit = Number(query.get('limit') ?? 20);
  const next = from + limit < found.length ? String(from + limit) : null;
  return { items: found.slice(from, from + limit), next };
}

export function traceFacets(query, world) {
  const found = tracesOf(query, world);
  const count = (valuesOf, failed) => {
    const all = new Map();
    for (const one of found) {
      for (const value of valuesOf(one)) {
        const held = all.get(value) ?? { value, count: 0, errors: 0 };
        held.count += 1;
        held.errors += Number(failed(one, value));
        all.set(value, held);
      }
    }
    return [...all.values()].sort((a, b) => b.count - a.count).slice(0, 50);
  };
  return {
    service: count((one) => one.services.map((service) => service.name), (one, name) => one.services.some((service) => service.name === name && service.errors > 0)),
    operation: count((one) => [one.root_operation], (one) => one.error),
    status: count((one) => [one.error ? 'error' : 'ok'], () => false).map(({ value, count: n }) => ({ value, count: n })),
  };
}

const BOUNDS_MS = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];

export function heatmap(query, world) {
  const columns = Number(query.get('columns') ?? 60);
  const found = tracesOf(query, world);
  const to = Math.ceil((momentOf(query.get('until')) ?? Date.now()) / 1000);
  const step_s = Math.max(1, Math.ceil((to - (momentOf(query.get('since')) ?? Date.now() - 9e5) / 1000) / columns));
  const from_unix_s = to - step_s * columns;
  const cells = Array.from({ length: columns }, () => Array.from({ length: BOUNDS_MS.length + 1 }, () => [0, 0]));
  for (const one of found) {
    const x = Math.min(columns - 1, Math.max(0, Math.floor((Date.parse(one.start) / 1000 - from_unix_s) / step_s)));
    const above = BOUNDS_MS.findIndex((bound) => one.duration_ms < bound);
    const cell = cells[x][above < 0 ? BOUNDS_MS.length : above];
    cell[0] += 1;
    cell[1] += Number(one.error);
  }
  return { from_unix_s, step_s, bounds_ms: BOUNDS_MS, cells };
}
