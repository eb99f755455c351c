"""Sweeps through SLURM: the batch script, and a cluster of two nodes that runs it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from snlab.core.errors import UserError
from snlab.sweeps.document import Sweep, read_sweep
from snlab.sweeps.slurm import SlurmOptions, script
from snlab.sweeps.slurm import slurm as submit
from snlab.tracking.run_folder import Run
from snlab.training.fit import fit
from tests.comparing import assert_equal
from tests.sweeps.servers import Slurm
from tests.sweeps.waiting import wait_for

pytestmark = pytest.mark.slow

STEPS = 20
FIXED = [
    *("--model.network=standard_cnn(width=0.125)", "--model.batch_size=32", "--measure.fidelity=none"),
    *("--measure.probe_size=16", "--measure.every=2", "--measure.samples_every=10"),
    *(f"--generator_steps={STEPS}", "--checkpoint_every=10", "--wandb.mode=disabled"),
]
NORMALIZERS = ("none", "spectral_norm")
SEEDS = (0, 1)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Four small runs, in a folder whose name needs quoting."""
    folder = tmp_path / "100% a folder's"
    folder.mkdir()
    (folder / "four.yaml").write_text(f"""
name: four runs
method: grid
parameters:
  model.normalizer: {{values: [{", ".join(NORMALIZERS)}]}}
  seed_everything: {{values: {list(SEEDS)}}}
command: [snlab, fit, {", ".join(f'"{word}"' for word in FIXED)}, "${{args}}"]
""")
    return read_sweep(folder / "four.yaml")


def settings(text: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]


