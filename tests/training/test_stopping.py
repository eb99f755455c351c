"""Runs that are stopped or killed, in real processes: they go on as if nothing had been."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Trainer

from snlab.callbacks.checkpoint import Checkpoint
from snlab.callbacks.stopping import ECHO_SECONDS, StopOnSignal
from snlab.cli import main
from snlab.sweeps.launch import launch
from snlab.sweeps.slots import Slot
from snlab.tracking.run_folder import Run
from tests.comparing import assert_equal
from tests.forked import Command
from tests.sweeps.waiting import wait_for

pytestmark = pytest.mark.slow

STEPS = 60
FIT = [
    *("fit", "--wandb.mode", "disabled", "--resume"),
    *("--model.network", "standard_cnn(width=0.125)", "--model.batch_size", "32", "--model.ema_decay", "0.9"),
    *("--model.normalizer", "spectral_norm+gradient_penalty(weight=1)", "--measure.probe_size", "16"),
    *("--measure.every", "3", "--measure.fidelity_every", "20", "--measure.samples_every", "10"),
    *("--generator_steps", str(STEPS), "--checkpoint_every", "7"),
]


# What a cluster sets for whatever it starts, and its shells hand on.
LEFT_OVER = {"RANK": "3", "LOCAL_RANK": "2", "NODE_RANK": "1", "SLURM_PROCID": "3", "SLURM_NTASKS": "4"}

TWO_PROCESSES = ("--trainer.devices", "2", "--trainer.accelerator", "cpu")


def finish(folder: Path, *more: str) -> Run:
    """The run, brought to its end: where it has but one process, in this one."""
    if more:
        process = started(folder, *more)
        assert process.wait() == 0, process.out + process.err
    else:
        assert main([*FIT, "--runs", str(folder / "runs")]) == 0
    run = Run.read(folder_of_run(folder))
    assert run.outcome == "finished"
    return run


def folder_of_run(folder: Path) -> Path:
    (found,) = (folder / "runs").iterdir()
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finish(tmp_path_factory.mktemp("undisturbed"))


def started(folder: Path, *more: str, **options: Any) -> Command:
    words = (*FIT, "--runs", folder / "runs", *more)
    return Command(*words, log=folder / "log", **options)


def wait_for_training(process: Command, before: str = "") -> None:
    """Until it says how far it is, after what the log held ``before``."""
    wait_for(lambda: "generator_step" in process.out.removeprefix(before))


@pytest.mark.parametrize(
    ("number", "code", "left_over"), [("SIGINT", 130, {}), ("SIGTERM", 75, LEFT_OVER), ("SIGUSR1", 75, {})]
)
def test_a_signal_saves_at_the_end_of_the_update(number, code, left_over, undisturbed, tmp_path):
    process = started(tmp_path, executed=bool(left_over), environment=left_over)
    wait_for_training(process)
    process.send_signal(getattr(signal, number))
    assert process.wait(60) == code, process.out + process.err
    assert "Traceback" not in process.err
    assert "--resume goes on" in process.err
    assert f"killed (stopped by {number}) at generator step" in process.out
    folder = folder_of_run(tmp_path)
    stopped = Run.read(folder)
    assert stopped.outcome == "killed"
    assert stopped.summary["reason"] == f"stopped by {number}"
    step = stopped.summary["generator_step"]
    assert 0 < step < STEPS
    assert (folder / f"checkpoints/step-{step:08d}.ckpt").exists()
    assert_equal(finish(tmp_path), undisturbed)


@pytest.mark.parametrize(("number", "through"), [("SIGINT", 1), ("SIGTERM", 0), ("SIGUSR1", 0)])
def test_only_a_second_ctrl_c_stops_at_once(number, through, tmp_path):
    """A scheduler's signal comes to the run from the scheduler and from the executor: twice is once."""
    number = getattr(signal, number)
    heard: list[int] = []
    before = signal.signal(number, lambda received, _: heard.append(received))
    callback = StopOnSignal(Checkpoint(tmp_path, every=1))
    try:
        callback.setup(Trainer(logger=False, enable_checkpointing=False, accelerator="cpu"), None, "fit")
        os.kill(os.getpid(), number)
        assert (callback.received, heard) == (number, [])
        os.kill(os.getpid(), number)
        assert heard == []  # a launcher passes on what its processes have heard themselves
        callback._at -= ECHO_SECONDS
        os.kill(os.getpid(), number)
        assert len(heard) == through
        callback.on_train_end(None, None)
        os.kill(os.getpid(), number)
        assert len(heard) == through + 1
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_at_random_moments(seed, undisturbed, tmp_path):
    """Five kills a run, twenty in all, wherever they fall: an update, a measurement, a checkpoint, a line."""
    chance = random.Random(seed)
    for kill in range(5):
        log = tmp_path / f"{kill}.log"
        process = launch([*FIT[1:], "--runs", str(tmp_path / "runs")], Slot("CPU 0", (), 1), log)
        wait_for(lambda log=log: log.exists() and "generator_step" in log.read_text())
        time.sleep(chance.uniform(0.0, 0.35))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        if process.wait() == 0:
            break  # it was done before the kill: there is nothing left to disturb
    assert_equal(finish(tmp_path), undisturbed)


