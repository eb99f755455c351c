"""A slot's supervisor, and what the runs' own notes say in the end."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from rich.console import Console

from snlab.sweeps.agents import _verdict
from snlab.sweeps.slots import Slot
from snlab.sweeps.supervisor import Note, Supervisor, runs_of, stop_runs
from tests.sweeps.waiting import wait_for

pytestmark = pytest.mark.slow


def test_an_agent_that_always_dies_is_given_up(at_wandb, tmp_path):
    said = io.StringIO()
    supervisor = Supervisor(
        "tester/snlab/nowhere",
        Slot("CPU 0", (), 1),
        at_wandb,
        tmp_path / "agent-0",
        Console(file=said),
        restarts=1,
        grace=1,
    )
    supervisor.start()
    wait_for(lambda: not supervisor.look())
    assert supervisor.given_up
    assert said.getvalue().count("its agent died (exit code 1") == 2
    assert said.getvalue().splitlines()[-1] == "CPU 0: given up after 1 restart(s)"
    assert "nowhere" in (tmp_path / "agent-0.log").read_text()
    assert _verdict([supervisor], Console(file=said)) == 1


@pytest.mark.parametrize(
    ("codes", "verdict"),
    [
        ([None, 0], 0),
        ([None, 75], 0),  # stopped, and to be gone on with elsewhere
        ([None, 1], 1),
        ([None], 1),  # killed without a word
        ([None, None, 0], 0),  # killed, and done at the second try
        ([None, 1, None, 0], 0),
        ([None, 0, None, 1], 1),
    ],
)
def test_the_last_try_of_a_run_counts(codes, verdict, tmp_path):
    """Whichever slots the tries were in: here they change at each."""
    supervisors = [
        Supervisor("a/b/c", Slot(f"CPU {i}", (), 1), {}, tmp_path / f"agent-{i}", Console(quiet=True), 1, 1)
        for i in range(2)
    ]
    for moment, code in enumerate(codes):
        supervisors[moment % 2].notes.append(Note("run", code, float(moment)))
    assert _verdict(supervisors, Console(quiet=True)) == verdict


SAVES = (  # a run that needs a while before it can save, and says that it did
    "import signal, sys, time\n"
    "print('begun', flush=True); time.sleep(0.5)\n"
    "signal.signal(signal.SIGUSR1, lambda *_: (print('saved', flush=True), sys.exit(75)))\n"
    "time.sleep(60)"
)
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGUSR1, lambda *_: None)\n"
    "print('begun', flush=True); time.sleep(60); time.sleep(60)"
)


def orphaned(code: str) -> subprocess.Popen[str]:
    """An agent's stand-in: it starts a run in a process group of its own, as wandb's does, and is killed."""
    agent = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import subprocess, sys, time\n"
            "subprocess.Popen([sys.executable, '-c', sys.argv[1]], process_group=0); time.sleep(60)",
            code,
        ],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert agent.stdout.readline() == "begun\n"
    agent.kill()
    agent.wait()
    return agent


def test_a_run_whose_agent_is_gone_is_found_and_saves_once_it_can():
    agent = orphaned(SAVES)
    (run,) = runs_of([agent.pid])
    assert run != agent.pid
    stop_runs([agent.pid], grace=30)
    assert not runs_of([agent.pid])
    assert agent.stdout.read() == "saved\n"


def test_a_run_that_does_not_end_is_killed():
    agent = orphaned(STUBBORN)
    assert len(runs_of([agent.pid])) == 1
    stop_runs([agent.pid], grace=0.5)
    wait_for(lambda: not runs_of([agent.pid]), 10)


def test_a_slots_gpus_reach_its_runs_alone(tmp_path):
    slot = Slot("GPU 2,3", ("2", "3"), 4)
    supervisor = Supervisor("a/b/c", slot, {"A": "b"}, tmp_path / "agent-0", Console(quiet=True), 1, 1)
    wanted = {"A": "b", "CUDA_VISIBLE_DEVICES": "2,3", "SNLAB_DEVICES": "2", "OMP_NUM_THREADS": "4"}
    assert {name: supervisor.environment.get(name) for name in wanted} == wanted
