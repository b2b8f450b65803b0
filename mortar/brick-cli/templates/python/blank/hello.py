"""The brick {{name}}: greets."""

import os

import brick

GREETING = os.environ.get("GREETING", "Hello")  # [config.{{name}}] in brick.toml


def hello(request):
    """GET /hello?name=you"""
    name = request.query.get("name", "world")
    request.log("greeted", name=name)
    return {"message": f"{GREETING}, {name}!"}


ROUTES = {("GET", "/hello"): hello}

if __name__ == "__main__":
    brick.run(ROUTES)
