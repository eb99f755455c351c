"""A sweep on SLURM: one readable batch script, an array of one-node jobs, each with one executor.

An array rather than one job of N nodes with ``srun``: each member starts as soon as one node is free, and is
requeued alone, while the rest goes on. Rather than submitit: it pickles a Python function for each job and
checkpoints it itself; the study and the run folders already hold all that a requeued executor needs.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from snlab.core.errors import UserError

if TYPE_CHECKING:
    from snlab.sweeps.document import Sweep

SCRIPT = "slurm.sh"
WARNING = 120  # seconds before the time limit at which the runs are told to save
SHORTEST = 600  # seconds; with less, a job would spend its time on starting and saving


@dataclass(frozen=True)
class SlurmOptions:
    """What ``snlab slurm`` asks of SLURM, and hands on to ``snlab sweep``. UserError for bad numbers.

    Args:
        nodes: jobs of the array, each of one node.
        gpus_per_node: GPUs of each; 0 for runs on the CPU.
        workers: runs at a time on a node's CPU, each with a core.
        gpus_per_run: GPUs of one run.
        runs_per_gpu: runs that share a GPU.
        time: time limit of a job as SLURM writes it; after it the job is requeued.
        partition: where to; the cluster's default if None.
        account: who pays; the user's default if None.
        storage: URL of the study; a SQLite file in the sweep's folder if None.
        runs: folder that the sweep's folder lies in, seen by every node.
        sbatch: more options of sbatch, in one string; they override the others.
    """

    nodes: int = 1
    gpus_per_node: int = 0
    workers: int | None = None
    gpus_per_run: int = 1
    runs_per_gpu: int = 1
    time: str = "24:00:00"
    partition: str | None = None
    account: str | None = None
    storage: str | None = None
    runs: Path = Path("runs")
    sbatch: str = ""

    def __post_init__(self) -> None:
        for name in ("nodes", "workers", "gpus_per_run", "runs_per_gpu"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UserError(f"{_option(name)} is {getattr(self, name)}; at least 1 is needed")
        if self.gpus_per_node < 0:
            raise UserError(f"--gpus-per-node is {self.gpus_per_node}; it cannot be negative")
        if bool(self.gpus_per_node) == bool(self.workers):
            raise UserError("one of --gpus-per-node K and --workers N is needed, and only one")
        if self.workers and (self.gpus_per_run > 1 or self.runs_per_gpu > 1):
            raise UserError("--gpus-per-run and --runs-per-gpu want --gpus-per-node")
        if self.gpus_per_node and self.gpus_per_run > self.gpus_per_node:
            raise UserError(
                f"--gpus-per-run is {self.gpus_per_run}, but --gpus-per-node is {self.gpus_per_node}"
            )
        if _seconds(self.time) < SHORTEST:
            raise UserError(
                f"--time is {self.time}; at least {SHORTEST // 60} minutes are needed, "
                f"of which the last {WARNING // 60} are for saving"
            )
        try:
            shlex.split(self.sbatch)
        except ValueError as error:
            raise UserError(f"--sbatch {self.sbatch!r}: {error}") from None

    @property
    def cores(self) -> int:
        """CPU cores of a job: one a run on the CPU; on a GPU one for the run and one for what it starts."""
        return self.workers or 2 * (self.gpus_per_node // self.gpus_per_run) * self.runs_per_gpu

    @property
    def executor(self) -> list[str]:
        """The options of ``snlab sweep`` on a node."""
        if self.workers:
            return ["--workers", str(self.workers)]
        share = ["--gpus-per-run", str(self.gpus_per_run), "--runs-per-gpu", str(self.runs_per_gpu)]
        return ["--gpus", "all", *share]


def slurm(sweep: Sweep, options: SlurmOptions) -> str:
    """Write a sweep's batch script into its folder and submit it; returns the job's id.

    UserError where there is no sbatch, or where it refuses.
    """
    path = _folder(sweep, options) / SCRIPT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script(sweep, options), encoding="utf-8")
    try:
        done = subprocess.run(["sbatch", "--parsable", path], capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError(
            "sbatch not found: submit where SLURM is installed; --print only shows the script"
        ) from None
    if done.returncode:
        words = [line.removeprefix("sbatch: error: ") for line in done.stderr.splitlines() if line.strip()]
        raise UserError(f"sbatch refused {path}: {'; '.join(words)}")
    return done.stdout.strip().partition(";")[0]  # the cluster's name may follow


def script(sweep: Sweep, options: SlurmOptions) -> str:
    """The batch script that ``slurm`` submits; nothing is written."""
    folder = _folder(sweep, options)
    command = [sys.executable, "-m", "snlab", "sweep", str(sweep.path.absolute())]
    command += ["--runs", str(options.runs.absolute()), *options.executor]
    if options.storage:
        command += ["--storage", options.storage]
    settings = [
        f"--job-name={sweep.name}",
        f"--array=0-{options.nodes - 1}",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={options.cores}",
        *([f"--gres=gpu:{options.gpus_per_node}"] if options.gpus_per_node else []),
        *([f"--partition={options.partition}"] if options.partition else []),
        *([f"--account={options.account}"] if options.account else []),
        f"--time={options.time}",
        f"--signal=B:USR1@{WARNING}",
        "--requeue",
        "--open-mode=append",
        f"--output={str(folder).replace('%', '%%')}/slurm-%A_%a.log",
    ]
    lines = [shlex.quote(setting) for setting in settings]
    if options.sbatch:
        lines.append(shlex.join(shlex.split(options.sbatch)))
    return TEMPLATE.format(
        name=sweep.name,
        nodes=options.nodes,
        path=folder / SCRIPT,
        settings="\n".join(f"#SBATCH {line}" for line in lines),
        directory=shlex.quote(str(Path.cwd())),
        command=shlex.join(command),
    )


def _folder(sweep: Sweep, options: SlurmOptions) -> Path:
    """The sweep's folder, absolute: nodes start elsewhere."""
    return (options.runs / sweep.name).absolute()


