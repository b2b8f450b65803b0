"""An application as others write them: serves HTTP, registers with Eureka by PyPI's py_eureka_client, leaves on SIGTERM."""

import asyncio
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from py_eureka_client import eureka_client


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"depot {self.path} {self.headers.get('x-brick-identity', '').count('.')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


async def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    client = await eureka_client.init_async(
        eureka_server=sys.argv[1], app_name="depot", instance_ip="127.0.0.1", instance_host="127.0.0.1",
        instance_port=server.server_port, renewal_interval_in_secs=1, duration_in_secs=30)
    await ended.wait()
    await client.stop()


asyncio.run(main())
