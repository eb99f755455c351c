"""The study: every task of a sweep is held by one executor at a time, and ends once."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.storages import RDBStorage

from snlab.core.errors import UserError
from snlab.sweeps.attempts import Failure
from snlab.sweeps.document import read_sweep
from snlab.sweeps.study import Study

pytestmark = pytest.mark.slow  # databases and executors

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


# ---- leases, searches, targets ----------------------------------------------------------------------------


@pytest.mark.slow
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


@pytest.mark.slow
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
