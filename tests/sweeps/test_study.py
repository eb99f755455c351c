"""The study: every task of a sweep is held by one executor at a time, and ends once."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.storages import RDBStorage
from sqlalchemy.exc import OperationalError

from snlab.core.errors import UserError
from snlab.sweeps.attempts import Failure
from snlab.sweeps.document import read_sweep
from snlab.sweeps.reopen import reopen
from snlab.sweeps.storage import StudyLostError
from snlab.sweeps.study import Study

N = 12
BROKEN = Failure("error", "ValueError: broken")
NO_SPACE = Failure("no space", "OSError: [Errno 28] No space left on device")


def sweep(folder: Path, **changes):
    document = {
        "method": "random",
        "metric": {"name": "loss/generator", "goal": "minimize"},
        "parameters": {"model.adam.lr": {"min": 0.0, "max": 1.0}, "model.n_dis": {"values": [1, 2]}},
        "command": ["snlab", "fit", "${args}"],
    }
    path = folder / "s.yaml"
    path.write_text(yaml.safe_dump(document | changes))
    return read_sweep(path)


def opened(folder: Path, lease: int = 60, attempts: int = 3, count: int = N, **changes) -> Study:
    known = [{"model.n_dis": 1, "model.adam.lr": i / N} for i in range(N)]
    found = sweep(folder, **changes)
    configurations = None if found.method == "bayes" else known
    url = f"sqlite:///{folder / 'study.db'}"
    return Study(found, "key", configurations, count, url, lease, attempts)


def states(study: Study) -> list[str]:
    return [task.state for task in study.tasks()]


def test_two_executors_share_the_tasks_out(tmp_path):
    claimed: list[list[int]] = [[], []]
    barrier = threading.Barrier(2)

    def work(mine: list[int], study: Study) -> None:
        barrier.wait(10)
        while (claim := study.claim()) is not None:
            mine.append(claim.task)
            study.done(claim, "finished", float(claim.task))

    threads = [threading.Thread(target=work, args=(mine, opened(tmp_path))) for mine in claimed]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed[0] + claimed[1]) == list(range(N))
    tasks = opened(tmp_path).tasks()
    assert [task.state for task in tasks] == ["done"] * N
    assert [task.score for task in tasks] == [float(i) for i in range(N)]


def test_a_task_keeps_its_configuration(tmp_path):
    claims = [opened(tmp_path).claim() for _ in range(N)]
    assert [c.configuration["model.adam.lr"] for c in claims] == [c.task / N for c in claims]
    assert opened(tmp_path).claim() is None


def test_failures_are_tried_again_so_often_and_no_more(tmp_path):
    study = opened(tmp_path)
    tried = []
    while (claim := study.claim()) is not None:
        if claim.task != 5:
            study.done(claim, "finished", 1.0)
        else:
            tried.append(claim.attempt)
            study.failed(claim, Failure("killed", "killed by SIGKILL"))
    assert tried == [1, 2, 3]
    assert study.tasks()[5].state == "failed"
    assert str(study.tasks()[5].failure) == "killed (killed by SIGKILL)"


def test_a_final_failure_is_not_tried_again_and_what_is_given_back_does_not_count(tmp_path):
    study = opened(tmp_path, attempts=2)
    first = study.claim()
    study.failed(first, BROKEN)
    assert states(study)[first.task] == "failed"
    for _ in range(4):
        claim = study.claim()
        assert claim.attempt == 1
        study.give_back(claim)
    assert states(study).count("waiting") == N - 1


# ---- what is lost, but got further ------------------------------------------------------------------------


def lost(study: Study, attempt: int, monkeypatch) -> None:
    """Claim the first task, begin it and never be heard of again: the lease has run out when this returns."""
    claim = study.claim()
    assert (claim.task, claim.attempt) == (0, attempt)
    study.begin(claim, "run")
    monkeypatch.setattr(RDBStorage, "_get_stale_trial_ids", lambda *_: [claim.trial._trial_id])


def one(folder: Path, saved: list[int], **changes) -> Study:
    """A study of one task, of whose run the last of ``saved`` is the newest checkpoint's step."""
    url = f"sqlite:///{folder / 'study.db'}"
    return Study(sweep(folder, **changes), "key", [{}], 1, url, 60, saved_step=lambda _: saved[-1])


