// Spans and their export by OTLP/HTTP protobuf, with what Node has alone.
//
// Only the fields that a span needs are written; the numbers are those of opentelemetry/proto/trace/v1/trace.proto.
// The queue is bounded: what does not fit is dropped and counted.

import { randomBytes } from 'node:crypto';
import http from 'node:http';

const QUEUE_MAX = 1000;
const BATCH_MAX = 256;
const PAUSE_MS = 100;

/** A base-128 number. */
function varint(number) {
  const out = [];
  let left = BigInt(number);
  while (left > 0x7fn) {
    out.push(Number(left & 0x7fn) | 0x80);
    left >>= 7n;
  }
  out.push(Number(left));
  return Buffer.from(out);
}

/** A length-delimited field: bytes, text or a message. */
function blob(field, data) {
  const bytes = Buffer.from(data);
  return Buffer.concat([varint((field << 3) | 2), varint(bytes.length), bytes]);
}

/** A varint field. */
function number(field, value) {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

/** A fixed64 field, as times are written. */
function fixed64(field, value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return Buffer.concat([varint((field << 3) | 1), bytes]);
}

/** A KeyValue with a text or whole-number value. */
function attribute(field, key, value) {
  const any = Number.isInteger(value) ? number(3, value) : blob(1, String(value));
  return blob(field, Buffer.concat([blob(1, key), blob(2, any)]));
}

function nowNs() {
  return BigInt(Date.now()) * 1_000_000n;
}

/** One operation; it joins the given trace or begins one. */
export class Span {
  static SERVER = 2;
  static CLIENT = 3;

  constructor(name, kind, traceId, parentId) {
    this.name = name;
    this.kind = kind;
    this.traceId = traceId ?? randomBytes(16).toString('hex');
    this.spanId = randomBytes(8).toString('hex');
    this.parentId = parentId;
    this.startNs = nowNs();
    this.begun = process.hrtime.bigint();
    this.endNs = 0n;
    this.attributes = {};
    this.error = null;
  }

  /** What a request made inside this span carries. */
  traceparent() {
    return `00-${this.traceId}-${this.spanId}-01`;
  }

  /** The span as a protobuf message. */
  encode() {
    const parts = [blob(1, Buffer.from(this.traceId, 'hex')), blob(2, Buffer.from(this.spanId, 'hex'))];
    if (this.parentId) parts.push(blob(4, Buffer.from(this.parentId, 'hex')));
    parts.push(blob(5, this.name), number(6, this.kind), fixed64(7, this.startNs), fixed64(8, this.endNs));
    for (const [key, value] of Object.entries(this.attributes)) parts.push(attribute(9, key, value));
    if (this.error) {
      parts.push(blob(15, Buffer.concat([blob(2, this.error.slice(0, 200)), number(3, 2)])));
    }
    return Buffer.concat(parts);
  }
}

/** Sends ended spans in batches; it never makes a request wait. */
export class Exporter {
  constructor() {
    this.endpoint = process.env.OTEL_EXPORTER_OTLP_ENDPOINT ?? '';
    this.queue = [];
    this.dropped = 0;
    this.sending = null;
    const pairs = (process.env.OTEL_RESOURCE_ATTRIBUTES ?? '').split(',').filter(Boolean);
    const parts = [attribute(1, 'service.name', process.env.OTEL_SERVICE_NAME ?? 'recommendation')];
    for (const pair of pairs) {
      const [key, ...value] = pair.split('=');
      parts.push(attribute(1, key, value.join('=')));
    }
    this.resource = Buffer.concat(parts);
  }

  /** Ends a span and queues it. */
  end(span) {
    span.endNs = span.startNs + (process.hrtime.bigint() - span.begun);
    if (!this.endpoint) return;
    if (this.queue.length >= QUEUE_MAX) {
      this.dropped += 1;
      return;
    }
    this.queue.push(span);
    this.sending ??= this.run(PAUSE_MS);
  }

  /** Sends what is queued, within a second. */
  async stop() {
    const late = new Promise((resolve) => setTimeout(resolve, 1000).unref());
    await Promise.race([this.sending ?? this.run(0), late]);
  }

  /** Takes spans off the queue and sends them, a batch at a time. */
  async run(pauseMs) {
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    while (this.queue.length > 0) await this.send(this.queue.splice(0, BATCH_MAX));
    this.sending = null;
  }

  /** One request; what cannot be delivered is dropped and counted. */
  send(spans) {
    const scope = Buffer.concat(spans.map((span) => blob(2, span.encode())));
    const body = blob(1, Buffer.concat([blob(1, this.resource), blob(2, scope)]));
    return new Promise((resolve) => {
      const lost = () => {
        this.dropped += spans.length;
        resolve();
      };
      const headers = { 'Content-Type': 'application/x-protobuf', 'Content-Length': body.length };
      const options = { method: 'POST', headers, timeout: 2000 };
      const request = http.request(`${this.endpoint}/v1/traces`, options, (answer) => {
        answer.resume();
        answer.on('end', resolve);
        answer.on('error', lost);
      });
      request.on('timeout', () => request.destroy(new Error('timed out')));
      request.on('error', lost);
      request.end(body);
    });
  }
}