def test_a_kill_within_a_line_and_within_a_checkpoint(undisturbed, tmp_path):
    """The two moments that chance seldom hits, made: a line cut in half, a checkpoint cut in half."""
    process = started(tmp_path)
    wait_for_training(process)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    folder = folder_of_run(tmp_path)
    (folder / "summary.json").unlink()
    newest = max((folder / "checkpoints").glob("*.ckpt"))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"generator_step": 59, "loss/discr')
    partial = folder / "checkpoints/step-00000059.ckpt"
    partial.write_bytes(newest.read_bytes()[:1000])
    partial.with_name(partial.name + ".sha256").write_text("0" * 64)
    assert_equal(finish(tmp_path), undisturbed)


# ---- one run in two processes ---------------------------------------------------------------------------


def second_process(first: Command) -> int:
    """The process id of what Lightning started for the second device."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if {b"LOCAL_RANK=1", f"SNLAB_LAUNCHER={first.pid}".encode()} <= set(environment):
            return int(path.parent.name)
    raise AssertionError("there is no second process")


def wait_for_the_end_of(process: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < end, f"process {process} is still there"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def undisturbed_pair(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finish(tmp_path_factory.mktemp("undisturbed_pair"), *TWO_PROCESSES)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes through /proc")
def test_two_processes_stop_as_one_and_go_on_bit_for_bit(undisturbed_pair, tmp_path):
    """Three starts of two processes, the first two stopped."""
    steps, said = [], ""
    for number, to in [("SIGTERM", "both"), ("SIGUSR1", "second")]:
        first = started(tmp_path, *TWO_PROCESSES)
        wait_for_training(first, said)
        second = second_process(first)
        for process in {"both": (first.pid, second), "second": (second,)}[to]:
            os.kill(process, getattr(signal, number))
        assert first.wait(30) == 75, first.out + first.err
        wait_for_the_end_of(second, seconds=5)
        said = first.out
        assert "Traceback" not in first.err
        folder = folder_of_run(tmp_path)
        stopped = Run.read(folder)
        assert stopped.summary["reason"] == f"stopped by {number}"
        steps.append(stopped.summary["generator_step"])
        assert (folder / f"checkpoints/step-{steps[-1]:08d}.ckpt").exists()
    assert steps == sorted(set(steps))
    assert steps[-1] < STEPS
    assert_equal(finish(tmp_path, *TWO_PROCESSES), undisturbed_pair)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes through /proc")
@pytest.mark.parametrize("killed", ["first", "second"])
def test_the_end_of_one_process_is_the_end_of_both(killed, tmp_path):
    first = started(tmp_path, *TWO_PROCESSES)
    wait_for_training(first)
    second = second_process(first)
    os.kill(first.pid if killed == "first" else second, signal.SIGKILL)
    code = first.wait(30)
    wait_for_the_end_of(second, seconds=30)
    if killed == "second":  # unless Lightning ends the first before it has noticed itself
        assert code in (1, -signal.SIGKILL), first.out + first.err
        assert "Traceback" not in first.err
