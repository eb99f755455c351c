"""Two W&B agents that are given one trial: the second waits for the first, and shows its run or goes on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from snlab.callbacks.stopping import SIGNALS, Stopped
from snlab.core.errors import REQUEUE, UserError
from snlab.tracking.places import LOCK
from snlab.training import fit as fitting
from snlab.training import waiting
from snlab.training.fit import claim
from snlab.training.waiting import taken
from tests.comparing import rows

pytestmark = pytest.mark.slow

RUN = ("--generator_steps", "3", "--measure.fidelity", "none")


@pytest.fixture
def under_agent(monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep0")
    monkeypatch.setenv("WANDB_RUN_ID", "run7")


@pytest.fixture
def waits(monkeypatch) -> threading.Event:
    """Set once somebody waits."""
    event = threading.Event()

    @contextmanager
    def stopped_by_signals() -> Iterator[None]:
        with original():
            event.set()
            yield

    original = waiting._stopped_by_signals
    monkeypatch.setattr(waiting, "_stopped_by_signals", stopped_by_signals)
    return event


@contextmanager
def held_by_another(folder: Path, until: threading.Event, before_leaving=lambda: None) -> Iterator[None]:
    """The folder's lock is another's, which then does something and lets go."""
    folder.mkdir(parents=True, exist_ok=True)
    has_it = threading.Event()

    def other() -> None:
        with FileLock(folder / LOCK):
            has_it.set()
            until.wait(60)
            before_leaving()

    thread = threading.Thread(target=other)
    thread.start()
    assert has_it.wait(10)
    try:
        yield
    finally:
        until.set()
        thread.join()


def test_only_under_an_agent_does_it_wait(tmp_path, under_agent, waits, monkeypatch, capsys):
    with taken(FileLock(tmp_path / LOCK), tmp_path) as waited:
        assert not waited
    with held_by_another(tmp_path, waits), taken(FileLock(tmp_path / LOCK), tmp_path) as waited:
        assert waited
    said = f"another process trains this run; waiting for it, to show its result: {tmp_path}\n"
    assert capsys.readouterr().out == said
    monkeypatch.delenv("WANDB_SWEEP_ID")
    with (
        held_by_another(tmp_path, threading.Event()),
        pytest.raises(Timeout),
        taken(FileLock(tmp_path / LOCK), tmp_path),
    ):
        pass


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_wait(number, tmp_path, under_agent, waits):
    before = [signal.getsignal(each) for each in SIGNALS]
    with held_by_another(tmp_path, threading.Event()):
        threading.Thread(target=lambda: waits.wait(60) and os.kill(os.getpid(), number)).start()
        with pytest.raises(Stopped, match=number.name), taken(FileLock(tmp_path / LOCK), tmp_path):
            pass
    assert [signal.getsignal(each) for each in SIGNALS] == before


@pytest.fixture
def replayed(monkeypatch) -> list[Path]:
    """The folders of the runs that were shown."""
    shown: list[Path] = []
    monkeypatch.setattr(fitting, "replay", lambda run, *_: shown.append(run.folder))
    return shown


def test_the_second_shows_what_the_first_has_finished(fit, arguments, tmp_path, under_agent, waits, replayed):
    first = fit(*RUN, "--runs", str(tmp_path / "elsewhere"))
    folder = claim(arguments(*RUN)).folder
    stamp = (first.folder / "summary.json").stat().st_mtime_ns

    def finished() -> None:
        for path in first.folder.iterdir():
            path.rename(folder / path.name)

    with held_by_another(folder, waits, finished):
        second = fit(*RUN)
    assert (second.folder, second.outcome) == (folder, "finished")
    assert (folder / "summary.json").stat().st_mtime_ns == stamp
    assert replayed == [folder]


def test_the_second_goes_on_where_the_first_was_killed(
    fit, arguments, tmp_path, under_agent, waits, replayed
):
    whole = fit(*RUN, "--runs", str(tmp_path / "elsewhere"))
    folder = claim(arguments(*RUN)).folder

    def killed() -> None:
        """Before its first checkpoint."""
        for name in ("config.yaml", "metrics.jsonl"):
            (whole.folder / name).rename(folder / name)

    expected = rows(whole)
    with held_by_another(folder, waits, killed):
        second = fit(*RUN)
    assert second.outcome == "finished"
    assert rows(second) == expected
    assert not replayed


def test_a_signal_while_it_waits_ends_the_command_for_another_time(arguments, under_agent, waits):
    from snlab.cli import main

    folder = claim(arguments(*RUN)).folder

    threading.Thread(target=lambda: waits.wait(60) and os.kill(os.getpid(), signal.SIGTERM)).start()
    with held_by_another(folder, threading.Event()):
        assert main(["fit", *arguments(*RUN)]) == REQUEUE
    assert [path.name for path in folder.iterdir()] == [LOCK]


def test_without_an_agent_it_is_one_line(fit, arguments):
    with (
        held_by_another(claim(arguments(*RUN)).folder, threading.Event()),
        pytest.raises(UserError, match="in use by another process"),
    ):
        fit(*RUN)
