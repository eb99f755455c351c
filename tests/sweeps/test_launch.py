"""A sweep's runs in processes: forked where there are no GPUs, and gone when their sweep is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snlab.sweeps.launch import launch
from snlab.sweeps.slots import Slot
from snlab.tracking.run_folder import find_runs
from tests.conftest import SMALL
from tests.sweeps.waiting import wait_for

pytestmark = pytest.mark.slow

ENDLESS = [*SMALL, "--generator_steps=100000", "--measure.fidelity=none", "--measure.every=1000"]
FORKED, EXECUTED = Slot("CPU 0", (), 1), Slot("GPU 0", ("0",), 1)


def trains(log: Path) -> bool:
    return log.exists() and "generator_step" in log.read_text()


def processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def endless(tmp_path):
    """``endless(slot)``: a run that would not end by itself, training; and its log."""
    started = []

    def start(slot: Slot):
        log = tmp_path / "train.log"
        words = [f"--runs={tmp_path / 'runs'}", "--wandb.mode=disabled", "--trainer.accelerator=cpu"]
        process = launch([*ENDLESS, *words], slot, log)
        started.append(process)
        wait_for(lambda: trains(log))
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(("slot", "seconds"), [(FORKED, 3), (EXECUTED, 8)], ids=["forked", "executed"])
def test_the_first_update_comes_within_seconds(slot, seconds, endless, tmp_path):
    """Of processor time, which does not count what other tests do at the same time."""
    process = endless(slot)
    assert processor_seconds(process.pid) < seconds
    environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    assert (b"CUDA_VISIBLE_DEVICES=0" in environment) == bool(slot.gpus)
    assert os.getsid(process.pid) == process.pid
    process.terminate()
    assert process.wait() == process.poll() == 75
    assert "stopped by SIGTERM" in (tmp_path / "train.log").read_text()
    (run,) = find_runs(tmp_path / "runs")
    assert run.outcome == "killed"


def test_a_mistake_is_in_the_log_and_the_exit_code(tmp_path):
    process = launch(["--model.loss=hing"], FORKED, tmp_path / "train.log")
    assert process.wait() == 2
    assert "did you mean 'hinge'?" in (tmp_path / "train.log").read_text()


def test_a_run_whose_server_is_killed_goes_on_and_is_waited_for(endless, tmp_path):
    process = endless(FORKED)
    server = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(server, signal.SIGKILL)
    time.sleep(0.5)
    assert process.poll() is None
    process.terminate()
    assert process.wait() == -signal.SIGKILL  # nobody knows how it ended, but its folder
    (run,) = find_runs(tmp_path / "runs")
    assert run.summary["reason"] == "stopped by SIGTERM"
    (tmp_path / "train.log").unlink()
    again = launch(["--model.loss=hing"], FORKED, tmp_path / "train.log")  # by another server
    assert again.wait() == 2


PARENT = (
    "import sys, time, pathlib; from snlab.sweeps.launch import launch; from snlab.sweeps.slots import Slot\n"
    "if __name__ == '__main__':\n"
    "    slot = Slot('', ('0',) if sys.argv[2] == 'executed' else (), 1)\n"
    "    process = launch(sys.argv[3:], slot, pathlib.Path(sys.argv[1]))\n"
    "    print(process.pid, flush=True); time.sleep(1000)\n"
)


@pytest.mark.parametrize("how", ["forked", "executed"])
def test_a_run_whose_parent_is_killed_saves_itself(how, tmp_path):
    log, script = tmp_path / "train.log", tmp_path / "parent.py"
    script.write_text(PARENT)
    words = [*ENDLESS, f"--runs={tmp_path / 'runs'}", "--wandb.mode=disabled", "--trainer.accelerator=cpu"]
    parent = subprocess.Popen([sys.executable, script, log, how, *words], stdout=subprocess.PIPE, text=True)
    run = int(parent.stdout.readline())
    wait_for(lambda: trains(log))
    parent.kill()
    parent.communicate()
    wait_for(lambda: "stopped by SIGTERM" in log.read_text(), 30)
    wait_for(lambda: not Path(f"/proc/{run}/exe").exists(), 10)


def test_a_run_has_the_threads_of_its_slot_whatever_the_server_was_started_with(tmp_path):
    options = ["--generator_steps=1", "--measure.fidelity=none", "--wandb.mode=disabled"]
    for threads in (2, 1):
        runs = tmp_path / f"{threads}"
        process = launch([*SMALL, *options, f"--runs={runs}"], Slot("CPU 0", (), threads), tmp_path / "log")
        wait_for(lambda process=process: process.poll() is not None)
        (run,) = find_runs(runs)
        assert run.summary["machine"].endswith(f"{threads} thread(s)")
