"""Masks words that nobody wants to read. Knows nothing of walls and notes."""

import json
import os
import re
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

RUDE = re.compile(r"\b(drat|bother|heck)\b", re.IGNORECASE)


class Filter(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/health":
            self.answer(200, {"status": "up"})
        elif url.path == "/mask":
            text = parse_qs(url.query).get("text", [""])[0]
            self.answer(200, {"text": RUDE.sub(lambda word: "*" * len(word.group()), text)})
        else:
            self.answer(404, {"code": "not_found"})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The gateway tells requests; lines are for what matters."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Filter)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"listening on port {server.server_port}")
    server.serve_forever()
