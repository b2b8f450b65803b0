// The platform's side of a brick, in Node's standard library alone.
//
// It serves HTTP on PORT, answers /health/ready, logs JSON lines, continues the caller's trace and exports spans, finds
// the bricks that it needs, and ends on SIGTERM. A brick gives it routes: { 'GET /hello/{name}': handler }, each an
// (async) function of a request that returns a value, or an Answer where the status matters.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { Exporter, Span } from './otlp.js';

const NAME = process.env.BRICK_NAME ?? 'brick';
const BODY_BYTES_MAX = 1024 * 1024;
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;
const exporter = new Exporter();

/** An answer that says no: application/problem+json (RFC 9457). */
export class Problem extends Error {
  constructor(status, code, detail) {
    super(detail);
    Object.assign(this, { status, code, detail });
  }
}

/** An answer with a status, or of a kind that is not JSON. */
export class Answer {
  constructor(status, value, kind) {
    Object.assign(this, { status, value, kind });
  }
}

/** One JSON line on stdout. */
export function log(msg, { level = 'info', span, ...fields } = {}) {
  const trace = span ? { trace_id: span.traceId, span_id: span.spanId } : {};
  process.stdout.write(
    `${JSON.stringify({ ts: new Date().toISOString(), level, target: NAME, msg, ...fields, ...trace })}\n`,
  );
}

/** The process's own token; the agent renews it in its file. */
async function ownToken() {
  const path = process.env.BRICK_TOKEN_FILE;
  return path ? (await readFile(path, 'utf8').catch(() => '')).trim() : '';
}

// Where the needed bricks are: control's registry, asked at most once a second; the last answer while it is away.
const discovery = { known: new Map(), askedAt: -Infinity, turn: 0 };

/** One ready instance of a brick, each in its turn. */
async function address(brick) {
  if (performance.now() - discovery.askedAt > 1000) {
    discovery.askedAt = performance.now();
    await ask().catch(() => undefined);
  }
  const found = discovery.known.get(brick);
  if (found?.length) return found[(discovery.turn += 1) % found.length];
  const first = process.env[`${brick.toUpperCase().replaceAll('-', '_')}_URL`];
  if (!first) throw new Problem(503, 'no_instance', `no instance of ${brick} is known`);
  return first;
}

async function ask() {
  const control = process.env.BRICK_CONTROL_URL;
  if (!control) return;
  const headers = { authorization: `Bearer ${await ownToken()}` };
  const signal = AbortSignal.timeout(1000);
  const answer = await fetch(`${control}/api/registry/v1/instances`, { headers, signal });
  const known = new Map();
  for (const { brick, addr, ready } of (await answer.json()).items) {
    if (ready) known.set(brick, [...(known.get(brick) ?? []), `http://${addr}`]);
  }
  discovery.known = known;
}

/** One call to a needed brick as a client span; answers the JSON or throws a Problem. */
export async function call(brick, method, path, { body, timeoutMs = 500, parent, baggage } = {}) {
  const span = new Span(method, Span.CLIENT, parent);
  span.attributes = { 'http.request.method': method, 'server.address': brick, 'peer.service': brick };
  const headers = { traceparent: span.traceparent() };
  if (baggage) headers.baggage = baggage;
  if (body !== undefined) headers['content-type'] = 'application/json';
  try {
    const token = await ownToken();
    if (token) headers['x-brick-identity'] = token;
    const signal = AbortSignal.timeout(timeoutMs);
    const data = body === undefined ? undefined : JSON.stringify(body);
    const answer = await fetch((await address(brick)) + path, { method, headers, body: data, signal });
    span.attributes['http.response.status_code'] = answer.status;
    const text = await answer.text();
    const value = text ? JSON.parse(text) : null;
    if (answer.ok) return value;
    const status = [404, 409, 422].includes(answer.status) ? answer.status : 502;
    throw new Problem(status, value?.code ?? 'refused', value?.detail ?? `it answered ${answer.status}`);
  } catch (error) {
    if (error instanceof Problem) throw error;
    span.error = String(error);
    throw new Problem(503, 'unavailable', `${brick} does not answer: ${error.message}`);
  } finally {
    // What a worker asks again and again, and gets, is no trace.
    if (parent || span.error) exporter.end(span);
  }
}

