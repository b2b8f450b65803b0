"""A wall for notes. Stage 2: it keeps them in a database of its own, so that it can die at any moment."""

import os
import signal
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATABASE = os.environ["DATABASE_URL"].removeprefix("sqlite:")


def database():
    connection = sqlite3.connect(DATABASE, timeout=5)
    connection.execute("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    return connection


class Wall(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/health":
            self.answer(200, "fine")
        elif self.path == "/":
            with database() as connection:
                notes = [text for (text,) in connection.execute("SELECT text FROM note ORDER BY id")]
            self.answer(200, "\n".join(notes) or "An empty wall.")
        else:
            self.answer(404, "There is nothing here.")

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(errors="replace")
        if self.path != "/notes":
            self.answer(404, "There is nothing here.")
        elif not text.strip():
            self.answer(422, "Expected a text, found nothing.")
        else:
            with database() as connection:
                connection.execute("INSERT INTO note (text) VALUES (?)", (text,))
            print(f"kept a note of {len(text)} characters")
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