TEMPLATE = """\
#!/bin/bash
# The sweep {name} on {nodes} node(s): an array of one-node jobs, one executor each, all on one study.
# Written by snlab slurm. To submit it again: sbatch {path}
{settings}

cd {directory} || exit 1
{command} &
executor=$!

# USR1 comes before the time limit, TERM when the job has to go: the runs save, the executor exits with 75.
trap 'kill -USR1 "$executor" 2>/dev/null' USR1
trap 'kill -TERM "$executor" 2>/dev/null' TERM
while kill -0 "$executor" 2>/dev/null; do  # a trapped signal ends the wait early
    wait "$executor"
done
wait "$executor"
code=$?

# 75, or killed by the signal before it listened: this member of the array goes back into the queue. Unless it
# is on its way out already: cancelled by its user, or preempted and requeued by SLURM.
member="${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
case $code in 75 | 138 | 143)
    if [ "$(squeue --noheader --jobs="$member" --format=%T)" = RUNNING ]; then
        trap '' USR1 TERM
        scontrol requeue "$member"
    fi
esac
exit "$code"
"""


def _seconds(time: str) -> float:
    """A time limit in SLURM's notation, in seconds; UserError where it is none."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", time)
    if not match:
        raise UserError(f"--time {time!r} is not a time limit; write 30 (minutes), 24:00:00 or 2-12:00:00")
    days, *rest = match.groups()
    units = [int(part) for part in rest if part is not None]
    if days is None and len(units) < 3:  # minutes, or minutes:seconds
        units = [0, *units]
    hours, minutes, seconds = [*units, 0, 0][:3]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


# ---- the command's options ------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``snlab slurm``, for ``from_arguments``; besides them ``file`` and ``print``."""
    default = SlurmOptions(workers=1)
    parser.add_argument("file", type=Path, help="the sweep")
    parser.add_argument("--print", action="store_true", help="show the batch script and submit nothing")
    for name, kind, words in (
        ("nodes", int, "jobs of one node each (default: %(default)s)"),
        ("gpus_per_node", int, "GPUs of each node"),
        ("gpus_per_run", int, "GPUs of one run (default: %(default)s)"),
        ("runs_per_gpu", int, "runs that share a GPU (default: %(default)s)"),
        ("time", str, "time limit of a job, after which it is requeued (default: %(default)s)"),
        ("partition", str, "where to (default: the cluster's)"),
        ("account", str, "who pays (default: yours)"),
        ("storage", str, "postgresql://... (default: a SQLite file in the sweep's folder)"),
        ("runs", Path, "folder of runs, seen by every node (default: %(default)s)"),
        ("sbatch", str, 'more options of sbatch, as in "--mem=32G --constraint=a100"'),
    ):
        parser.add_argument(_option(name), type=kind, default=getattr(default, name), help=words)
    parser.add_argument("--workers", type=int, help="without GPUs: runs at a time on each node")


def from_arguments(arguments: argparse.Namespace) -> SlurmOptions:
    return SlurmOptions(**{field.name: getattr(arguments, field.name) for field in fields(SlurmOptions)})


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
