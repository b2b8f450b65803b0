"""Recommendation: what goes well with a product. A brick in Python's standard library alone.

It shows what any language gets without an SDK: the environment contract. It serves HTTP on PORT, answers /health,
ends on SIGTERM, logs plain text lines that carry the trace id, continues the caller's trace by `traceparent` (W3C
Trace Context) and passes it on when it asks the product brick, and exports its spans by OTLP. Where the manifest says
`proxy = true` its calls go through the host proxy, which urllib finds in HTTP_PROXY: that finds an instance, balances,
tries again, and tells the call as a span, so none is told here. What is left to do is to ask once more where the proxy
itself has just been replaced.
"""

import http.client
import json
import os
import re
import signal
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from otlp import Exporter, Span

PRODUCT_URL = os.environ.get("PRODUCT_URL", "")
PRODUCT_TIMEOUT_S = 0.35
AGAIN_AFTER_S = 0.03
PROXIED = "BRICK_PROXY_URL" in os.environ
MANY = 4
TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")
exporter = Exporter()


def log(level, trace_id, text):
    """One plain line; the platform finds the trace id in it."""
    clean = text.replace("\n", " ").replace("\r", " ")
    print(f"{level} trace_id={trace_id} {clean}" if trace_id else f"{level} {clean}", flush=True)


def connection_lost(error):
    """Whether there was no whole answer because of the connection: whoever was to answer is gone, or not there yet."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(reason, (ConnectionError, http.client.IncompleteRead))


def ask(request):
    """Status and answer, within the time limit; a question may be asked again."""
    end = time.monotonic() + PRODUCT_TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(request, timeout=max(0.001, end - time.monotonic())) as answer:
                return answer.status, json.load(answer)
        except (OSError, http.client.HTTPException) as error:
            if not connection_lost(error) or time.monotonic() + AGAIN_AFTER_S >= end:
                raise
            time.sleep(AGAIN_AFTER_S)


def get_json(path, parent):
    """Asks the product brick; without a proxy as a client span of the same trace."""
    if PROXIED:
        request = urllib.request.Request(PRODUCT_URL + path, headers={"traceparent": parent.traceparent()})
        return ask(request)[1]
    span = Span("GET", Span.CLIENT, parent.trace_id, parent.span_id)
    span.attributes = {"http.request.method": "GET", "server.address": "product", "peer.service": "product"}
    try:
        request = urllib.request.Request(PRODUCT_URL + path, headers={"traceparent": span.traceparent()})
        span.attributes["http.response.status_code"], found = ask(request)
        return found
    except (OSError, ValueError, http.client.HTTPException) as error:
        span.error = str(error)
        raise
    finally:
        exporter.end(span)


def recommend(product_id, parent):
    """Products of the same category, without the one that was asked for."""
    product = get_json("/api/products/" + urllib.parse.quote(product_id, safe=""), parent)
    query = urllib.parse.urlencode({"category": product["category"], "limit": 40})
    found = get_json("/api/products?" + query, parent)["items"]
    others = [item["id"] for item in found if item["id"] != product_id]
    start = sum(product_id.encode()) % max(1, len(others))
    return (others[start:] + others[:start])[:MANY]


class Handler(BaseHTTPRequestHandler):
    """The brick's routes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802 (the name is the standard library's)
        url = urllib.parse.urlsplit(self.path)
        if url.path in ("/health", "/health/live", "/health/ready"):
            self.answer(200, {"status": "up"})
        elif url.path == "/api/recommendations":
            self.recommendations(urllib.parse.parse_qs(url.query))
        else:
            self.problem(404, "not_found", "there is nothing here")

    def recommendations(self, query):
        trace_id, parent_id = self.remote_parent()
        span = Span("GET /api/recommendations", Span.SERVER, trace_id, parent_id)
        span.attributes = {"http.request.method": "GET", "http.route": "/api/recommendations"}
        product_id = query.get("product_id", [""])[0]
        status = 200
        try:
            if not product_id:
                status = 400
                self.problem(400, "product_id", "expected a query parameter product_id")
                return
            items = recommend(product_id, span)
            log("INFO", span.trace_id, f"recommended {len(items)} products for {product_id}")
            self.answer(200, {"items": items})
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            status = 503
            span.error = str(error)
            log("WARN", span.trace_id, f"cannot ask the product brick: {error}")
            self.problem(503, "product_unavailable", "the product brick does not answer", span.trace_id)
        finally:
            span.attributes["http.response.status_code"] = status
            exporter.end(span)

    def remote_parent(self):
        match = TRACEPARENT.match(self.headers.get("traceparent", ""))
        return (match.group(1), match.group(2)) if match else (None, None)

    def problem(self, status, code, detail, trace_id=None):
        body = {"type": "about:blank", "title": self.responses[status][0], "status": status, "code": code}
        body["detail"] = detail
        if trace_id:
            body["trace_id"] = trace_id
        self.answer(status, body, "application/problem+json")

    def answer(self, status, body, kind="application/json"):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Requests are spans, not lines."""


def main():
    """Serves until SIGTERM."""
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), Handler)
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    exporter.start()
    log("INFO", None, f"listening on port {server.server_port}")
    server.serve_forever()
    server.server_close()
    exporter.stop()
    log("INFO", None, "stopped")


if __name__ == "__main__":
    main()
