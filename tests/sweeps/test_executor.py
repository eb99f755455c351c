"""Executors with real processes: kills, restarts, two at once, GPUs of one's own."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from snlab.results.tables import make, render
from snlab.sweeps.check import Planned
from snlab.sweeps.command import SweepOptions, sweep
from snlab.sweeps.document import read_sweep
from snlab.sweeps.executor import Executor
from snlab.sweeps.slots import slots
from snlab.sweeps.study import Study
from snlab.sweeps.trial import TrialProcess
from snlab.tracking.run_folder import Run, find_runs
from tests.comparing import rows
from tests.forked import Command
from tests.sweeps.test_failures import Said
from tests.sweeps.waiting import wait_for

pytestmark = pytest.mark.slow

STEPS = 30
NORMALIZERS = ["none", "weight_norm", "gradient_penalty", "spectral_norm"]


def written(folder: Path, seeds: list[int], name: str = "eight") -> Path:
    path = folder / f"{name}.yaml"
    document = {
        "method": "grid",
        "metric": {"name": "loss/generator", "goal": "minimize"},
        "parameters": {"model.normalizer": {"values": NORMALIZERS}, "seed_everything": {"values": seeds}},
        "command": [
            *("snlab", "fit", f"--generator_steps={STEPS}", "--measure.fidelity=none", "--measure.every=10"),
            *(
                "--model.network=standard_cnn(width=0.125)",
                "--model.batch_size=16",
                "--measure.probe_size=32",
            ),
            *("--trainer.accelerator=cpu", "--wandb.mode=disabled", "${args}"),
        ],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def executor(path: Path, runs: Path, workers: int) -> Command:
    """``snlab sweep``, started, with logs of its own."""
    words = ("sweep", path, "--runs", runs, "--workers", str(workers), "--lease", "4")
    return Command(*words, log=path.parent / f"log-{len([*path.parent.glob('log-*')])}")


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started and that run."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(word) for word in path.read_text().split()]
    return found


def training(executor: Command) -> list[int]:
    """The processes of an executor's runs: forked from a server that it started, each in its own session."""
    forked = [run for server in children(executor.pid) for run in children(server)]
    return [run for run in forked if Path(f"/proc/{run}").exists() and os.getsid(run) == run]


def over(runs: Path) -> list[Path]:
    return list(runs.glob("*/*/summary.json"))


def table(runs: list[Run]) -> list[list[dict[str, str]]]:
    """The table of normalizers, without what the clock says."""
    rendered = [csv.DictReader(io.StringIO(render(t, "csv"))) for t in make("normalizers", runs)]
    return [
        [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows] for rows in rendered
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, Run]:
    """The eight runs, each made by itself, by folder name."""
    from snlab.training.fit import fit

    folder = tmp_path_factory.mktemp("undisturbed")
    eight = read_sweep(written(folder, [0, 1]))
    runs = [fit([*eight.arguments(c), f"--runs={folder}"]) for c in eight.configurations()]
    return {run.folder.name: run for run in runs}


def assert_as_undisturbed(folder: Path, undisturbed: dict[str, Run]) -> None:
    found = find_runs(folder)
    assert all(run.outcome == "finished" for run in found)
    for run in found:
        assert rows(run) == rows(undisturbed[run.folder.name])
    expected = [undisturbed[run.folder.name] for run in found]
    assert table(found) == table(expected)


@pytest.mark.timeout(900)
def test_eight_trials_three_workers_and_kills(tmp_path, undisturbed, capsys):
    """One worker killed, then the executor, each with kill -9; then it is started again. Nothing is lost."""
    path, runs = written(tmp_path, [0, 1]), tmp_path / "runs"
    first = executor(path, runs, 3)
    wait_for(lambda: list(runs.glob("*/*/metrics.jsonl")))  # the first of them trains
    worker = training(first)[0]
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: len(over(runs)) >= 3)
    orphans = training(first)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    wait_for(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in orphans), 60)

    second = executor(path, runs, 3)
    assert second.wait(480) == 0, second.out + second.err
    assert "8 of 8 done" in second.out
    assert {p.name for p in (runs / "eight").iterdir() if p.is_dir()} == set(undisturbed)
    assert_as_undisturbed(runs / "eight", undisturbed)

    assert sweep(str(path), SweepOptions(runs=runs, workers=3)) == 0  # a finished sweep trains nothing
    out = capsys.readouterr().out
    assert "8 of them ended before" in out
    assert "8 of 8 done" in out
    assert ": finished" not in out


@pytest.mark.timeout(900)
def test_two_executors_share_a_sweep_and_a_signal_gives_back(tmp_path, undisturbed, capsys):
    path, runs = written(tmp_path, [0], "four"), tmp_path / "runs"
    two = [executor(path, runs, 2) for _ in range(2)]
    wait_for(lambda: training(two[0]) and training(two[1]))
    two[0].send_signal(signal.SIGINT)
    assert two[0].wait(120) == 130, two[0].out + two[0].err
    assert "the same command goes on from here" in two[0].out
    assert "Traceback" not in two[0].out + two[0].err
    assert two[1].wait(480) == 0, two[1].out + two[1].err
    assert "4 of 4 done" in two[1].out
    assert_as_undisturbed(runs / "four", undisturbed)

    # Another sweep that asks for two of them shows them, and trains nothing.
    again = written(tmp_path, [0], "again")
    assert sweep(str(again), SweepOptions(runs=runs, workers=2)) == 0
    out = capsys.readouterr().out
    assert out.count("(before)") == 4
    links = [p for p in (runs / "again").iterdir() if p.is_dir()]
    assert all(p.is_symlink() for p in links)
    assert len(find_runs(runs / "again")) == 4
    assert len(find_runs(runs)) == 4

    # A run that is deleted is run again, and nothing else is.
    shutil.rmtree(links[0].resolve())
    assert sweep(str(again), SweepOptions(runs=runs, workers=2)) == 0
    out = capsys.readouterr().out
    assert "3 of them ended before" in out
    assert out.count(": finished") == 1
    assert_as_undisturbed(runs / "again", undisturbed)


