"""Every value that a sweep file asks for stands in its runs, as W&B would have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from snlab.cli import main
from snlab.core.errors import UserError
from snlab.sweeps.check import check, plan
from snlab.sweeps.cost import Between, Estimate
from snlab.sweeps.document import read_sweep
from snlab.training.arguments import FitCLI
from tests.sweeps.test_check import written

RING = ["snlab", "fit", "--config=demo_ring", "--generator_steps=40"]


def ring(folder: Path, parameters: dict, *options: str, command: list[str] | None = None, **changes) -> Path:
    """A sweep of small runs on the ring, ``options`` after its parameters."""
    words = command or [*RING, "${args}", *options]
    return written(folder, **{"metric": None, "parameters": parameters, "command": words} | changes)


def planned(path: Path, root: Path | None = None):
    sweep = read_sweep(path)
    check(sweep)
    return plan(sweep, root or path.parent / "runs")


def settings_of(trial) -> dict:
    return FitCLI(trial.arguments).settings


def test_a_grid_is_cut_by_run_cap_in_wandbs_order(tmp_path):
    axes = {"seed_everything": {"values": [0, 1]}, "model.n_dis": {"values": [1, 2]}}
    trials = planned(ring(tmp_path, axes, run_cap=2))
    assert [t.configuration for t in trials] == [
        {"model.n_dis": 1, "seed_everything": 0},
        {"model.n_dis": 1, "seed_everything": 1},
    ]


def test_the_values_of_q_uniform_in_a_grid_are_wandbs(tmp_path):
    axis = {"model.adam.beta1": {"distribution": "q_uniform", "min": 0.1, "max": 0.9, "q": 0.25}}
    trials = planned(ring(tmp_path, axis))
    beta1 = [settings_of(t)["model"]["adam"]["beta1"] for t in trials]
    assert beta1 == pytest.approx([0.1, 0.35, 0.6, 0.85], rel=1e-12)


NULLS = {"model.ema_decay": {"values": [None, 0.9]}, "trainer.log_every_n_steps": {"values": [7, 8]}}


@pytest.mark.parametrize("macro", ["${args}", "${args_no_equals}"])
def test_null_is_a_value(macro, tmp_path):
    """As W&B's agent writes it, which is None."""
    trials = planned(ring(tmp_path, NULLS, command=[*RING, macro]))
    assert [settings_of(t)["model"]["ema_decay"] for t in trials] == [None, 0.9]
    assert any(word.endswith("None") for word in trials[0].arguments)


