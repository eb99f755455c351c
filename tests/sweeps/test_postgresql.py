"""Sweeps whose study is on a PostgreSQL server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import yaml

from snlab.cli import main
from snlab.sweeps.document import read_sweep
from snlab.sweeps.study import Study
from snlab.tracking.run_folder import find_runs
from tests.comparing import rows
from tests.forked import Command
from tests.sweeps.waiting import wait_for

pytestmark = pytest.mark.slow

ASKS = """
import sys, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(study_name="shared", storage=sys.argv[1])
for _ in range(10):
    trial = study.ask()
    study.tell(trial, trial.suggest_float("x", 0, 1))
"""

# Claims tasks until there is none, and says which.
CLAIMS = """
import sys
from snlab.sweeps.document import read_sweep
from snlab.sweeps.study import Study
sweep = read_sweep(sys.argv[1])
found = list(sweep.configurations())
study = Study(sweep, "key", found, len(found), sys.argv[2], lease=600)
while (claimed := study.claim()) is not None:
    print(claimed.task, flush=True)
"""

FIXED = ["--model.network=standard_cnn(width=0.125)", "--model.batch_size=16", "--measure.fidelity=none"]
FIXED += ["--measure.every=10", "--measure.probe_size=32", "--generator_steps=20", "--wandb.mode=disabled"]


def written(folder: Path, seeds: int, name: str) -> Path:
    path = folder / f"{name}.yaml"
    document = {
        "method": "grid",
        "parameters": {"seed_everything": {"values": list(range(seeds))}},
        "command": ["snlab", "fit", *FIXED, "${args}"],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_two_processes_work_on_one_study(postgresql):
    study = optuna.create_study(study_name="shared", storage=postgresql)
    workers = [subprocess.Popen([sys.executable, "-c", ASKS, postgresql]) for _ in range(2)]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    trials = study.get_trials()
    assert sorted(trial.number for trial in trials) == list(range(20))
    assert study.best_value == min(trial.params["x"] for trial in trials)


def test_no_place_is_claimed_twice(postgresql, tmp_path):
    path = written(tmp_path, 60, "sixty")
    command = [sys.executable, "-c", CLAIMS, str(path), postgresql]
    claimants = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    claimed = [claimant.communicate(timeout=120)[0].split() for claimant in claimants]
    assert sorted(int(task) for tasks in claimed for task in tasks) == list(range(60))
    sweep = read_sweep(path)
    study = Study(sweep, "key", list(sweep.configurations()), 60, postgresql, lease=600)
    assert {task.state for task in study.tasks()} == {"running"}


@pytest.mark.timeout(600)
def test_two_executors_of_which_one_is_killed(postgresql, tmp_path):
    """Its trial is taken over when the lease has run out."""
    from snlab.training.fit import fit

    path, runs = written(tmp_path, 3, "three"), tmp_path / "runs"
    words = ["sweep", path, "--runs", runs, "--workers", "1", "--lease", "4", "--storage", postgresql]
    cores = sorted(os.sched_getaffinity(0))
    killed, other = (  # on one core, their runs have one thread, as those of the tests have
        Command(*words, log=tmp_path / name, cores={core})
        for name, core in (("killed", cores[0]), ("other", cores[-1]))
    )
    wait_for(lambda: len(list(runs.glob("three/*/config.yaml"))) == 2)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert other.wait(400) == 0, other.out + other.err
    assert "3 of 3 done" in other.out
    assert not list(runs.rglob("study.db"))
    found = {run.config["seed_everything"]: run for run in find_runs(runs)}
    assert sorted(found) == list(range(3))
    for seed, run in found.items():
        arguments = [*FIXED, f"--seed_everything={seed}", f"--runs={tmp_path / 'direct'}"]
        assert rows(run) == rows(fit(arguments))


def test_a_server_that_does_not_answer_is_one_line(tmp_path, capsys):
    path = written(tmp_path, 1, "one")
    storage = "postgresql+psycopg://me:secret@127.0.0.1:1/none"
    assert main(["sweep", str(path), "--runs", str(tmp_path), "--workers", "1", "--storage", storage]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "cannot be opened" in said
    assert "secret" not in said
