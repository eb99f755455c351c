"""What a run takes from the W&B agent that started it, and what it leaves of its end."""

from __future__ import annotations

import json
import signal
import sys
import threading

import pytest
from wandb.sdk.lib.config_util import save_config_file_from_dict

from snlab.core.environment import LAUNCHER, RUN_LOG
from snlab.core.errors import UserError
from snlab.tracking import wandb_agent_run


@pytest.fixture
def under_agent(monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep0")
    monkeypatch.setenv("WANDB_RUN_ID", "run7")


def test_parameters_are_read_as_the_agent_wrote_them(tmp_path, monkeypatch):
    given = {"model.normalizer": "gradient_penalty(weight=1)", "seed_everything": 2, "model.loss": None}
    path = tmp_path / "wandb" / "config.yaml"
    save_config_file_from_dict(str(path), {name: {"value": value} for name, value in given.items()})
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(path))
    assert wandb_agent_run.parameters() == given


def test_there_are_none_without_an_agent(monkeypatch):
    monkeypatch.delenv("WANDB_SWEEP_PARAM_PATH", raising=False)
    assert wandb_agent_run.parameters() == {}


CONFIG = {"seed": 1, "model": {"loss": "hinge", "adam": {"lr": 1, "beta1": 0}, "options": {}}, "runs": None}


@pytest.mark.parametrize(
    ("given", "rest"),
    [
        ({}, CONFIG),
        ({"other": 1}, CONFIG),
        (
            {"model.adam.lr": 2, "seed": 3},
            {"model": {"loss": "hinge", "adam": {"beta1": 0}, "options": {}}, "runs": None},
        ),
        ({"model.adam": "a name"}, {"seed": 1, "model": {"loss": "hinge", "options": {}}, "runs": None}),
        (
            {"model": {"adam": {"lr": 2}}},  # nested parameters: the rest is spelled flat beside them
            {"seed": 1, "model.loss": "hinge", "model.adam.beta1": 0, "model.options": {}, "runs": None},
        ),
        ({"model.loss": 1, "model": {"adam": 2}}, {"seed": 1, "model.options": {}, "runs": None}),
        ({"see": 1, "model.los": 2}, CONFIG),  # the beginning of a name is another name
    ],
)
def test_beside_a_sweeps_parameters(given, rest):
    assert wandb_agent_run.beside(CONFIG, given) == rest


@pytest.mark.parametrize(
    ("number", "plain", "ours"),
    [(signal.SIGUSR1, True, True), (signal.SIGTERM, True, False), (signal.SIGINT, False, False)],
)
def test_which_signals_ask_for_the_run_again(number, plain, ours, under_agent, monkeypatch, tmp_path):
    monkeypatch.delenv(RUN_LOG, raising=False)
    assert wandb_agent_run.wanted_again(number) is plain
    monkeypatch.setenv(RUN_LOG, str(tmp_path / "log"))
    assert wandb_agent_run.wanted_again(number) is ours
    monkeypatch.delenv("WANDB_SWEEP_ID")
    assert not wandb_agent_run.wanted_again(number)


def raising(error: BaseException):
    def run() -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("run", "code"), [(lambda: 0, 0), (lambda: 75, 75), (raising(ValueError("broken")), 1)]
)
def test_start_and_end_are_noted(run, code, monkeypatch, tmp_path):
    path = tmp_path / "log"
    monkeypatch.setenv(RUN_LOG, str(path))
    try:
        assert wandb_agent_run.noted(run) == code
    except ValueError:
        assert code == 1
    notes = [json.loads(line) for line in path.read_text().splitlines()]
    assert [note["exit_code"] for note in notes] == [None, code]
    assert notes[0]["time"] <= notes[1]["time"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_ends_with_its_agent_and_the_next_one_does_not(monkeypatch, tmp_path):
    monkeypatch.setenv(RUN_LOG, str(tmp_path / "log"))
    monkeypatch.setattr(wandb_agent_run, "POLL_SECONDS", 0.01)
    lives = threading.Event()
    monkeypatch.setattr(wandb_agent_run, "_lives", lambda agent: lives.is_set())
    told = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: told.set())
    try:
        assert wandb_agent_run.noted(lambda: int(told.wait(10))) == 1
        told.clear()
        lives.set()
        assert wandb_agent_run.noted(lambda: 0) == 0
        lives.clear()  # once the run is over, its agent's end is nobody's
        assert not told.wait(0.2)
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("environment", [{}, {RUN_LOG: "log", "LOCAL_RANK": "1", LAUNCHER: "1"}])
def test_without_a_keeper_and_on_other_ranks_nothing_is_noted(environment, monkeypatch, tmp_path):
    monkeypatch.delenv(RUN_LOG, raising=False)
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError):
        wandb_agent_run.noted(raising(UserError("wrong")))
    assert wandb_agent_run.noted(lambda: 3) == 3
    assert not list(tmp_path.iterdir())
