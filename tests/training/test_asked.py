"""A run that a W&B agent started trains what its sweep asked for, or says in a line why not."""

from __future__ import annotations

import pytest
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args
from wandb.sdk.lib.config_util import save_config_file_from_dict

from snlab.cli import main
from snlab.core.errors import UserError
from snlab.training.arguments import FitCLI
from snlab.training.asked import check_asked

BASE = ["--config=demo_ring"]


@pytest.fixture
def under_agent(monkeypatch, tmp_path):
    """``under_agent(given)``: an agent started this process with these parameters; returns its words."""

    def of(given: dict) -> list[str]:
        path = tmp_path / "config.yaml"
        save_config_file_from_dict(str(path), {name: {"value": value} for name, value in given.items()})
        monkeypatch.setenv("WANDB_SWEEP_ID", "sweep0")
        monkeypatch.setenv("WANDB_RUN_ID", "run7")
        monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(path))
        return create_sweep_command_args({"args": {n: {"value": v} for n, v in given.items()}})["args"]

    return of


GIVEN = {"model.normalizer": "weight_norm", "seed_everything": 1}


@pytest.mark.parametrize(
    "after",
    [
        ["--model.normalizer=spectral_norm"],
        ["--model.normalizer", "spectral_norm"],
        ["--config=demo_ring"],
        ['--config={"model": {"normalizer": "none"}}'],
    ],
)
def test_a_run_that_would_train_something_else_trains_nothing(after, under_agent, tmp_path, capsys):
    words = [*BASE, *under_agent(GIVEN), *after, f"--runs={tmp_path / 'runs'}"]
    assert main(["fit", *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "model.normalizer is to be weight_norm(" in err
    assert not (tmp_path / "runs").exists()


STANDING = [
    {"model.normalizer": "gradient_penalty(weight=1)", "model.ema_decay": None, "seed_everything": 2},
    {"model.normalizer": {"class_path": "snlab.SpectralNorm", "init_args": {"iterations": 2}}},
    {"model.normalizer": None, "trainer.devices": 1, "trainer.deterministic": True, "model.adam.beta1": 0},
    {"config": {"model": {"ema_decay": None, "adam": {"lr": 1e-5}}}, "model.n_dis": 2},
    {"config": "demo_ring", "model.normalizer": "none", "model.generator_adam": {"lr": 0.5}},
    {"model": {"ema_decay": None, "adam.lr": 0.25, "n_dis": 2}, "measure.every": 3},
    {"wandb.group": None, "trainer.max_time": None, "model.generator_adam.lr": 1e-7},
]


@pytest.mark.parametrize("given", STANDING, ids=lambda given: "-".join(given))
def test_what_an_agent_asks_for_stands_as_it_writes_it(given, under_agent):
    words = [*BASE, *under_agent(given)]
    settings = FitCLI(words).settings
    check_asked(words, settings, given)
    if "model.ema_decay" in given:
        assert settings["model"]["ema_decay"] is None


@pytest.mark.parametrize(
    ("given", "after", "said"),
    [
        ({"model.n_dis": 2}, "--model.n_dis=5", "model.n_dis is to be 2 by the sweep's"),
        ({"model.ema_decay": None}, "--model.ema_decay=0.9", "and would be 0.9"),
        ({"config": {"model": {"n_dis": 2, "batch_size": 8}}}, "--model.batch_size=9", "parameter config"),
        ({"model": {"n_dis": 2}}, "--model.n_dis=5", "by the sweep's parameter model, and would be 5"),
        ({"config": "demo_digits"}, "--config=demo_ring", "by the sweep's parameter config"),
        ({"model.generator_adam.lr": 0.1}, "--model.generator_adam=null", "model.generator_adam"),
    ],
)  # fmt: skip
def test_what_does_not_stand_is_told_with_both_values(given, after, said, under_agent):
    words = [*BASE, *under_agent(given), after]
    with pytest.raises(UserError) as caught:
        check_asked(words, FitCLI(words).settings, given)
    assert said in str(caught.value)


def test_an_option_by_its_name_may_change_what_an_experiment_says(under_agent):
    words = [*under_agent({"config": "demo_ring"}), "--model.n_dis=9"]
    check_asked(words, FitCLI(words).settings, {"config": "demo_ring"})


def test_null_is_not_written_for_an_option_that_takes_text():
    assert FitCLI(["--model.normalizer=None"]).settings["model"]["normalizer"] == "None"
    assert FitCLI(["--model.ema_decay", "None"]).settings["model"]["ema_decay"] is None
