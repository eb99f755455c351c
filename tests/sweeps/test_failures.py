"""What an executor makes of failures: of a run, of what is around it, and of the study itself."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from pathlib import Path

import pytest

from snlab.core import failures
from snlab.sweeps import executor as executors
from snlab.sweeps.check import Planned
from snlab.sweeps.executor import Executor
from snlab.sweeps.slots import Slot, slots
from snlab.sweeps.storage import StudyLostError
from snlab.sweeps.study import Study
from snlab.sweeps.trial import TrialProcess
from tests.sweeps.test_study import sweep

pytestmark = pytest.mark.slow  # whole sweeps

SLOT = Slot("CPU 0", (), 1)
LASTS = "sleep 1.5; "
ENDS = """echo '{"generator_step": 1, "loss/generator": 2}' > metrics.jsonl
echo 'generator_steps: 1' > config.yaml
echo '{"outcome": "finished", "generator_step": 1}' > summary.json"""


class Said:
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def update(self, running, tasks) -> None:
        pass

    def say(self, line: str) -> None:
        self.lines.append(line)


class Scripted(TrialProcess):
    """A shell's script in the place of a training process, in its folder."""

    script = "exit 1"

    def start(self) -> None:
        log = (self.folder / "train.log").open("ab")
        self._log_before = log.tell()
        self.process = subprocess.Popen(
            ["sh", "-c", self.script],
            cwd=self.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


class Work:
    """A sweep whose runs are scripts, one a task."""

    def __init__(self, folder: Path, scripts: list[str], workers: int = 1, attempts: int = 3) -> None:
        self.folder, self.scripts, self.said = folder, scripts, Said()
        count = len(scripts)
        self.study = Study(
            sweep(folder), "key", [{}] * count, count, f"sqlite:///{folder / 'study.db'}", 60, attempts
        )
        self.executor = Executor(self.study, slots(workers=workers), self.prepare, self.said)

    def prepare(self, claimed, slot) -> Scripted:
        folder = self.folder / f"run{claimed.task}"
        folder.mkdir(exist_ok=True)
        trial = Scripted(claimed, Planned({}, [], "x", folder), slot, folder)
        trial.script = self.scripts[claimed.task]
        return trial

    def run(self) -> list[str]:
        return [task.state for task in self.executor.run()]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(executors, "REST_SECONDS", 0.01)
    monkeypatch.setattr(executors, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(executors, "CLAIM_SECONDS", 0.1)


# ---- of what kind a failure is ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "code", "kind"),
    [
        ("OSError: [Errno 28] No space left on device", 1, "no space"),
        ("", 73, "no space"),  # the log was on the full disk
        ("OSError: [Errno 122] Disk quota exceeded: 'a'", 1, "no space"),
        ("OSError: [Errno 27] File too large", 1, "no space"),
        ("", 72, "read-only disk"),
        ("OSError: [Errno 30] Read-only file system: 'a'", 1, "read-only disk"),
        ("OSError: [Errno 5] Input/output error", 1, "disk error"),
        ("", 74, "disk error"),
        ("snlab: run folder a cannot be written: Permission denied", 2, "no permission"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", 1, "out of memory"),
        ("RuntimeError: CUDA error: out of memory", 1, "out of memory"),
        ("MemoryError", 1, "out of memory"),
        ("RuntimeError: DefaultCPUAllocator: Error code 12 (Cannot allocate memory)", 1, "out of memory"),
        ("torch.AcceleratorError: CUDA error: unspecified launch failure", 1, "device lost"),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", 1, "device lost"),
        ("terminate called after\nwhat(): CUDA error: device is lost\nframe #0", -6, "device lost"),
        ("RuntimeError: CUDA error: device-side assert triggered", 1, "error"),
        ("OSError: [Errno 24] Too many open files: 'a'", 1, "too many open files"),
        ("ValueError: broken", 1, "error"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'a'", 1, "error"),
        ("generator_step 3/9  2.0/s", -9, "killed"),
        ("snlab: the same command with --resume goes on from there", 75, "killed"),
        ("snlab: run folder a is in use by another process", 2, "killed"),
    ],
)  # fmt: skip
def test_a_failures_kind(said, code, kind, tmp_path):
    trial = TrialProcess(None, Planned({}, [], "x", tmp_path), SLOT, tmp_path)
    (tmp_path / "train.log").write_text(f"generator_step 3/9  2.0/s\n{said}\n")
    failure = trial.failure(code)
    assert failure.kind == kind
    assert failure.environment == (kind not in ("error", "killed"))
    assert "\n" not in failure.reason
    assert failure.reason.startswith(said.splitlines()[0][:20] if said and code > 0 else "") or code == 75


def test_what_an_earlier_attempt_said_is_not_the_reason_of_this_one(tmp_path):
    (tmp_path / "config.yaml").write_text("{}")
    (tmp_path / "summary.json").write_text(
        '{"outcome": "failed", "reason": "OSError: No space left on device"}'
    )
    (tmp_path / "train.log").write_text("OSError: [Errno 28] No space left on device\n")
    trial = Scripted(None, Planned({}, [], "x", tmp_path), SLOT, tmp_path)
    trial._summary_before = (0, 0)
    assert trial.failure(1).kind == "no space"
    stat = (tmp_path / "summary.json").stat()
    trial._summary_before = (stat.st_ino, stat.st_mtime_ns)
    trial.script = "echo ValueError: broken; exit 1"
    trial.start()
    assert trial.process.wait(10) == 1
    assert str(trial.failure(1)) == "error (ValueError: broken)"


@pytest.mark.parametrize(("number", "name"), [
    (errno.ENOSPC, "no space"), (errno.EDQUOT, "no space"), (errno.EROFS, "read-only disk"),
    (errno.EIO, "disk error"), (errno.EACCES, "no permission"), (errno.ENOMEM, "out of memory"),
])  # fmt: skip
def test_an_exception_and_what_it_says_are_of_one_kind(number, name):
    error = OSError(number, os.strerror(number))
    assert failures.of_error(error).name == failures.of_text(f"OSError: {error}").name == name
    assert failures.of_error(FileNotFoundError(errno.ENOENT, "x")) is None
    assert failures.of_error(None) is None


# ---- what becomes of it -----------------------------------------------------------------------------------


def test_a_disk_that_is_full_for_a_while_costs_no_run(tmp_path):
    fails_twice = "echo x >> tried; test $(wc -l < tried) -gt 2 || exit 73\n" + ENDS
    work = Work(tmp_path, [fails_twice, ENDS])
    assert work.run() == ["done", "done"]
    assert [line.split(";")[0] for line in work.said.lines] == [
        "run0: no space (exit code 73)",
        "run1: finished, loss/generator 2",
        "run0: no space (exit code 73)",
        "run0: finished, loss/generator 2",
    ]


def test_a_slot_takes_no_more_runs_where_all_fail_for_what_is_around_them(tmp_path):
    work = Work(tmp_path, ["exit 73"] * 9)
    assert work.run() == ["waiting"] * 9
    assert len(work.said.lines) == executors.FAILURES_IN_A_ROW + 1
    assert work.said.lines[-1].startswith(
        "CPU 0: 5 in a row failed here, and not for their own sake (no space)"
    )


def test_an_error_is_given_up_at_once_and_the_environments_failure_for_now(tmp_path):
    work = Work(tmp_path, ["echo ValueError: broken; exit 1", "exit 73", ENDS], attempts=2)
    assert work.run() == ["failed", "failed", "done"]
    said = "\n".join(work.said.lines)
    assert "run0: error (ValueError: broken); given up;" in said
    assert "run1: no space (exit code 73); tried again;" in said
    assert "run1: no space (exit code 73); given up for now: the same command tries it again;" in said


# ---- what its folder holds --------------------------------------------------------------------------------

DAMAGE = {
    "a truncated summary": """echo '{"outcome": "fin' > summary.json""",
    "an empty summary": ": > summary.json",
    "a binary summary": "printf '\\377\\000' > summary.json",
    "a summary of another type": "echo '[]' > summary.json",
    "a folder for a summary": "rm summary.json; mkdir summary.json",
    "a binary configuration": "printf '\\377\\000' > config.yaml",
    "a truncated configuration": "echo 'a: [' > config.yaml",
    "no configuration": "rm config.yaml",
    "a folder for rows": "rm metrics.jsonl; mkdir metrics.jsonl",
}


def test_a_damaged_run_is_no_result_and_the_others_go_on(tmp_path):
    work = Work(tmp_path, [*(f"{ENDS}\n{harm}" for harm in DAMAGE.values()), ENDS])
    assert work.run() == [*["failed"] * len(DAMAGE), "done"]
    for number, line in enumerate(work.said.lines[:-1]):
        assert line.startswith(f"run{number}: error ("), line
        assert f"run{number} is not a readable run folder" in line
        assert "\n" not in line


def test_a_finished_run_whose_rows_are_damaged_is_no_result(tmp_path):
    rows = """printf '{"generator_step": 2, "loss/generator": 3}\\n\\377\\376\\n[1]\\n{"a": 1}\\n' """
    work = Work(tmp_path, [f"{ENDS}\n{rows} >> metrics.jsonl", f"{ENDS}\n: > metrics.jsonl", ENDS])
    assert work.run() == ["failed", "failed", "done"]
    assert "metrics.jsonl has 3 broken lines" in work.said.lines[0]
    assert "metrics.jsonl ends at update 0 of 1" in work.said.lines[1]


def test_a_metric_that_is_no_number_is_the_worst(tmp_path):
    row = """echo '{"generator_step": 2, "loss/generator": "low"}' >> metrics.jsonl"""
    assert Work(tmp_path, [f"{ENDS}\n{row}"]).run() == ["done"]


@pytest.mark.parametrize("harm", ["a file", "a folder for the log", "a folder for the lock"])
def test_a_folder_that_cannot_be_used_fails_its_own_run(harm, tmp_path):
    work = Work(tmp_path, [ENDS, ENDS])
    if harm == "a file":
        (tmp_path / "run0").write_text("in the way")
    else:
        (tmp_path / "run0" / {"a folder for the log": "train.log"}.get(harm, ".lock")).mkdir(parents=True)
    assert work.run() == ["failed", "done"]
    assert work.study.tasks()[0].failure.kind == "no folder"
    assert "given up for now" in work.said.lines[-1]


# ---- without the study ------------------------------------------------------------------------------------


def damaged(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


@pytest.mark.slow
@pytest.mark.parametrize("harm", [Path.unlink, damaged], ids=["deleted", "damaged"])
def test_runs_go_on_when_the_study_is_lost(harm, tmp_path):
    work = Work(tmp_path, [LASTS + ENDS] * 3)
    start = Scripted.start

    def started(trial: Scripted) -> None:
        start(trial)
        harm(tmp_path / "study.db")

    work.executor.prepare = lambda *of: _with_start(work.prepare(*of), started)
    with pytest.raises(StudyLostError, match="the same command begins a new study") as caught:
        work.run()
    assert (tmp_path / "run0" / "summary.json").exists()  # it was not stopped
    assert not (tmp_path / "run1").exists()
    assert work.said.lines[0] == f"{caught.value}; the runs that have begun go on"
    assert work.said.lines[1].startswith("run0: finished, which the study was not told")
    if harm is damaged:
        (tmp_path / "study.db").unlink()
    again = Work(tmp_path, [LASTS + ENDS] * 3, workers=3)
    assert again.run() == ["done"] * 3
    assert sum("(before)" in line for line in again.said.lines) == 1


def _with_start(trial: Scripted, start) -> Scripted:
    trial.start = lambda: start(trial)
    return trial


@pytest.mark.slow
def test_a_study_that_comes_back_is_told_everything(tmp_path, monkeypatch):
    work = Work(tmp_path, [LASTS + ENDS, ENDS])
    began, is_mine = time.monotonic(), work.study.is_mine

    def away(claimed):
        if 0.3 < time.monotonic() - began < 2.5:
            raise StudyLostError("the study cannot be reached (gone fishing)")
        return is_mine(claimed)

    monkeypatch.setattr(work.study, "is_mine", away)
    assert work.run() == ["done", "done"]
    assert work.said.lines[0] == "the study cannot be reached (gone fishing); the runs that have begun go on"
    assert [line.split(",")[0] for line in work.said.lines[1:]] == ["run0: finished", "run1: finished"]


def test_a_study_that_stays_away_is_given_up_once_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "STUDY_SECONDS", 0.5)
    work = Work(tmp_path, [ENDS])
    monkeypatch.setattr(
        work.study, "is_mine", lambda _: _raise(StudyLostError("the study cannot be reached"))
    )
    with pytest.raises(StudyLostError, match="cannot be reached"):
        work.run()
    assert len(work.said.lines) == 2


def _raise(error: Exception):
    raise error
