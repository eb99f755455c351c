"""What is shown of something long: in a log, and on a terminal."""

from __future__ import annotations

import io
import sys
import time

import pytest

from snlab.core import progress as module
from snlab.core.progress import counted, progress, waiting


def test_a_log_gets_a_line_at_each_end(capsys):
    with progress("x: reading", 3) as done:
        done(1)
        done(2)
    assert capsys.readouterr() == ("", "x: reading\nx: reading: done in 0 s\n")


def test_a_log_gets_a_line_now_and_then(monkeypatch, capsys):
    clock = iter([0.0, 10.0, 31.0, 31.0, 40.0, 100.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with progress("x: reading", 4) as done:
        done(1)
        done(1)
        done(1)
    assert capsys.readouterr().err.splitlines() == [
        "x: reading",
        "x: reading: 50%",
        "x: reading: done in 100 s",
    ]


def test_what_fails_is_not_said_to_be_done(capsys):
    with pytest.raises(KeyError), progress("x: reading"):
        raise KeyError
    assert capsys.readouterr().err == "x: reading\n"


def test_what_is_counted_is_passed_on(capsys):
    assert list(counted(iter("abc"), 3, "x: reading")) == list("abc")
    assert capsys.readouterr().err == "x: reading (3)\nx: reading (3): done in 0 s\n"


def terminal(monkeypatch):
    """A terminal in the place of stderr, which keeps what it is shown."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    return sys.stderr


def test_a_terminal_gets_a_bar(monkeypatch):
    shown = terminal(monkeypatch)
    with progress("x: reading", 4) as done:
        done(4)
    assert "x: reading" in shown.getvalue()
    assert "100%" in shown.getvalue()


def test_a_terminal_is_shown_what_it_waits_for(monkeypatch):
    shown = terminal(monkeypatch)
    with waiting("making the page of 3 runs"):
        time.sleep(0.2)
    assert "making the page of 3 runs" in shown.getvalue()
    assert "%" not in shown.getvalue()


def test_a_log_is_not(capsys):
    with waiting("making the page of 3 runs"):
        pass
    assert capsys.readouterr() == ("", "")
