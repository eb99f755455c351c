"""The page that is served while runs go on: over HTTP, and in a browser where there is one."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from snlab.cli import main
from snlab.core.errors import UserError
from snlab.results import live
from snlab.results.live import LivePage, follow, watch
from snlab.results.report import report
from snlab.tracking.run_folder import Run, RunWriter
from tests.results.browser import READY, chromium, needs_chromium, until

pytestmark = pytest.mark.slow  # of a server that is watched

__all__ = ["chromium"]


@pytest.fixture
def served() -> Iterator[tuple[LivePage, int]]:
    """A page, and the port that it is served on."""
    page = LivePage()
    server = live._bound(None, page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield page, server.server_port
    server.shutdown()
    server.server_close()


def asked(port: int, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, bytes, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers


def test_the_page_and_its_version_are_served(served: tuple[LivePage, int]) -> None:
    page, port = served
    assert asked(port, "/version")[1] == b"none"
    page.put("<!DOCTYPE html><html><head></head><body>σ</body></html>".encode(), "one")
    status, body, headers = asked(port)
    assert status == 200
    assert "σ<script data-version='one'>" in body.decode()
    assert body.endswith(b"</script>\n</body></html>")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers
    assert asked(port, "/version")[1] == b"one"


@pytest.mark.parametrize("path", ["/x", "/../etc/passwd", "/version/", "/?x", "/report.html"])
def test_there_is_no_other_path(path: str, served: tuple[LivePage, int]) -> None:
    assert asked(served[1], path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"])
def test_nothing_but_get_is_answered(method: str, served: tuple[LivePage, int]) -> None:
    assert asked(served[1], "/", method)[0] == 501


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{}", 200), ("localhost:{}", 200), ("LOCALHOST", 200), ("127.0.0.1:9", 200),  # a tunnel
        ("evil.example:{}", 403), ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("", 403),
        ("[::1]:{}", 403), ("0.0.0.0:{}", 403),
    ],
)  # fmt: skip
def test_a_foreign_host_is_refused(host: str, status: int, served: tuple[LivePage, int]) -> None:
    """A page of evil.example whose name is made to mean 127.0.0.1 is to read nothing."""
    port = served[1]
    for path in ("/", "/version"):
        assert asked(port, path, Host=host.format(port))[0] == status
    with socket.create_connection(("127.0.0.1", port), timeout=10) as bare:
        bare.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 403 " in bare.recv(100)


def test_only_this_machine_can_ask(served: tuple[LivePage, int]) -> None:
    names = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    local = [line.split()[1] for line in names]
    listening = [address for address in local if address.endswith(f":{served[1]:04X}")]
    assert set(listening) == {f"0100007F:{served[1]:04X}"}  # 127.0.0.1, and no other address


def test_a_port_that_is_taken_or_none_is_one_line(
    served: tuple[LivePage, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = str(tmp_path / "page.html")
    words = ["report", "--watch", "--runs", str(tmp_path), "--out", page, "--port"]
    for port, said in (
        (served[1], "Address already in use"),
        (70_000, "1 to 65535 are wanted"),
        (0, "1 to 65535"),
    ):
        assert main([*words, str(port)]) == 2
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1
    assert main(["report", "--runs", str(tmp_path), "--port", "8000"]) == 2
    assert "--port is of --watch" in capsys.readouterr().err
    with pytest.raises(UserError, match="no folder"):
        watch([tmp_path / "runz"], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


# ---- following runs --------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A page of the runs' folders and last updates in place of the whole one; how many runs each had."""
    made: list[int] = []

    def small(runs: list[Run], out: Path, skipped: Any = ()) -> None:
        made.append(len(runs))
        out.write_text("<body>" + " ".join(f"{r.folder.name}:{max(r.rows)}" for r in runs) + "</body>")

    monkeypatch.setattr(live, "report", small)
    monkeypatch.setattr(live, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(live, "REST", 0)
    return made


def test_the_page_is_made_anew_when_runs_go_on_and_only_then(
    lab: Any, tmp_path: Path, quick: list[int]
) -> None:
    out, page = tmp_path / "page.html", LivePage()
    lab.root.mkdir()
    follow([lab.root], out, page, rounds=2)
    assert b"no run in" in page.content
    assert not out.exists()
    folder = lab.write("none", 0, outcome="unfinished", until=50)
    follow([str(lab.root)], out, page, rounds=3)
    assert quick == [1]
    assert b"none-0:50" in page.content
    seen = [page.version]
    RunWriter(folder).append_metrics(100, {"loss/discriminator": 1.0})
    follow([lab.root], out, page, rounds=1)
    assert b"none-0:100" in page.content
    seen.append(page.version)
    for change in (
        lambda: (folder / "samples/000100.png").write_bytes(b"x"),
        lambda: RunWriter(folder).write_summary({"outcome": "killed"}),
        lambda: lab.write("none", 1),
    ):
        change()
        follow([lab.root], out, page, rounds=1)
        seen.append(page.version)
    assert len(set(seen)) == 5
    assert quick[-1] == 2


def test_nothing_is_written_where_nothing_changed(lab: Any, quick: list[int]) -> None:
    lab.write("none", 0)
    out, page = lab.root / "report.html", LivePage()  # beside the runs, and none of them
    follow([lab.root], out, page, rounds=5)
    assert quick == [1]
    (lab.root / "none-0").mkdir()  # an empty folder is no run
    (lab.root / "digits-none-0/checkpoints").mkdir()
    (lab.root / "digits-none-0/checkpoints/step-00000200.ckpt").write_bytes(b"x")  # nothing that is shown
    before = page.version
    follow([lab.root], out, page, rounds=1)
    assert page.version == before


def test_who_goes_away_before_the_answer_leaves_no_trace(
    served: tuple[LivePage, int], capfd: pytest.CaptureFixture[str]
) -> None:
    page, port = served
    page.put(b"<body>" + b"x" * 10_000_000 + b"</body>", "large")
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as gone:
            gone.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    assert asked(port, "/version")[1] == b"large"
    time.sleep(0.2)
    assert capfd.readouterr().err == ""


def test_a_run_that_vanishes_while_it_is_read_is_looked_at_again(
    lab: Any, tmp_path: Path, quick: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.write("none", 0)
    fails = [True]
    small = live.report

    def gone(*arguments: Any) -> None:
        if fails:
            fails.clear()
            raise FileNotFoundError(2, "No such file or directory")
        small(*arguments)

    monkeypatch.setattr(live, "report", gone)
    page = LivePage()
    follow([lab.root], tmp_path / "page.html", page, rounds=2)
    assert quick == [1]
    assert b"none-0:200" in page.content


def test_what_is_written_is_what_report_writes(lab: Any, tmp_path: Path) -> None:
    lab.write("none", 0, metrics=lambda *_: {"loss/discriminator": 1.0})
    page = LivePage()
    follow([lab.root], tmp_path / "live.html", page, rounds=1)
    report([Run.read(path.parent) for path in lab.root.glob("*/config.yaml")], tmp_path / "still.html")
    written = (tmp_path / "live.html").read_bytes()
    assert written == (tmp_path / "still.html").read_bytes()
    script = re.compile(rb"<script data-version=.*?</script>\n|<link rel='icon' href='data:,'>", re.DOTALL)
    policy = re.compile(rb"(?<=script-src )'sha256-[^ ]+' (?=')")  # of the script that was added
    assert policy.sub(b"", script.sub(b"", page.content)) == written


# ---- the command -----------------------------------------------------------------------------------------


@contextmanager
def watching(root: Path, out: Path) -> Iterator[tuple[int, list[str]]]:
    """``snlab report --watch`` in a process of its own: its port, and, once it is over, what it has said.

    Ctrl-C ends it, with exit code 0.
    """
    words = ["report", "--watch", "--runs", str(root), "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "snlab", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a background job ignores
    )
    said: list[str] = []
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"http://127\.0\.0\.1:(\d+)/ shows the runs as they go on; Ctrl-C ends it\n", line)
        assert found
        yield int(found[1]), said
    finally:
        process.send_signal(signal.SIGINT)
        told, errors = process.communicate(timeout=30)
        said += [told, errors]
    assert process.returncode == 0


def wait_for_a_page(port: int) -> None:
    until = time.monotonic() + 60
    while asked(port, "/version")[1] == b"none":
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.slow
def test_the_command_serves_until_ctrl_c(lab: Any, tmp_path: Path) -> None:
    lab.root.mkdir()
    out = tmp_path / "page.html"
    with watching(lab.root, out) as (port, said):
        wait_for_a_page(port)
        assert b"no run in" in asked(port)[1]
    assert said == [f"no longer served; no run was there for {out}\n", ""]
    with pytest.raises(OSError, match="refused"):
        asked(port)
    lab.write("none", 0, metrics=lambda *_: {"loss/discriminator": 1.0})
    with watching(lab.root, out) as (port, said):
        wait_for_a_page(port)
        assert b"Normalizers compared" in asked(port)[1]
    assert said == [f"no longer served; {out} is the page as it was last made\n", ""]
    assert b"Normalizers compared" in out.read_bytes()


VIEW = """() => ({
    open: [...document.querySelectorAll("button.open[aria-expanded=true]")].map((b) => b.textContent),
    configuration: [...document.querySelectorAll(".details details")].map((d) => d.open),
    left: document.querySelector("#runs .wide").scrollLeft,
    focus: document.activeElement.textContent,
    x: scrollX, fragment: location.hash,
})"""


@pytest.mark.slow
@needs_chromium
def test_a_reload_keeps_what_a_reader_has_before_them(lab: Any, tmp_path: Path, chromium: Any) -> None:
    """On the page that the command serves: rows that are open, scrolled tables, the focus, the fragment."""
    for normalizer in ("weight_norm", "spectral_norm"):
        lab.write(normalizer, 0)
    lab.write("none", 1, outcome="unfinished", until=50)
    with watching(lab.root, tmp_path / "page.html") as (port, _):
        wait_for_a_page(port)
        tab = chromium.new_page(viewport={"width": 390, "height": 700})
        said: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(f"http://127.0.0.1:{port}/#smooth=0.5")
        until(tab, READY)
        for name in ("digits-none-1", "digits-weight_norm-0"):
            tab.locator("#runs button.open", has_text=name).click()
        tab.locator("#runs .details details summary").first.click()
        tab.locator("#runs button.open", has_text="digits-weight_norm-0").focus()  # which scrolls to it
        tab.evaluate("document.querySelector('#runs .wide').scrollLeft = 120")
        tab.evaluate("scrollTo(0, document.getElementById('runs').offsetTop - 50); window.mark = 1")
        before = tab.evaluate(VIEW)
        assert sorted(before["open"]) == ["digits-none-1", "digits-weight_norm-0"]
        assert before["left"] == 120
        tab.wait_for_timeout(1300)
        assert tab.evaluate("window.mark") == 1  # nothing is new: it was not loaded again
        for change in (goes_on, another):
            change(lab)
            until(tab, "window.mark !== 1")
            until(tab, READY)
            until(tab, f"document.querySelector('#runs .wide')?.scrollLeft === {before['left']}")
            assert tab.evaluate(VIEW) == before
            top = tab.evaluate("document.getElementById('runs').getBoundingClientRect().top")
            tab.evaluate("window.mark = 1")
            if change is goes_on:  # nothing came in above
                assert top == pytest.approx(50, abs=2)
        assert tab.locator("#runs button.open").count() == 4
        assert said == []
        tab.close()


def goes_on(lab: Any) -> None:
    RunWriter(lab.root / "digits-none-1").append_metrics(100, {"loss/discriminator": 1.0})


def another(lab: Any) -> None:
    """A run more, there in one piece: of the list that has it, it is the first."""
    type(lab)(lab.root.parent / "elsewhere").write("gradient_penalty", 0).rename(lab.root / "a-run")
