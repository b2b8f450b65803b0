// Spans and their export by OTLP/HTTP protobuf, in Node's standard library alone.
//
// Only the fields that a span needs are written; the numbers are those of opentelemetry/proto/trace/v1/trace.proto.
// The queue is bounded: what does not fit is dropped and counted.
import { randomBytes } from 'node:crypto';

const QUEUE_MAX = 1000;
const EVERY_MS = 100;

/** A base-128 number. */
function varint(number) {
  const out = [];
  let left = BigInt(number);
  for (; left > 0x7fn; left >>= 7n) out.push(Number(left & 0x7fn) | 0x80);
  out.push(Number(left));
  return Buffer.from(out);
}

/** A length-delimited field: bytes, text or a message. */
function blob(field, data) {
  const bytes = Buffer.isBuffer(data) ? data : Buffer.from(String(data));
  return Buffer.concat([varint((field << 3) | 2), varint(bytes.length), bytes]);
}

const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);

/** A fixed64 field, as times are written. */
function fixed64(field, value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return Buffer.concat([varint((field << 3) | 1), bytes]);
}

/** A KeyValue with a text or whole-number value. */
function attribute(field, key, value) {
  const any = Number.isInteger(value) && value >= 0 ? number(3, value) : blob(1, value);
  return blob(field, Buffer.concat([blob(1, key), blob(2, any)]));
}

// The clock of spans: wall time at the start, then the monotonic clock.
const [beginNs, beginMs] = [BigInt(Date.now()) * 1_000_000n, performance.now()];
const nowNs = () => beginNs + BigInt(Math.round((performance.now() - beginMs) * 1e6));

/** One operation; it joins the given trace or begins one. */
export class Span {
  static SERVER = 2;
  static CLIENT = 3;

  constructor(name, kind, parent) {
    this.name = name;
    this.kind = kind;
    this.traceId = parent?.traceId ?? randomBytes(16).toString('hex');
    this.parentId = parent?.spanId;
    this.spanId = randomBytes(8).toString('hex');
    this.startNs = nowNs();
    this.attributes = {};
    this.error = null;
  }

  /** What a request made inside this span carries. */
  traceparent() {
    return `00-${this.traceId}-${this.spanId}-01`;
  }

  encode() {
    const parts = [
      blob(1, Buffer.from(this.traceId, 'hex')),
      blob(2, Buffer.from(this.spanId, 'hex')),
      blob(5, this.name),
      number(6, this.kind),
      fixed64(7, this.startNs),
      fixed64(8, this.endNs),
    ];
    if (this.parentId) parts.push(blob(4, Buffer.from(this.parentId, 'hex')));
    for (const [key, value] of Object.entries(this.attributes)) parts.push(attribute(9, key, value));
    if (this.error) parts.push(blob(15, Buffer.concat([blob(2, this.error.slice(0, 200)), number(3, 2)])));
    return Buffer.concat(parts);
  }
}

/** Sends ended spans in batches; it never makes a request wait. */
export class Exporter {
  constructor(env = process.env) {
    this.endpoint = env.OTEL_EXPORTER_OTLP_ENDPOINT;
    this.queue = [];
    this.dropped = 0;
    const pairs = (env.OTEL_RESOURCE_ATTRIBUTES ?? '').split(',').filter(Boolean).map((pair) => pair.split('='));
    const all = [['service.name', env.OTEL_SERVICE_NAME ?? 'brick'], ...pairs];
    this.resource = Buffer.concat(all.map(([key, value]) => attribute(1, key, value ?? '')));
  }

  /** Begins sending, where there is somebody to send to. */
  start() {
    if (this.endpoint) this.timer = setInterval(() => this.flush(), EVERY_MS).unref();
  }

  /** Ends a span and queues it. */
  end(span) {
    span.endNs = nowNs();
    if (!this.endpoint) return;
    if (this.queue.length >= QUEUE_MAX) this.dropped += 1;
    else this.queue.push(span);
  }

  /** One request with what is queued; what cannot be delivered is dropped and counted. */
  async flush() {
    const spans = this.queue.splice(0);
    if (!spans.length) return;
    const scope = Buffer.concat(spans.map((span) => blob(2, span.encode())));
    const body = blob(1, Buffer.concat([blob(1, this.resource), blob(2, scope)]));
    const headers = { 'content-type': 'application/x-protobuf' };
    try {
      const signal = AbortSignal.timeout(2000);
      const answer = await fetch(`${this.endpoint}/v1/traces`, { method: 'POST', headers, body, signal });
      await answer.arrayBuffer();
    } catch {
      this.dropped += spans.length;
    }
  }
}
