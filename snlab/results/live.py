"""``snlab report --watch``: the page, served to this machine alone, and made again as its runs go on."""

from __future__ import annotations

import base64
import hashlib
import html
import sys
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from snlab.core.errors import UserError
from snlab.results.reading import collect
from snlab.results.report import report
from snlab.tracking.run_folder import CONFIG, METRICS, SAMPLES, SUMMARY, run_folders
from snlab.tracking.scores import SCORES

HERE = "127.0.0.1"
HOSTS = (HERE, "localhost")  # what a browser may call it; by another name somebody else's page would ask
LARGEST_PORT = 65_535
POLL_SECONDS = 1.0
REST = 3  # times as long as the page took to make, it is left alone: the runs want the processor
Stamp = dict[Path, tuple[int, int, int]]


def watch(roots: Sequence[str | Path], out: Path, port: int | None = None) -> int:
    """Serve the page of the runs below ``roots``, and write it to ``out`` whenever they have gone on.

    Until there is a run that can be read, the page says so. Ctrl-C ends it, and it says what it leaves: that
    is no failure, so the exit code, which it returns, is 0.

    Args:
        roots: folders of runs, which are there.
        out: where the page is written, as `report` does.
        port: of 127.0.0.1; None for a free one.

    Raises:
        UserError: where a folder is missing, the port is no port or taken, or ``out`` cannot be written.
    """
    for root in roots:
        if not Path(root).is_dir():
            raise UserError(f"no folder {root}: --watch wants a folder that holds runs, or will")
    page = LivePage()
    server = _bound(port, page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        print(f"http://{HERE}:{server.server_port}/ shows the runs as they go on; Ctrl-C ends it", flush=True)
        follow(roots, out, page)
    except KeyboardInterrupt:
        left = f"{out} is the page as it was last made" if page.written else f"no run was there for {out}"
        print(f"no longer served; {left}")
    finally:
        server.shutdown()
        server.server_close()
    return 0


class LivePage:
    """The page as it is served now, and the version by which it knows whether it is the newest.

    ``written`` says whether it is in a file, too, as a page of runs is.
    """

    def __init__(self) -> None:
        self.version, self.content, self.written = "", b"", False
        self.put(_notice("The page is being made."), "none")

    def put(self, page: bytes, version: str) -> None:
        """Have ``page`` served from here on; it asks whether its version is the newest."""
        script = (Path(__file__).parent / "live.js").read_text(encoding="utf-8")
        added = f"<script data-version='{version}'>\n{script}</script>\n"
        digest = base64.b64encode(
            hashlib.sha256(f"\n{script}".encode()).digest()
        )  # the page's policy wants it
        page = page.replace(b"script-src ", b"script-src 'sha256-" + digest + b"' ", 1)
        page = page.replace(b"<head>", b"<head><link rel='icon' href='data:,'>", 1)  # browsers ask for one
        before, end, after = page.rpartition(b"</body>")
        self.content = before + added.encode() + end + after
        self.version = version  # last: who is told of it gets the new page


def follow(roots: Sequence[str | Path], out: Path, page: LivePage, rounds: int | None = None) -> None:
    """Look at the runs again and again, or so many ``rounds``; make the page anew where they have changed."""
    before: Stamp | None = None
    rest = 0.0
    while rounds is None or rounds > 0:
        now = stamp(roots)
        if now != before:
            started = time.monotonic()
            try:
                page.put(_made(roots, out, page), version_of(now))
                before = now
            except OSError:  # a run was moved aside while it was read: it is looked at again
                before = None
            rest = REST * (time.monotonic() - started)
        rounds = None if rounds is None else rounds - 1
        if rounds != 0:
            time.sleep(max(POLL_SECONDS, rest))
            rest = 0.0


def _made(roots: Sequence[str | Path], out: Path, page: LivePage) -> bytes:
    try:
        found = collect(*roots)
    except UserError as error:
        return _notice(str(error))
    report(found.runs, out, found.skipped)
    page.written = True
    return out.read_bytes()


def _notice(text: str) -> bytes:
    return (
        "<!DOCTYPE html>\n<html lang='en'>\n<head><meta charset='utf-8'><title>Waiting for runs</title>"
        "<meta name='color-scheme' content='light dark'></head>\n"
        f"<body><p>{html.escape(text)}</p>\n</body>\n</html>\n"
    ).encode()


def stamp(roots: Sequence[str | Path]) -> Stamp:
    """What changes when anything does that a page shows: every file's place on the disk, size and time."""
    found: Stamp = {}
    for root in roots:
        folders, broken = run_folders(Path(root))
        for folder in [*folders, *(skip.folder for skip in broken)]:
            files = [folder / name for name in (CONFIG, METRICS, SUMMARY)]
            for path in [*files, *folder.glob(f"{SAMPLES}/*"), *folder.glob(f"{SCORES}/*.json")]:
                try:
                    stat = path.stat()
                except OSError:  # it is not there, or not any more
                    continue
                found[path] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return found


def version_of(found: Stamp) -> str:
    """The same for the same stamp, in every process."""
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:16]


# ---- serving ---------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    page: LivePage

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing where who asked has gone, as a browser does that loads the page again."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET of the page and of its version, from this machine by its own name."""

    server: _Server
    server_version, sys_version = "snlab", ""
    timeout = 30  # seconds that a connection may stay silent
    kinds: ClassVar[dict[str, str]] = {"/": "text/html; charset=utf-8", "/version": "text/plain"}

    def do_GET(self) -> None:
        if self.headers.get("Host", "").lower().partition(":")[0] not in HOSTS:
            self.send_error(HTTPStatus.FORBIDDEN, f"this is {HERE}, by no other name")
        elif self.path not in self.kinds:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            page = self.server.page
            content = page.content if self.path == "/" else page.version.encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", self.kinds[self.path])
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.send_header("X-Frame-Options", "DENY")
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: a line a second would be in the way."""


def _bound(port: int | None, page: LivePage) -> _Server:
    if port is not None and not 1 <= port <= LARGEST_PORT:
        raise UserError(f"--port is {port}; 1 to {LARGEST_PORT} are wanted, or no --port for a free one")
    try:
        server = _Server((HERE, port or 0), _Handler)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"port {port} of {HERE}: {reason}; without --port a free one is taken") from error
    server.page = page
    return server