SPY = """
import json, os, sys, time
start = time.time()
time.sleep(0.3)
line = {"gpus": os.environ["CUDA_VISIBLE_DEVICES"], "devices": os.environ["SNLAB_DEVICES"], "start": start}
with open(sys.argv[1], "a") as file:
    file.write(json.dumps({**line, "end": time.time()}) + "\\n")
"""


class Spy(TrialProcess):
    """Writes down its GPUs and when it had them, in the place of a training process."""

    def start(self) -> None:
        command = [sys.executable, "-c", SPY, str(self.folder.parent / "spied.jsonl")]
        self.process = subprocess.Popen(command, env=self.slot.environment(os.environ))


@pytest.mark.parametrize(("per_run", "per_gpu"), [(2, 1), (1, 1), (1, 2)])
def test_a_gpu_never_holds_more_runs_than_it_should(per_run, per_gpu, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    four = read_sweep(written(tmp_path, [0]))
    study = Study(four, "k", [{}] * 8, 8, f"sqlite:///{tmp_path}/study.db", lease=60, attempts=1)

    def prepare(claimed, slot):
        folder = tmp_path / str(claimed.task)
        folder.mkdir()
        return Spy(claimed, Planned({}, [], "x", folder), slot, folder)

    Executor(study, slots("all", per_run, per_gpu), prepare, Said()).run()
    lines = [json.loads(line) for line in (tmp_path / "spied.jsonl").read_text().splitlines()]
    assert len(lines) == 8
    assert {line["devices"] for line in lines} == {str(per_run)}
    at_once = 0
    for one in lines:
        assert len(one["gpus"].split(",")) == per_run
        sharing = [
            other
            for other in lines
            if set(other["gpus"].split(",")) & set(one["gpus"].split(","))
            and other["start"] <= one["start"] < other["end"]
        ]
        at_once = max(at_once, len(sharing))
    assert at_once <= per_gpu
    if per_gpu == 1:  # two seconds at most from one run on a GPU to the next, Python's own start included
        for gpus in {line["gpus"] for line in lines}:
            turns = sorted((line["start"], line["end"]) for line in lines if line["gpus"] == gpus)
            assert all(later[0] - earlier[1] < 2 for earlier, later in itertools.pairwise(turns))


CURVE = """
import json, pathlib, sys, time
folder, worth = pathlib.Path(sys.argv[1]), float(sys.argv[2])
(folder / "config.yaml").write_text("{}")
for step in range(1, 10):
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"generator_step": step, "loss/generator": worth}) + "\\n")
    time.sleep(0.25)
(folder / "summary.json").write_text(json.dumps({"outcome": "finished"}))
"""


class Curve(TrialProcess):
    """Logs as many values as its task is worth, in the place of a training process."""

    def start(self) -> None:
        command = [sys.executable, "-c", CURVE, str(self.folder), str(self.claimed.task)]
        self.process = subprocess.Popen(command)


def curves(tmp_path: Path, count: int, **changes: object) -> Study:
    """The study of a sweep of ``count`` curves, worked off."""
    path = written(tmp_path, [0], "curves")
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    study = Study(
        read_sweep(path), "k", [{}] * count, count, f"sqlite:///{tmp_path}/study.db", lease=60, attempts=1
    )

    def prepare(claimed, slot):
        folder = tmp_path / str(claimed.task)
        folder.mkdir()
        return Curve(claimed, Planned({}, [], "x", folder), slot, folder)

    Executor(study, slots(workers=1), prepare, Said()).run()
    return study


def test_hyperband_ends_the_processes_of_runs_that_fall_behind(tmp_path):
    stop = {"type": "hyperband", "max_iter": 9, "s": 2, "eta": 3}
    study = curves(tmp_path, 6, early_terminate=stop)
    tasks = study.tasks()
    assert {task.state for task in tasks} == {"done"}
    stopped = [task.number for task in tasks if task.outcome == "stopped early"]
    assert stopped
    assert 0 not in stopped  # the best
    for task in tasks:
        lines = len((tmp_path / str(task.number) / "metrics.jsonl").read_text().splitlines())
        ended_by_itself = (tmp_path / str(task.number) / "summary.json").exists()
        assert ended_by_itself == (task.number not in stopped)
        assert lines == 9 or not ended_by_itself


def test_no_run_begins_once_one_has_reached_the_target(tmp_path):
    metric = {"name": "loss/generator", "goal": "maximize", "target": 1}
    tasks = curves(tmp_path, 4, metric=metric).tasks()
    assert [task.state for task in tasks] == ["done", "done", "not needed", "not needed"]
    assert not (tmp_path / "2").exists()
