"""Spans and their export by OTLP/HTTP protobuf, in the standard library alone.

Only the fields that a span needs are written; the numbers are those of opentelemetry/proto/trace/v1/trace.proto.
The queue is bounded: what does not fit is dropped and counted.
"""

import os
import queue
import secrets
import struct
import threading
import time
import urllib.request

QUEUE_MAX = 1000
BATCH_MAX = 256


def varint(number):
    """A base-128 number."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def blob(field, data):
    """A length-delimited field: bytes, text or a message."""
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def number(field, value):
    """A varint field."""
    return varint(field << 3) + varint(value)


def fixed64(field, value):
    """A fixed64 field, as times are written."""
    return varint(field << 3 | 1) + struct.pack("<Q", value)


def attribute(field, key, value):
    """A KeyValue with a text or whole-number value."""
    any_value = number(3, value) if isinstance(value, int) else blob(1, str(value))
    return blob(field, blob(1, key) + blob(2, any_value))


class Span:
    """One operation; it joins the given trace or begins one."""

    SERVER, CLIENT = 2, 3

    def __init__(self, name, kind, trace_id=None, parent_id=None):
        self.name, self.kind = name, kind
        self.trace_id = trace_id or secrets.token_hex(16)
        self.span_id, self.parent_id = secrets.token_hex(8), parent_id
        self.start_ns, self.end_ns = time.time_ns(), 0
        self.attributes, self.error = {}, None

    def traceparent(self):
        """What a request made inside this span carries."""
        return f"00-{self.trace_id}-{self.span_id}-01"

    def encode(self):
        """The span as a protobuf message."""
        out = blob(1, bytes.fromhex(self.trace_id)) + blob(2, bytes.fromhex(self.span_id))
        if self.parent_id:
            out += blob(4, bytes.fromhex(self.parent_id))
        out += blob(5, self.name) + number(6, self.kind) + fixed64(7, self.start_ns) + fixed64(8, self.end_ns)
        for key, value in self.attributes.items():
            out += attribute(9, key, value)
        if self.error:
            out += blob(15, blob(2, self.error[:200]) + number(3, 2))
        return out


class Exporter:
    """Sends ended spans in batches from a thread of its own; it never makes a request wait."""

    def __init__(self):
        self.endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
        self.queue = queue.Queue(QUEUE_MAX)
        self.dropped = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        pairs = [pair.partition("=") for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",") if pair]
        resource = attribute(1, "service.name", os.environ.get("OTEL_SERVICE_NAME", "recommendation"))
        self.resource = resource + b"".join(attribute(1, key, value) for key, _, value in pairs)

    def start(self):
        """Begins sending, where there is somebody to send to."""
        if self.endpoint:
            self.thread.start()

    def end(self, span):
        """Ends a span and queues it."""
        span.end_ns = time.time_ns()
        if not self.endpoint:
            return
        try:
            self.queue.put_nowait(span)
        except queue.Full:
            self.dropped += 1

    def stop(self):
        """Sends what is queued, within a second."""
        if self.thread.is_alive():
            self.queue.put(None)
            self.thread.join(1.0)

    def run(self):
        """Takes spans off the queue and sends them, a batch at a time."""
        running = True
        while running:
            batch = [self.queue.get()]
            time.sleep(0.1)
            while len(batch) < BATCH_MAX and not self.queue.empty():
                batch.append(self.queue.get_nowait())
            running = None not in batch
            self.send([span for span in batch if span])

    def send(self, spans):
        """One request; what cannot be delivered is dropped and counted."""
        if not spans:
            return
        scope = b"".join(blob(2, span.encode()) for span in spans)
        body = blob(1, blob(1, self.resource) + blob(2, scope))
        headers = {"Content-Type": "application/x-protobuf"}
        request = urllib.request.Request(self.endpoint + "/v1/traces", data=body, headers=headers)
        try:
            urllib.request.urlopen(request, timeout=2).close()
        except OSError:
            self.dropped += len(spans)