# ---- the script -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "wanted", "command"),
    [
        (
            SlurmOptions(nodes=3, workers=4, time="2-00:00:00"),
            ["--array=0-2", "--cpus-per-task=4", "--time=2-00:00:00"],
            "--workers 4",
        ),
        (
            SlurmOptions(gpus_per_node=4, gpus_per_run=2, runs_per_gpu=3, partition="a100", account="lab"),
            ["--array=0-0", "--gres=gpu:4", "--cpus-per-task=12", "--partition=a100", "--account=lab"],
            "--gpus all --gpus-per-run 2 --runs-per-gpu 3",
        ),
        (
            SlurmOptions(workers=1, storage="postgresql://me@db/studies", sbatch="--mem=8G -C 'a b'"),
            ["--mem=8G -C 'a b'"],
            "--workers 1 --storage postgresql://me@db/studies",
        ),
    ],
)
def test_the_script_says_what_was_asked(options, wanted, command, sweep):
    text = script(sweep, options)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    always = ["--nodes=1", "--ntasks=1", "--requeue", "--open-mode=append", "--signal=B:USR1@120"]
    assert set(settings(text)) >= {*always, *wanted}
    assert ("--gres" in text) == bool(options.gpus_per_node)
    (line,) = [line for line in text.splitlines() if line.endswith(" &")]
    assert line.startswith(f"{sys.executable} -m snlab sweep ")
    assert line.endswith(f" {command} &")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nodes": 0, "workers": 1}, "--nodes is 0"),
        ({"workers": 0}, "--workers is 0"),
        ({"gpus_per_node": -1}, "--gpus-per-node is -1"),
        ({}, "--gpus-per-node K and --workers N"),
        ({"workers": 1, "gpus_per_node": 1}, "only one"),
        ({"workers": 1, "runs_per_gpu": 2}, "want --gpus-per-node"),
        ({"gpus_per_node": 2, "gpus_per_run": 4}, "--gpus-per-run is 4"),
        ({"workers": 1, "time": "tomorrow"}, "--time 'tomorrow'"),
        ({"workers": 1, "time": "9"}, "at least 10 minutes"),
        ({"workers": 1, "time": "9:59"}, "at least 10 minutes"),
        ({"workers": 1, "time": "0:09:59"}, "at least 10 minutes"),
        ({"workers": 1, "sbatch": "--comment='a"}, "--sbatch"),
    ],
)
def test_a_mistake_is_one_line(options, words):
    with pytest.raises(UserError, match=words) as error:
        SlurmOptions(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("time", ["10", "10:00", "0:10:00", "1-0", "1-00:00", "0-00:10:00"])
def test_every_notation_of_a_time_limit(time):
    assert SlurmOptions(workers=1, time=time).time == time


def test_without_sbatch(sweep, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="sbatch not found"):
        submit(sweep, SlurmOptions(workers=1, runs=tmp_path))


# ---- the cluster ----------------------------------------------------------------------------------------


@pytest.fixture
def on_cluster(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    monkeypatch.setenv("SLURM_CONF", slurm.env["SLURM_CONF"])
    return slurm


def test_what_sbatch_says_reaches_the_user(on_cluster, sweep, tmp_path):
    with pytest.raises(UserError, match="invalid partition specified: nowhere") as error:
        submit(sweep, SlurmOptions(workers=1, partition="nowhere", runs=tmp_path))
    assert "\n" not in str(error.value)


def test_more_options_of_sbatch_override(on_cluster, sweep, tmp_path):
    options = SlurmOptions(workers=1, runs=tmp_path, sbatch="--time=0:42:00 --hold --comment='two words'")
    job = submit(sweep, options)
    shown = on_cluster("scontrol", "show", "job", job)
    assert "TimeLimit=00:42:00" in shown
    assert "Comment=two words" in shown
    on_cluster("scancel", job)


@dataclass(frozen=True)
class Job:
    """An array of one member, whose executor is a few lines of shell."""

    cluster: Slurm
    id: str
    log: Path

    def wait_for_line(self, line: str) -> None:
        wait_for(lambda: self.log.exists() and line in self.log.read_text(), 60, f"{line!r} in {self.log}")

    def ended(self) -> str:
        """What SLURM keeps of it when it is over."""
        self.cluster.wait_until_over(self.id, 60)
        return self.cluster("scontrol", "show", "job", self.id)


@pytest.fixture
def started(on_cluster: Slurm, sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``started(body, **options)``: a job whose executor is the shell script ``body``."""

    def start(body: str, **options: object) -> Job:
        executor = tmp_path / "executor"
        executor.write_text(f"#!/bin/bash\n{body}\n")
        executor.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(executor))
        asked = SlurmOptions(**{"workers": 1, "runs": tmp_path, **options})
        job = submit(sweep, asked)
        return Job(on_cluster, job, tmp_path / sweep.name / f"slurm-{job}_0.log")

    return start


# Exits with 75 when it is told to; goes on, and is done, when it comes again.
STOPPABLE = """
[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || { echo again; exit 0; }
trap 'exit 75' USR1 TERM
echo waiting
while true; do sleep 0.1; done
"""


def test_a_member_that_is_told_to_stop_comes_again(started):
    job = started(STOPPABLE)
    job.wait_for_line("waiting")
    job.cluster("scancel", "--batch", "--signal=USR1", f"{job.id}_0")  # as before the time limit
    assert "JobState=COMPLETED" in job.ended()
    assert "again" in job.log.read_text()


def test_a_member_that_is_preempted_comes_again(started, tmp_path):
    job = started(STOPPABLE, sbatch="--nodelist=n1")
    job.wait_for_line("waiting")
    job.cluster("srun", "--partition=urgent", "--nodelist=n1", "true")
    assert "JobState=COMPLETED" in job.ended()
    assert "again" in job.log.read_text()


def test_a_member_that_is_killed_by_the_signal_before_it_listens_comes_again(started):
    job = started(STOPPABLE.replace("trap 'exit 75' USR1 TERM", ""))
    job.wait_for_line("waiting")
    job.cluster("scancel", "--batch", "--signal=USR1", f"{job.id}_0")
    assert "JobState=COMPLETED" in job.ended()
    assert "again" in job.log.read_text()


def test_a_cancelled_job_stays_cancelled(started):
    job = started(STOPPABLE)
    job.wait_for_line("waiting")
    job.cluster("scancel", job.id)
    assert "JobState=CANCELLED" in job.ended()
    assert "again" not in job.log.read_text()


def test_the_executors_exit_code_is_the_jobs(started):
    job = started("exit 3")
    assert "JobState=FAILED" in (end := job.ended())
    assert "ExitCode=3:0" in end


def test_the_executor_has_the_nodes_gpus(started):
    job = started(
        'echo "sees $CUDA_VISIBLE_DEVICES: $*"', workers=None, gpus_per_node=2, sbatch="--cpus-per-task=1"
    )
    assert "JobState=COMPLETED" in job.ended()
    assert "sees 0,1: -m snlab sweep" in job.log.read_text()


def train_directly(runs: Path) -> dict[tuple[str, int], Run]:
    """The sweep's runs without a sweep, by normalizer and seed."""
    common = [*FIXED, "--runs", str(runs)]
    return {
        (normalizer, seed): fit([*common, f"--model.normalizer={normalizer}", f"--seed_everything={seed}"])
        for normalizer in NORMALIZERS
        for seed in SEEDS
    }


def trained(folder: Path) -> dict[tuple[str, int], Run]:
    """The runs of a sweep's folder that have begun, by normalizer and seed."""
    found = [Run.read(path.parent) for path in folder.glob("*/config.yaml")]
    keyed = {(run.config["model"]["normalizer"], run.config["seed_everything"]): run for run in found}
    assert len(keyed) == len(found)
    return keyed


@pytest.mark.timeout(900)
def test_four_runs_on_two_nodes_of_which_one_is_stopped_and_one_requeued(on_cluster, sweep, tmp_path):
    """A minute on two cores: an executor starts four times, on nodes of one core, and what SLURM waits."""
    runs = sweep.path.parent / "runs"
    job = submit(sweep, SlurmOptions(nodes=2, workers=1, runs=runs))
    folder = runs / sweep.name
    on_cluster.wait(job, "RUNNING", "0")
    on_cluster.wait(job, "RUNNING", "1")
    wait_for(lambda: len(list(folder.glob("*/metrics.jsonl"))) == 2, 120, "a run on each node training")
    on_cluster("scancel", "--batch", "--signal=USR1", f"{job}_0")  # as before the time limit
    on_cluster("scontrol", "requeue", f"{job}_1")  # as a preemption does
    direct = train_directly(tmp_path / "direct")
    on_cluster.wait_until_over(job, 600)
    found = trained(folder)
    assert found.keys() == direct.keys()
    for key, run in found.items():
        assert_equal(run, direct[key])
    for member in "01":
        assert "Restarts=1" in on_cluster("scontrol", "show", "job", f"{job}_{member}")
