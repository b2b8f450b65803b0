"""Does as it is told, without knowing of any proxy: fetches by urllib or curl, says a line to any address."""
import os
import socket
import subprocess
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def curl(url):
    done = subprocess.run(["curl", "-s", "-m", "5", url], capture_output=True, check=True)
    return 200, done.stdout


def say(target):
    host, port, text = target.split("/")
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(text.encode() + b"\n")
        return 200, connection.makefile("rb").readline()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        verb, _, rest = self.path.removeprefix("/visitor").lstrip("/").partition("/")
        try:
            if verb == "health":
                status, body = 200, b"ok"
            elif verb == "fetch":
                status, body = fetch("http://" + rest)
            elif verb == "curl":
                status, body = curl("http://" + rest)
            elif verb == "say":
                status, body = say(rest)
            else:
                status, body = 200, str(os.environ.get(rest)).encode()
        except OSError as error:
            status, body = 502, str(error).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
