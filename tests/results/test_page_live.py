"""A page that is served while runs go on, in a real Chromium: it loads itself again, and keeps its view."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from snlab.results.reading import collect
from snlab.results.report import page
from tests.results.browser import READY, chromium, needs_chromium, until

pytestmark = [needs_chromium, pytest.mark.slow]
__all__ = ["chromium"]


class Server(ThreadingHTTPServer):
    """Answers with what ``served`` has for a path."""

    daemon_threads = True
    served: dict[str, str]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        found = self.server.served.get(self.path)
        self.send_response(200 if found is not None else 404)
        self.send_header("Content-Type", "text/html" if self.path == "/" else "text/plain")
        self.end_headers()
        self.wfile.write((found or "").encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_served_page_loads_itself_again_and_keeps_its_view(lab: Any, chromium: Any, server: Server) -> None:
    def serve(version: str) -> None:
        text = page(collect(lab.root).runs, live=("/version", version))
        server.served = {"/": text, "/version": f"{version}\n"}

    lab.write("none")
    lab.write("weight_norm")
    serve("1")
    tab = chromium.new_page()
    said: list[str] = []
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(f"http://127.0.0.1:{server.server_port}/#hide.normalizer=none")
    until(tab, READY)
    tab.evaluate("scrollTo(0, 700)")
    tab.evaluate("window.before = true")
    tab.wait_for_timeout(2500)
    assert tab.evaluate("window.before") is True, "nothing was new"
    lab.write("spectral_norm")
    serve("2")
    until(tab, f"{READY} && window.before === undefined")
    assert tab.locator(".legend .entry").all_text_contents() == ["none", "weight norm", "spectral norm"]
    assert tab.locator('.legend [data-normalizer="none"]').get_attribute("aria-pressed") == "false"
    assert tab.evaluate("scrollY") == 700
    assert said == []
    tab.close()
