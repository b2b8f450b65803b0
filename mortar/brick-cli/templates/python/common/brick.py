"""The platform's side of a brick, in Python's standard library alone.

It serves HTTP on PORT, answers /health/ready, logs JSON lines, continues the caller's trace and exports spans, finds
the bricks that it needs, and ends on SIGTERM. A brick gives it routes: {("GET", "/hello/{name}"): handler}, each a
function of a Request that returns a value, (status, value), or a Text.
"""

import json
import os
import re
import signal
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from otlp import Exporter, Span

NAME = os.environ.get("BRICK_NAME", "brick")
BODY_BYTES_MAX = 1024 * 1024
TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$")
exporter = Exporter()
out = sys.stdout


class Problem(Exception):
    """An answer that says no: application/problem+json (RFC 9457)."""

    def __init__(self, status, code, detail):
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class Text(str):
    """An answer that is a page, not JSON."""

    kind = "text/html; charset=utf-8"


class Request:
    """What a handler gets."""

    def __init__(self, method, path, query, params, body, span, baggage=""):
        self.method, self.path, self.query, self.params = method, path, query, params
        self.body, self.span, self.baggage = body, span, baggage

    def json(self):
        """The body as an object."""
        try:
            value = json.loads(self.body or b"null")
        except ValueError as error:
            raise Problem(400, "invalid_json", f"the body is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise Problem(400, "invalid_body", "expected a JSON object")
        return value

    def log(self, text, level="info", **fields):
        """A line that is found by this request's trace."""
        log(text, level, self.span, **fields)

    def call(self, brick, method, path, body=None, timeout_s=0.5):
        """Asks a needed brick, in this request's trace; answers the JSON or raises Problem."""
        return call(brick, method, path, body, timeout_s, self.span, self.baggage)


def log(text, level="info", span=None, **fields):
    """One JSON line on stdout."""
    line = {"ts": datetime.now(timezone.utc).isoformat(), "level": level, "target": NAME, "msg": text, **fields}
    if span:
        line.update(trace_id=span.trace_id, span_id=span.span_id)
    print(json.dumps(line), file=out, flush=True)


def own_token():
    """The process's own token; the agent renews it in its file."""
    try:
        with open(os.environ["BRICK_TOKEN_FILE"], encoding="utf-8") as file:
            return file.read().strip()
    except (KeyError, OSError):
        return None


class Discovery:
    """Where the needed bricks are: control's registry, asked at most once a second; the last answer while it is away."""

    def __init__(self):
        self.lock, self.known, self.asked_at, self.turn = threading.Lock(), {}, 0.0, 0

    def address(self, brick):
        """One ready instance, each in its turn."""
        with self.lock:
            if time.monotonic() - self.asked_at > 1:
                self.asked_at = time.monotonic()
                self.ask()
            found = self.known.get(brick)
            if not found:
                first = os.environ.get(brick.upper().replace("-", "_") + "_URL")
                if not first:
                    raise Problem(503, "no_instance", f"no instance of {brick} is known")
                return first
            self.turn += 1
            return found[self.turn % len(found)]

    def ask(self):
        """Reads the registry."""
        control = os.environ.get("BRICK_CONTROL_URL")
        if not control:
            return
        request = urllib.request.Request(control + "/api/registry/v1/instances")
        request.add_header("Authorization", f"Bearer {own_token()}")
        try:
            with urllib.request.urlopen(request, timeout=1) as answer:
                items = json.load(answer)["items"]
        except (OSError, ValueError, KeyError):
            return
        known = {}
        for item in items:
            if item["ready"]:
                known.setdefault(item["brick"], []).append("http://" + item["addr"])
        self.known = known


discovery = Discovery()


def call(brick, method, path, body=None, timeout_s=0.5, parent=None, baggage=""):
    """One call to a needed brick as a client span; answers the JSON or raises Problem."""
    span = Span(method, Span.CLIENT, parent and parent.trace_id, parent and parent.span_id)
    span.attributes = {"http.request.method": method, "server.address": brick, "peer.service": brick}
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(discovery.address(brick) + path, data=data, method=method)
        headers = {"traceparent": span.traceparent(), "baggage": baggage, "x-brick-identity": own_token()}
        headers["Content-Type"] = "application/json" if data else None
        for name, value in headers.items():
            if value:
                request.add_header(name, value)
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            span.attributes["http.response.status_code"] = answer.status
            text = answer.read()
            return json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        span.attributes["http.response.status_code"] = error.code
        told = problem_of(error)
        raise Problem(error.code if error.code in (404, 409, 422) else 502, *told) from error
    except (OSError, ValueError) as error:
        span.error = str(error)
        raise Problem(503, "unavailable", f"{brick} does not answer: {error}") from error
    finally:
        # What a worker asks again and again, and gets, is no trace.
        if parent or "http.response.status_code" not in span.attributes:
            exporter.end(span)


def problem_of(error):
    """Code and detail of a problem document."""
    try:
        told = json.load(error)
        return str(told["code"]), str(told.get("detail", ""))
    except (OSError, ValueError, KeyError, TypeError):
        return "refused", f"it answered {error.code}"


class Database:
    """The brick's own SQLite database, DATABASE_URL; a transaction is durable when its block ends."""

    def __init__(self, *migrations):
        path = os.environ.get("DATABASE_URL", "sqlite::memory:").removeprefix("sqlite:")
        self.lock = threading.Lock()
        self.connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            self.connection.execute(f"PRAGMA {pragma}")
        with self as tx:
            (done,) = tx.execute("PRAGMA user_version").fetchone()
            for number, sql in enumerate(migrations[done:], done + 1):
                tx.execute(sql)
                tx.execute(f"PRAGMA user_version = {number}")

    def __enter__(self):
        self.lock.acquire()
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            self.lock.release()
            raise
        return self.connection

    def __exit__(self, kind, *_):
        try:
            self.connection.execute("ROLLBACK" if kind else "COMMIT")
        finally:
            self.lock.release()


def compile_routes(routes):
    """Routes with a pattern for each path."""
    out = []
    for (method, path), handler in routes.items():
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
        out.append((method, re.compile(pattern + "$"), path, handler))
    return out


class Handler(BaseHTTPRequestHandler):
    """Finds the handler of a request and tells what it answered."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    routes = ()

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413, {"code": "too_large", "detail": f"at most {BODY_BYTES_MAX} bytes"}, "problem")
        body = self.rfile.read(length)
        if url.path in ("/health", "/health/live", "/health/ready"):
            return self.answer(200, {"status": "up", "ready": True})
        match = TRACEPARENT.match(self.headers.get("traceparent", ""))
        span = Span(self.command, Span.SERVER, match and match.group(1), match and match.group(2))
        span.attributes = {"http.request.method": self.command, "url.path": url.path}
        status, value = 500, {"code": "internal", "detail": "something went wrong inside; the log has it"}
        try:
            handler, params = self.find(url.path, span)
            query = {key: values[-1] for key, values in urllib.parse.parse_qs(url.query).items()}
            baggage = self.headers.get("baggage", "")
            value = handler(Request(self.command, url.path, query, params, body, span, baggage))
            status, value = value if isinstance(value, tuple) else (200, value)
        except Problem as problem:
            status, value = problem.status, {"code": problem.code, "detail": problem.detail}
        except Exception as error:  # a handler's mistake is an answer and a log line, never a dead brick
            span.error = repr(error)
            log(f"{self.command} {url.path} failed: {error!r}", "error", span)
        span.attributes["http.response.status_code"] = status
        if status >= 500:
            span.error = span.error or value["detail"]
        if status >= 400:
            value = {"type": "about:blank", "title": value["code"], "status": status, **value, "trace_id": span.trace_id}
        exporter.end(span)
        self.answer(status, value, "problem" if status >= 400 else None, span.trace_id)

    def find(self, path, span):
        """The handler of a path, and what its {words} stand for."""
        others = False
        for method, pattern, route, handler in self.routes:
            match = pattern.match(path)
            if match and method == self.command:
                span.name = f"{method} {route}"
                span.attributes["http.route"] = route
                return handler, {key: urllib.parse.unquote(text) for key, text in match.groupdict().items()}
            others = others or bool(match)
        if others:
            raise Problem(405, "method_not_allowed", f"{self.command} is not for {path}")
        raise Problem(404, "not_found", f"there is nothing at {path}")

    def answer(self, status, value, kind=None, trace_id=None):
        text = isinstance(value, Text)
        data = b"" if value is None else (value if text else json.dumps(value)).encode()
        self.send_response(status)
        if value is not None:
            types = {"problem": "application/problem+json", None: "application/json"}
            self.send_header("Content-Type", value.kind if text else types[kind])
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        if trace_id:
            self.send_header("x-trace-id", trace_id)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve

    def log_message(self, *_):
        """Requests are spans, not lines."""


def server(routes, port=0):
    """A server of these routes on loopback; port 0 takes a free one."""
    own = type("Routes", (Handler,), {"routes": compile_routes(routes)})
    made = ThreadingHTTPServer(("127.0.0.1", port), own)
    made.daemon_threads = True
    return made


def run(routes, *workers):
    """Serves on PORT until SIGTERM; `workers` are functions of an Event that is set then."""
    made = server(routes, int(os.environ.get("PORT", "0")))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: (stop.set(), threading.Thread(target=made.shutdown).start()))
    exporter.start()
    threads = [threading.Thread(target=worker, args=(stop,)) for worker in workers]
    for thread in threads:
        thread.start()
    log(f"listening on port {made.server_port}")
    try:
        made.serve_forever(poll_interval=0.05)
    except KeyboardInterrupt:
        stop.set()
    for thread in threads:
        thread.join(5)
    made.server_close()
    exporter.stop()
    log("stopped")