def test_configurations_that_are_one_run_are_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("snlab.sweeps.command.estimate", lambda *_: Estimate(Between(1.0, 1.0)))
    path = ring(tmp_path, NULLS)
    assert main(["sweep", str(path), "--dry-run", "--runs", str(tmp_path / "runs"), "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert "4 configurations: those that are not shown would be the same runs" in out
    assert "2 runs, 2 to do" in out


def test_null_inside_nested_parameters_and_mappings(tmp_path):
    nested = {"model": {"parameters": {"ema_decay": {"values": [None, 0.9]}, "n_dis": {"value": 2}}}}
    trials = planned(ring(tmp_path, nested, "--model.decay_from=3"))
    assert [settings_of(t)["model"]["ema_decay"] for t in trials] == [None, 0.9]
    mappings = {"config": {"values": [{"model": {"ema_decay": None, "n_dis": 7}}, "demo_ring"]}}
    trials = planned(ring(tmp_path, mappings))
    own = FitCLI(["--config=demo_ring"]).settings["model"]["n_dis"]
    assert [settings_of(t)["model"]["n_dis"] for t in trials] == [7, own]


@pytest.mark.parametrize(
    "parameters",
    [
        {"model.generator_adam.lr": {"values": [0.001, 0.002]}},
        {"model.generator_adam": {"parameters": {"lr": {"values": [0.001, 0.002]}}}},
        {"model.generator_adam": {"values": [{"lr": 0.001}, {"lr": 0.002}]}},
        {"model": {"parameters": {"generator_adam": {"parameters": {"lr": {"values": [0.001, 0.002]}}}}}},
    ],
)
def test_the_options_of_an_optional_group_are_parameters(parameters, tmp_path):
    trials = planned(ring(tmp_path, parameters))
    assert [settings_of(t)["model"]["generator_adam"]["lr"] for t in trials] == [0.001, 0.002]
    assert len({t.identity for t in trials}) == 2


def test_an_unknown_option_of_an_optional_group_is_named(tmp_path):
    path = ring(tmp_path, {"model.generator_adam.lrr": {"value": 1}})
    with pytest.raises(UserError, match=r"did you mean 'model\.generator_adam\.lr'\?"):
        planned(path)


def test_what_the_file_says_of_wandb_is_kept(tmp_path):
    axis = {"seed_everything": {"values": [0, 1]}}
    (first, _) = planned(ring(tmp_path, axis))
    assert settings_of(first)["wandb"] == {
        "mode": "offline", "project": "snlab", "entity": None, "group": "some", "checkpoints": False,
    }  # fmt: skip
    own = ["--wandb.mode=disabled", "--wandb.group=mine"]
    for trial in planned(ring(tmp_path, axis, *own, project="theirs", entity="them")):
        wandb = settings_of(trial)["wandb"]
        assert (wandb["mode"], wandb["group"]) == ("disabled", "mine")
        assert (wandb["project"], wandb["entity"]) == ("theirs", "them")
    (trial,) = planned(ring(tmp_path, {"wandb.group": {"value": "by parameter"}}))
    assert settings_of(trial)["wandb"]["group"] == "by parameter"
    with pytest.raises(UserError, match=r"command: .*wandb\.mode.*bogus"):
        planned(ring(tmp_path, axis, "--wandb.mode=bogus"))


NORMALIZERS = {"model.normalizer": {"values": ["none", "weight_norm", "spectral_norm"]}}
OVERRIDDEN = {
    "an option after the parameters": (NORMALIZERS, ["--model.normalizer=weight_norm"]),
    "in another spelling": (NORMALIZERS, ["--model", '{"normalizer": "weight_norm"}']),
    "an experiment after the parameters": (NORMALIZERS, ["--config=demo_ring"]),
    "a mapping after the parameters": (NORMALIZERS, ['--config={"model": {"normalizer": "none"}}']),
    "an option after a mapping": (
        {"config": {"values": [{"model": {"n_dis": 2, "adam": {"lr": 0.1}}}]}},
        ["--model.adam.lr=0.2"],
    ),
    "an experiment after an experiment": ({"config": {"values": ["demo_digits"]}}, ["--config=demo_ring"]),
    "two parameters": (
        {"config": {"values": [{"model": {"n_dis": 2}}]}, "model.n_dis": {"values": [1, 2]}},
        [],
    ),
    "a group and its option": ({"model": {"values": [{"n_dis": 2}]}, "model.n_dis": {"values": [1]}}, []),
    "an option of a nested parameter": (
        {"model": {"parameters": {"n_dis": {"values": [1, 2]}}}},
        ["--model.n_dis=2"],
    ),
    "an option of a null": ({"model.ema_decay": {"values": [None, 0.5]}}, ["--model.ema_decay=0.9"]),
}  # fmt: skip


@pytest.mark.parametrize("how", OVERRIDDEN)
def test_a_value_that_something_else_overrides_is_said(how, tmp_path, capsys):
    parameters, options = OVERRIDDEN[how]
    path = ring(tmp_path, parameters, *options)
    assert main(["sweep", str(path), "--dry-run", "--runs", str(tmp_path / "runs")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "overrides it" in err or "both set model.n_dis" in err


def test_an_experiment_among_the_parameters_is_set_before_the_others(tmp_path):
    """Wherever it is listed: a grid over three normalizers has three."""
    trials = planned(ring(tmp_path, {**NORMALIZERS, "config": {"values": ["demo_ring"]}}, "--model.n_dis=7"))
    models = [settings_of(t)["model"] for t in trials]
    assert [m["normalizer"] for m in models] == NORMALIZERS["model.normalizer"]["values"]
    assert {m["n_dis"] for m in models} == {7}  # an option by its name may change what an experiment says


def test_a_value_in_another_spelling_stands(tmp_path):
    spellings = {
        "trainer.devices": {"value": 1},
        "model.adam.lr": {"value": "1e-3"},
        "model.adam.beta1": {"value": 0},
        "model.normalizer": {"value": {"class_path": "snlab.SpectralNorm", "init_args": {"iterations": 2}}},
    }
    (trial,) = planned(ring(tmp_path, spellings))
    assert settings_of(trial)["model"]["adam"]["lr"] == 0.001