def test_an_executor_that_is_lost_costs_no_attempt_where_the_run_got_further(tmp_path, monkeypatch):
    saved = [0]
    study = one(tmp_path, saved)
    for cut in range(5):
        lost(study, 1, monkeypatch)
        saved.append(10 * (cut + 1))
    for attempt in (1, 2, 3):  # it stands still from here
        lost(study, attempt, monkeypatch)
    assert study.claim() is None
    assert study.tasks()[0].state == "failed"
    assert str(study.tasks()[0].failure) == "lost (its executor was lost)"


def test_a_failure_costs_no_attempt_where_the_run_got_further_and_an_error_is_final_all_the_same(tmp_path):
    saved = [0]
    study = one(tmp_path, saved)
    for step in (10, 20, 30, 40):
        claim = study.claim()
        study.begin(claim, "run")
        saved.append(step)
        assert claim.attempt == 1
        assert study.failed(claim, Failure("killed", "killed by SIGKILL")).state == "waiting"
    study.begin(claim := study.claim(), "run")
    saved.append(50)
    assert study.failed(claim, BROKEN).state == "failed"


def test_a_checkpoint_that_is_older_than_the_attempt_is_no_progress(tmp_path):
    study = one(tmp_path, [30])
    for state in ("waiting", "waiting", "failed"):
        study.begin(claim := study.claim(), "run")
        assert study.failed(claim, NO_SPACE).state == state


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
        (folder / "config.yaml").write_text("{}")
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


# ---- a database that is gone ------------------------------------------------------------------------------


