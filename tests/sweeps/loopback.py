"""HTTP as wandb's client speaks it, in front of a WandbServer, which knows nothing of it."""

from __future__ import annotations

import gzip
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol


class Server(Protocol):
    def answer(self, query: str, given: dict[str, Any]) -> dict[str, Any]: ...
    def take(self, name: str, sent: dict[str, Any]) -> dict[str, Any]: ...


class ConflictError(ValueError):
    """What is asked for is there already."""


class Loopback(ThreadingHTTPServer):
    """Passes GraphQL to ``server.answer`` and file streams to ``server.take``, on a free port of 127.0.0.1.

    A ValueError of ``answer`` is a GraphQL error, its text the message; a ConflictError is HTTP's own. All
    else is taken and thrown away.
    """

    daemon_threads = True

    def __init__(self, server: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = server

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is none of the server's errors."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Loopback

    def do_POST(self) -> None:  # http.server's name
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        stream = re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path)
        status = 200
        answer: dict[str, Any] = {}  # to telemetry, and the contents of files
        if self.path == "/graphql":
            asked = json.loads(body)
            try:
                answer = {"data": self.server.behind.answer(asked["query"], asked.get("variables") or {})}
            except ValueError as error:
                status = 409 if isinstance(error, ConflictError) else 200
                answer = {"data": None, "errors": [{"message": str(error)}]}
        elif stream:
            answer = self.server.behind.take(stream[1], json.loads(body))
        self._send(status, json.dumps(answer).encode())

    do_PUT = do_GET = do_POST  # noqa: N815

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet: the server counts what it is asked."""