/** Routes with a pattern for each path. */
function compile(routes) {
  return Object.entries(routes).map(([route, handler]) => {
    const [method, path] = route.split(' ');
    const pattern = path.split(/(\{\w+\})/).map((part) =>
      part.startsWith('{') ? `(?<${part.slice(1, -1)}>[^/]+)` : part.replace(/[.*+?^$()|[\]\\]/g, '\\$&'));
    return { method, path, pattern: new RegExp(`^${pattern.join('')}$`), handler };
  });
}

/** The handler of a path, and what its {words} stand for. */
function find(table, method, path, span) {
  const matches = table.filter((route) => route.pattern.test(path));
  const route = matches.find((one) => one.method === method);
  if (!route && matches.length) throw new Problem(405, 'method_not_allowed', `${method} is not for ${path}`);
  if (!route) throw new Problem(404, 'not_found', `there is nothing at ${path}`);
  span.name = `${method} ${route.path}`;
  span.attributes['http.route'] = route.path;
  const words = Object.entries(route.pattern.exec(path).groups ?? {});
  return [route.handler, Object.fromEntries(words.map(([key, text]) => [key, decodeURIComponent(text)]))];
}

async function bodyOf(incoming) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Problem(413, 'too_large', `at most ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** What a handler gets. */
function requestOf(incoming, url, params, body, span) {
  const { baggage } = incoming.headers;
  return {
    method: incoming.method,
    path: url.pathname,
    query: url.searchParams,
    params,
    json() {
      let value;
      try {
        value = JSON.parse(body.toString() || 'null');
      } catch (error) {
        throw new Problem(400, 'invalid_json', `the body is no JSON: ${error.message}`);
      }
      if (value === null || typeof value !== 'object') throw new Problem(400, 'invalid_body', 'expected a JSON object');
      return value;
    },
    /** A line that is found by this request's trace. */
    log: (text, fields) => log(text, { span, ...fields }),
    /** Asks a needed brick, in this request's trace. */
    call: (brick, method, path, options) => call(brick, method, path, { parent: span, baggage, ...options }),
  };
}

async function serve(table, incoming, response) {
  const url = new URL(incoming.url, 'http://brick');
  if (['/health', '/health/live', '/health/ready'].includes(url.pathname)) {
    return send(response, new Answer(200, { status: 'up', ready: true }));
  }
  const [, traceId, spanId] = TRACEPARENT.exec(incoming.headers.traceparent ?? '') ?? [];
  const span = new Span(incoming.method, Span.SERVER, traceId && { traceId, spanId });
  span.attributes = { 'http.request.method': incoming.method, 'url.path': url.pathname };
  let answer;
  try {
    const [handler, params] = find(table, incoming.method, url.pathname, span);
    const value = await handler(requestOf(incoming, url, params, await bodyOf(incoming), span));
    answer = value instanceof Answer ? value : new Answer(200, value);
  } catch (error) {
    const known = error instanceof Problem;
    if (!known) log(`${incoming.method} ${url.pathname} failed: ${error.stack}`, { level: 'error', span });
    const { status, code, detail } = known
      ? error
      : new Problem(500, 'internal', 'something went wrong inside; the log has it');
    if (status >= 500) span.error = known ? detail : String(error);
    const problem = { type: 'about:blank', title: code, status, code, detail, trace_id: span.traceId };
    answer = new Answer(status, problem, 'application/problem+json');
  }
  span.attributes['http.response.status_code'] = answer.status;
  exporter.end(span);
  response.setHeader('x-trace-id', span.traceId);
  send(response, answer);
}

function send(response, { status, value, kind = 'application/json' }) {
  const isText = typeof value === 'string' && kind !== 'application/json';
  if (value === undefined || value === null) return response.writeHead(status).end();
  response.writeHead(status, { 'content-type': kind }).end(isText ? value : JSON.stringify(value));
}

/** A server of these routes on loopback; port 0 takes a free one. */
export async function listen(routes, port = 0) {
  const table = compile(routes);
  const server = createServer((incoming, response) => {
    serve(table, incoming, response).catch((error) => {
      log(`an answer broke off: ${error.message}`, { level: 'warn' });
      response.destroy();
    });
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return server;
}

/** Serves on PORT until SIGTERM; `workers` are async functions of an AbortSignal that fires then. */
export async function run(routes, ...workers) {
  const server = await listen(routes, Number(process.env.PORT ?? 0));
  const stop = new AbortController();
  exporter.start();
  const working = workers.map((worker) => worker(stop.signal));
  log(`listening on port ${server.address().port}`);
  const end = async () => {
    stop.abort();
    server.close();
    server.closeIdleConnections();
    await Promise.allSettled(working);
    await exporter.flush();
    log('stopped');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, end);
}