def unlink(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    path.unlink()
    path.touch()


def truncate(path: Path) -> None:
    os.truncate(path, 5000)


def overwrite(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [unlink, replace, truncate, overwrite, make_a_folder])
def test_a_study_that_is_lost_says_so_in_a_line_whatever_is_asked(harm, tmp_path):
    study = opened(tmp_path)
    claim = study.claim()
    harm(tmp_path / "study.db")
    with pytest.raises(StudyLostError, match="the same command begins a new study") as caught:
        study.claim()
    assert caught.value.for_good
    assert "\n" not in str(caught.value)
    if harm in (truncate, overwrite):
        for ask in (study.tasks, lambda: study.beat(claim), lambda: study.done(claim, "finished", 1.0)):
            with pytest.raises(StudyLostError, match="is damaged"):
                ask()
        with pytest.raises(UserError, match=r"study\.db is damaged .*; delete it"):
            opened(tmp_path)


def test_a_database_that_is_busy_or_full_is_not_lost_for_good(tmp_path, monkeypatch):
    study = opened(tmp_path)
    for reason in ("database is locked", "database or disk is full", "disk I/O error"):
        error = OperationalError("", {}, sqlite3.OperationalError(reason))
        monkeypatch.setattr(study, "_trials", lambda *_, error=error: raising(error))
        with pytest.raises(StudyLostError, match=f"study.db cannot be reached .*{reason}") as caught:
            study.tasks()
        assert not caught.value.for_good
        monkeypatch.undo()
    assert states(study) == ["waiting"] * N


def raising(error: Exception):
    raise error


# ---- leases, searches, targets ----------------------------------------------------------------------------


def test_a_silent_executor_loses_its_trials_and_one_that_beats_keeps_them(tmp_path):
    study, other = opened(tmp_path, lease=2), opened(tmp_path, lease=2)
    lost, kept = study.claim(), study.claim()
    deadline = time.monotonic() + 20
    seen = set()
    while lost.task not in seen:
        assert time.monotonic() < deadline
        study.beat(kept)
        claim = other.claim()
        if claim is not None:
            seen.add(claim.task)
            other.done(claim, "finished", 0.0)
        time.sleep(0.05)
    assert kept.task not in seen
    assert not study.is_mine(lost)
    assert study.is_mine(kept)


def test_an_executor_that_dies_between_claim_and_work_loses_its_trial(tmp_path, monkeypatch):
    study = opened(tmp_path, lease=1)
    monkeypatch.setattr(
        optuna.Trial, "set_user_attr", lambda *_: (_ for _ in ()).throw(RuntimeError("killed"))
    )
    with pytest.raises(RuntimeError, match="killed"):
        study.claim()
    monkeypatch.undo()
    deadline = time.monotonic() + 20
    tasks = set()
    while len(tasks) < N:
        assert time.monotonic() < deadline
        claim = study.claim()
        if claim is not None:
            tasks.add(claim.task)
            study.done(claim, "finished", 0.0)
    assert states(study) == ["done"] * N


def test_no_score_and_divergence_are_the_worst(tmp_path):
    study = opened(tmp_path)
    study.done(study.claim(), "diverged", None)
    study.done(study.claim(), "finished", float("nan"))
    assert [task.score for task in study.tasks()[:2]] == [float("inf")] * 2
    best = opened(tmp_path, metric={"name": "loss/generator", "goal": "maximize"})
    assert best.study.direction.name == "MINIMIZE"  # the same key is the same study


def test_a_search_comes_closer_and_repeats_a_failed_choice(tmp_path):
    study = opened(tmp_path, method="bayes", run_cap=N)
    first = study.claim()
    study.failed(first, Failure("killed", "killed by SIGKILL"))
    scores = []
    while (claim := study.claim()) is not None:
        if claim.task == first.task:
            assert claim.configuration == first.configuration
        score = (claim.configuration["model.adam.lr"] - 0.3) ** 2
        scores.append(score)
        study.done(claim, "finished", score)
    assert len(scores) == N
    assert min(scores) < 0.05


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_search_that_is_shared_and_started_again_draws_nothing_twice(sampler, tmp_path):
    drawn = []
    for _ in range(3):  # started again, and again
        found = sweep(tmp_path, method="bayes", run_cap=N)
        shared = [Study(found, "k", None, N, f"sqlite:///{tmp_path}/s.db", 60, sampler=sampler) for _ in "ab"]
        claims = [study.claim() for study in (*shared, *shared)]
        drawn += [claim.configuration["model.adam.lr"] for claim in claims]
        for study, claim in zip((*shared, *shared), claims, strict=True):
            study.done(claim, "finished", float(claim.task))
    assert len(set(drawn)) == N


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_task_that_is_reopened_is_run_again_as_it_was(method, tmp_path):
    study = opened(tmp_path, method=method, run_cap=N)
    first = {}
    while (claim := study.claim()) is not None:
        first[claim.task] = claim.configuration
        study.done(claim, "finished", 1.0)
    study.reopen([3, 5])
    other = opened(tmp_path, method=method, run_cap=N)
    assert [task.number for task in other.tasks() if task.state == "waiting"] == [3, 5]
    for task in (3, 5):
        claim = other.claim()
        assert (claim.task, claim.attempt, claim.configuration) == (task, 1, first[task])
        other.done(claim, "finished", 2.0)
    assert study.claim() is None
    assert [task.score for task in study.tasks()][2:6] == [1.0, 2.0, 1.0, 2.0]


def test_a_task_that_two_executors_reopen_is_run_once(tmp_path):
    first, second = opened(tmp_path), opened(tmp_path)
    while (claim := first.claim()) is not None:
        first.done(claim, "finished", 1.0)
    first.reopen([3])  # both have seen that the run is gone
    assert first.claim().task == 3
    second.reopen([3])
    assert second.claim() is None
    assert states(second)[3] == "running"


def test_a_run_that_reached_the_target_and_is_gone_does_not_count(tmp_path):
    study = opened(tmp_path, metric={"name": "loss/generator", "goal": "minimize", "target": 0.5})
    first = study.claim()
    study.done(first, "finished", 0.5)
    assert study.claim() is None
    assert states(study) == ["done"] + ["not needed"] * (N - 1)
    study.reopen([first.task])
    assert study.claim() is not None


def test_hyperband_stops_what_falls_behind(tmp_path):
    stop = {"type": "hyperband", "min_iter": 1, "eta": 3}
    study = opened(tmp_path, early_terminate=stop)
    stopped = []
    for _ in range(N):
        claim = study.claim()
        pruned = False
        for step in range(1, 10):
            if study.hopeless(claim, float(claim.task), step):
                pruned = True
                break
        if pruned:
            stopped.append(claim.task)
            study.pruned(claim)
        else:
            study.done(claim, "finished", float(claim.task))
    assert stopped
    assert 0 not in stopped  # the best, and the first
    assert {task.outcome for task in study.tasks() if task.number in stopped} == {"stopped early"}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://x", "sqlite:///PATH or postgresql"),
        ("nonsense", "sqlite:///PATH or postgresql"),
        ("postgresql+psycopg://me:secret@127.0.0.1:1/x", "cannot be opened"),
    ],
)
def test_a_storage_that_is_not_there_is_one_line_without_the_password(url, words, tmp_path):
    with pytest.raises(UserError) as caught:
        Study(sweep(tmp_path), "key", [{}], 1, url, 60)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
