"""The brick pages: what a browser sees."""

from pathlib import Path

import brick

PAGE = brick.Text(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))

ROUTES = {("GET", "/"): lambda _request: PAGE}

if __name__ == "__main__":
    brick.run(ROUTES)
