"""A wall for notes. Stage 7: the filter wants to know who calls."""

import base64
import itertools
import json
import os
import signal
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode
from urllib.request import Request, urlopen

DATABASE = os.environ["DATABASE_URL"].removeprefix("sqlite:")
FILTER_URL = os.environ["FILTER_URL"]
MAX_LENGTH = int(os.environ.get("MAX_LENGTH", "100"))
SHOUT = os.environ.get("FLAG_SHOUT") == "true"
# Headers that belong to the request's trace: a brick passes them on.
CONTEXT = ("traceparent", "tracestate", "baggage")
notes_kept = itertools.count(1)
metrics = {"wall_notes_total": 0}


def log(headers, level, msg):
    """A JSON line is a record: with the trace id it is found from the request that caused it."""
    traceparent = headers.get("traceparent", "").split("-")
    trace_id = traceparent[1] if len(traceparent) == 4 else None
    print(json.dumps({"level": level, "msg": msg, "trace_id": trace_id}))


def database():
    connection = sqlite3.connect(DATABASE, timeout=5)
    connection.execute("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, author TEXT NOT NULL, text TEXT NOT NULL)")
    return connection


def masked(text, headers):
    context = {name: headers[name] for name in CONTEXT if headers[name]}
    with open(os.environ["BRICK_TOKEN_FILE"], encoding="ascii") as token:  # renewed there before it expires
        context["x-brick-identity"] = token.read().strip()
    request = Request(f"{FILTER_URL}/mask?{urlencode({'text': text})}", headers=context)
    with urlopen(request, timeout=0.5) as answer:
        return json.load(answer)["text"]


def author(headers):
    """Who writes. The edge has verified the token already, and nobody but the edge and other bricks gets here: the
    brick listens on loopback alone."""
    payload = headers["Authorization"].removeprefix("Bearer ").split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]


class Wall(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/health":
            self.answer(200, "fine")
        elif self.path == "/metrics":
            self.answer(200, "# TYPE wall_notes_total counter\n" + f"wall_notes_total {metrics['wall_notes_total']}")
        elif self.path == "/":
            with database() as connection:
                rows = connection.execute("SELECT author, text FROM note ORDER BY id")
                notes = [f"{author}: {text}" for author, text in rows]
            self.answer(200, "\n".join(notes) or "An empty wall.")
        else:
            self.answer(404, "There is nothing here.")

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(errors="replace")
        if self.path != "/notes":
            self.answer(404, "There is nothing here.")
        elif not text.strip():
            self.answer(422, "Expected a text, found nothing.")
        elif len(text) > MAX_LENGTH:
            self.answer(422, f"Expected at most {MAX_LENGTH} characters, found {len(text)}.")
        else:
            self.keep(text.upper() if SHOUT else text)

    def keep(self, text):
        try:
            text = masked(text, self.headers)
        except OSError as error:
            log(self.headers, "warn", f"the filter does not answer: {error}")
            self.answer(503, "The filter does not answer; try again in a moment.")
            return
        with database() as connection:
            row = (author(self.headers), text)
            connection.execute("INSERT INTO note (author, text) VALUES (?, ?)", row)
        metrics["wall_notes_total"] = next(notes_kept)
        log(self.headers, "info", f"kept a note of {len(text)} characters")
        self.answer(201, f"Kept: {text}")

    def answer(self, status, text):
        body = (text + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The gateway tells requests; lines are for what matters."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Wall)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"listening on port {server.server_port}")
    server.serve_forever()
