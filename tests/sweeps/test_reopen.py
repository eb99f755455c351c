"""What a start of a sweep opens again of what ended before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from snlab.sweeps.attempts import Failure
from snlab.sweeps.reopen import reopen
from snlab.sweeps.study import Study
from tests.sweeps.test_study import BROKEN, NO_SPACE, opened

# ---- opening failures again -------------------------------------------------------------------------------


def worked_off(study: Study, failures: dict[int, Failure]) -> dict[int, list[int]]:
    """Claim everything; the tasks in ``failures`` fail so. The attempts of each."""
    attempts: dict[int, list[int]] = {}
    while (claim := study.claim()) is not None:
        attempts.setdefault(claim.task, []).append(claim.attempt)
        study.begin(claim, f"run{claim.task}")
        if claim.task in failures:
            study.failed(claim, failures[claim.task])
        else:
            study.done(claim, "finished", 1.0)
    return attempts


FAILED = {1: BROKEN, 2: NO_SPACE, 3: Failure("killed", "killed by SIGKILL")}


@pytest.fixture(scope="module")
def worked_off_once(tmp_path_factory) -> Path:
    """A sweep three of whose tasks have failed, each in its own way, and the folders of its runs."""
    path = tmp_path_factory.mktemp("sweep")
    attempts = worked_off(opened(path, count=6), FAILED)
    assert attempts == {task: [1, 2, 3] if task in (2, 3) else [1] for task in range(6)}
    for task in range(6):
        folder = path / f"run{task}"
        folder.mkdir()
        (folder / "config.yaml").write_text("generator_steps: 1")
        (folder / "metrics.jsonl").write_text('{"generator_step": 1}\n')
        if task not in FAILED:
            (folder / "summary.json").write_text('{"outcome": "finished"}')
    return path


@pytest.fixture
def runs(worked_off_once, tmp_path) -> Path:
    """A copy of it."""
    return shutil.copytree(worked_off_once, tmp_path, dirs_exist_ok=True)


def reopened(runs: Path, attempts: int = 3, retry_failed: bool = False) -> tuple[list[int], str]:
    """The tasks that a start of the sweep opens again, and what it says."""
    study = opened(runs, count=6, attempts=attempts)
    said = "\n".join(reopen(study, runs, retry_failed).lines())
    return [task.number for task in study.tasks() if task.state == "waiting"], said


def test_the_next_start_tries_the_environments_failures_again_and_lists_the_others(runs):
    again, said = reopened(runs)
    assert again == [2]
    assert said.splitlines() == [
        f"tried again: run2: {NO_SPACE}; model.n_dis=1 model.adam.lr=0.1667",
        f"failed before: run1: {BROKEN}; model.n_dis=1 model.adam.lr=0.08333",
        f"failed before: run3: {FAILED[3]}; model.n_dis=1 model.adam.lr=0.25",
        "2 failed before and stay so; --retry-failed tries them again, and so does deleting a run's folder, "
        "or granting more --attempts",
    ]
    assert worked_off(opened(runs, count=6), {}) == {2: [1]}
    assert opened(runs, count=6).tasks()[2].state == "done"


def test_retry_failed_opens_everything_that_failed(runs):
    assert reopened(runs, retry_failed=True)[0] == [1, 2, 3]
    assert worked_off(opened(runs, count=6), FAILED) == {
        1: [1],
        2: [1, 2, 3],
        3: [1, 2, 3],
    }  # and it fails for good
    assert opened(runs, count=6).claim() is None


def test_granting_more_attempts_opens_those_that_used_up_fewer(runs):
    assert reopened(runs, attempts=5)[0] == [1, 2, 3]
    assert worked_off(opened(runs, count=6, attempts=5), FAILED) == {1: [2], 2: [1, 2, 3, 4, 5], 3: [4, 5]}
    assert reopened(runs, attempts=5)[0] == [2]
    assert reopened(runs, attempts=2)[0] == [2]


@pytest.mark.parametrize("task", [1, 3, 5])
def test_a_run_whose_folder_is_deleted_is_open_again(task, runs):
    shutil.rmtree(runs / f"run{task}")
    assert reopened(runs)[0] == sorted({2, task})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("summary.json", b""),
        ("summary.json", b'{"outcome": "fini'),
        ("summary.json", b"\xff\x00"),
        ("summary.json", b"[]"),
        ("config.yaml", b"a: [\n"),
        ("config.yaml", b"\xff\x00"),
        ("config.yaml", None),
        ("summary.json", None),
        ("metrics.jsonl", b""),
        ("metrics.jsonl", b'{"generator_step": 1}\n\xff\x00\n'),
        ("metrics.jsonl", None),
    ],
)
def test_a_run_that_is_damaged_counts_as_done_no_more(name, content, runs):
    path = runs / "run5" / name
    path.unlink()
    path.mkdir() if content is None else path.write_bytes(content)
    assert reopened(runs)[0] == [2, 5]


def test_what_another_executor_tries_again_is_left_alone(runs):
    first, second = opened(runs, count=6), opened(runs, count=6)
    reopen(first, runs, retry_failed=True)
    claims = [first.claim() for _ in range(3)]
    assert [claim.task for claim in claims] == [1, 2, 3]
    reopen(second, runs, retry_failed=True)
    assert second.claim() is None
