"""What a user is shown of a sweep."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from snlab.sweeps import display as displays
from snlab.sweeps.attempts import Task
from snlab.sweeps.display import SweepDisplay, best_of
from snlab.sweeps.objective import Metric
from snlab.sweeps.slots import Slot
from snlab.sweeps.study import STOPPED_EARLY

DONE = [Task(0, "done", "finished", 3.0), Task(1, "done", "diverged", float("inf"))]
TASKS = [
    *DONE,
    Task(2, "done", STOPPED_EARLY),
    Task(3, "running"),
    Task(4, "failed"),
    Task(5, "waiting"),
]


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """A clock that the test sets."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(displays.time, "monotonic", lambda: clock.now)
    return clock


def running(step: int, total: int = 100, folder: str = "one"):
    return SimpleNamespace(
        progress=(step, total), process=object(), folder=Path(folder), slot=Slot("CPU 0", (), 1)
    )


def shown(display: SweepDisplay, *states) -> str:
    """What the terminal shows last, of the runs and tasks in ``states``."""
    output = display.console.file
    for trials, tasks in states:
        output.seek(0)
        output.truncate()
        display._shown = 0.0
        display.update(trials, tasks)
    return output.getvalue()


@pytest.fixture
def terminal(clock) -> SweepDisplay:
    console = Console(file=io.StringIO(), force_terminal=True, width=200, color_system=None)
    with SweepDisplay(console, "some", Metric("fid", "minimize")) as display:
        yield display


def test_the_whole_is_one_line():
    line = SweepDisplay(Console(file=io.StringIO()), "some", Metric("fid", "minimize")).line(TASKS)
    assert line == "some: 3 of 6 done, 1 running, 1 waiting, 1 failed, 1 stopped early, best fid 3"


@pytest.mark.parametrize(("goal", "best"), [("minimize", 0), ("maximize", 1)])
def test_the_best_is_the_metrics(goal, best):
    tasks = [Task(0, "done", score=1.0), Task(1, "done", score=2.0), Task(2, "done", score=float("inf"))]
    assert best_of(tasks, Metric("fid", goal)).number == best
    assert best_of(tasks[2:], Metric("fid", goal)) is None
    assert best_of(tasks, None) is None


def test_the_time_left_is_that_of_what_was_trained_here(terminal, clock):
    """A run that goes on from half, or was over before, was not trained here."""
    tasks = [Task(0, "running"), Task(1, "waiting"), Task(2, "done", "finished", 1.0)]
    assert "left" not in shown(terminal, ([running(50)], tasks))
    clock.now += 10
    assert "about 50 s left" in shown(terminal, ([running(75)], tasks))  # a quarter in 10 s; 1.25 to go
    ended = [Task(0, "done", "finished", 1.0), *tasks[1:]]
    clock.now += 10
    assert "about 40 s left" in shown(terminal, ([], ended))


def test_each_run_has_a_line(terminal):
    text = shown(terminal, ([running(30), running(0, 0, "other")], TASKS))
    assert "30/100" in text
    assert "starting" in text
    assert "other" in text


def test_a_log_gets_no_bars_and_whole_lines(clock):
    console = Console(file=io.StringIO(), width=20)
    with SweepDisplay(console, "some", None) as display:
        display.update([running(1)], TASKS)
        display.say("a line that is longer than the console [is] wide")
    assert console.file.getvalue() == "a line that is longer than the console [is] wide\n"
