// Recommendation: what goes well with a product. The contract of recommendation.py once more, in another language, with
// what Node has alone: another implementation of it may share its pool, and take its place.
//
// It serves HTTP on PORT, answers /health, ends on SIGTERM, logs plain text lines that carry the trace id, continues the
// caller's trace by `traceparent` (W3C Trace Context) and passes it on when it asks the product brick, and exports its
// spans by OTLP. Where the manifest says `proxy = true` its calls go through the host proxy (HTTP_PROXY), which tells
// them as spans, so none is told here. What is left to do is to ask once more where the proxy itself has just been
// replaced.

import http from 'node:http';

import { Exporter, Span } from './otlp.mjs';

const PRODUCT_URL = process.env.PRODUCT_URL ?? '';
const PRODUCT_TIMEOUT_MS = 350;
const AGAIN_AFTER_MS = 30;
const PROXY = process.env.BRICK_PROXY_URL && process.env.HTTP_PROXY ? new URL(process.env.HTTP_PROXY) : null;
const MANY = 4;
const ANSWER_BYTES_MAX = 1 << 20;
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const exporter = new Exporter();
const connections = new http.Agent({ keepAlive: true, maxSockets: 64 });

/** One plain line; the platform finds the trace id in it. */
function log(level, traceId, text) {
  const clean = text.replaceAll('\n', ' ').replaceAll('\r', ' ');
  console.log(traceId ? `${level} trace_id=${traceId} ${clean}` : `${level} ${clean}`);
}

/** Asks the product brick within the time limit; a question may be asked again where whoever was to answer is gone. */
async function ask(path, traceparent) {
  const end = performance.now() + PRODUCT_TIMEOUT_MS;
  for (;;) {
    try {
      return await askOnce(path, traceparent, Math.max(1, end - performance.now()));
    } catch (error) {
      const lost = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(error.code);
      if (!lost || performance.now() + AGAIN_AFTER_MS >= end) throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_AFTER_MS));
    }
  }
}

/** Asks once; its answer. */
function askOnce(path, traceparent, timeout) {
  const url = new URL(PRODUCT_URL + path);
  const headers = { Host: url.host, traceparent };
  const options = { agent: connections, headers, timeout };
  if (PROXY) {
    Object.assign(options, { host: PROXY.hostname, port: PROXY.port, path: url.href });
    const credentials = `${decodeURIComponent(PROXY.username)}:${decodeURIComponent(PROXY.password)}`;
    headers['Proxy-Authorization'] = `Basic ${Buffer.from(credentials).toString('base64')}`;
  } else {
    Object.assign(options, { host: url.hostname, port: url.port, path: url.pathname + url.search });
  }
  return new Promise((resolve, reject) => {
    const request = http.request(options, (answer) => {
      const pieces = [];
      let size = 0;
      answer.on('data', (piece) => {
        size += piece.length;
        if (size > ANSWER_BYTES_MAX) request.destroy(new Error('its answer is too long'));
        pieces.push(piece);
      });
      answer.on('error', reject);
      answer.on('end', () => {
        clearTimeout(late);
        if (answer.statusCode !== 200) {
          reject(new Error(`HTTP ${answer.statusCode}`));
          return;
        }
        try {
          resolve(JSON.parse(Buffer.concat(pieces).toString()));
        } catch (error) {
          reject(error);
        }
      });
    });
    const late = setTimeout(() => request.destroy(new Error('timed out')), timeout);
    request.on('close', () => clearTimeout(late));
    request.on('error', reject);
    request.end();
  });
}

/** The same; without a proxy as a client span of the same trace. */
async function getJson(path, parent) {
  if (PROXY) return ask(path, parent.traceparent());
  const span = new Span('GET', Span.CLIENT, parent.traceId, parent.spanId);
  span.attributes = { 'http.request.method': 'GET', 'server.address': 'product', 'peer.service': 'product' };
  try {
    const answer = await ask(path, span.traceparent());
    span.attributes['http.response.status_code'] = 200;
    return answer;
  } catch (error) {
    span.error = error.message;
    throw error;
  } finally {
    exporter.end(span);
  }
}

/** Products of the same category, without the one that was asked for. */
async function recommend(productId, parent) {
  const product = await getJson(`/api/products/${encodeURIComponent(productId)}`, parent);
  const query = new URLSearchParams({ category: product.category, limit: '40' });
  const found = (await getJson(`/api/products?${query}`, parent)).items;
  const others = found.map((item) => item.id).filter((id) => id !== productId);
  const sum = Buffer.from(productId).reduce((total, byte) => total + byte, 0);
  const start = sum % Math.max(1, others.length);
  return [...others.slice(start), ...others.slice(0, start)].slice(0, MANY);
}

function send(response, status, body, kind = 'application/json') {
  const data = JSON.stringify(body);
  response.writeHead(status, { 'Content-Type': kind, 'Content-Length': Buffer.byteLength(data) });
  response.end(data);
}

function problem(response, status, code, detail, traceId) {
  const body = { type: 'about:blank', title: http.STATUS_CODES[status], status, code, detail };
  if (traceId) body.trace_id = traceId;
  send(response, status, body, 'application/problem+json');
}

async function recommendations(request, response, query) {
  const [, traceId, parentId] = TRACEPARENT.exec(request.headers.traceparent ?? '') ?? [];
  const span = new Span('GET /api/recommendations', Span.SERVER, traceId, parentId);
  span.attributes = { 'http.request.method': 'GET', 'http.route': '/api/recommendations' };
  const productId = query.get('product_id');
  let status = 200;
  try {
    if (!productId) {
      status = 400;
      problem(response, 400, 'product_id', 'expected a query parameter product_id');
      return;
    }
    const items = await recommend(productId, span);
    log('INFO', span.traceId, `recommended ${items.length} products for ${productId}`);
    send(response, 200, { items });
  } catch (error) {
    status = 503;
    span.error = error.message;
    log('WARN', span.traceId, `cannot ask the product brick: ${error.message}`);
    problem(response, 503, 'product_unavailable', 'the product brick does not answer', span.traceId);
  } finally {
    span.attributes['http.response.status_code'] = status;
    exporter.end(span);
  }
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://recommendation');
  if (request.method !== 'GET') {
    problem(response, 501, 'not_implemented', 'there is nothing but GET');
  } else if (['/health', '/health/live', '/health/ready'].includes(url.pathname)) {
    send(response, 200, { status: 'up' });
  } else if (url.pathname === '/api/recommendations') {
    recommendations(request, response, url.searchParams);
  } else {
    problem(response, 404, 'not_found', 'there is nothing here');
  }
});
server.keepAliveTimeout = 75_000;
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  log('INFO', null, `listening on port ${server.address().port}`);
});
process.on('SIGTERM', () => {
  server.close(async () => {
    await exporter.stop();
    log('INFO', null, 'stopped');
    process.exit(0);
  });
  server.closeIdleConnections();
});
