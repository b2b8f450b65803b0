"""Calls what it needs, as any program does that knows of HTTP_PROXY."""
import os
import socket
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def fetch(url, headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def vault(text):
    host, port = os.environ["BRICK_TCP_VAULT"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(text.encode() + b"\n")
        return 200, connection.makefile("rb").readline()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            status, body = 200, b"ok"
        elif self.path.startswith("/vault/"):
            status, body = vault(self.path[len("/vault/"):])
        elif self.path.startswith("/at/"):
            status, body = fetch("http://" + self.path[len("/at/"):], {})
        else:
            trace = {name: value for name, value in self.headers.items() if name.lower() == "traceparent"}
            status, body = fetch(os.environ["STAMP_URL"] + self.path, trace)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
