"""For tests: a brick in this process, and others mocked, on free ports."""

import io
import json
import os
import threading
import urllib.error
import urllib.request

import brick

brick.out = io.StringIO()  # log lines do not belong between the results


class Running:
    """Routes that are served until `stop`."""

    def __init__(self, routes):
        self.server = brick.server(routes)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def ask(self, method, path, body=None):
        """Status and answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, read(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, read(error)

    def stop(self):
        """Closes the port."""
        self.server.shutdown()
        self.server.server_close()


def read(answer):
    """The body as JSON, or as text."""
    text = answer.read().decode()
    return json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text


def mock(name, routes):
    """Another brick, found where the environment says."""
    running = Running(routes)
    os.environ[name.upper().replace("-", "_") + "_URL"] = running.url
    return running
