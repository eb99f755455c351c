"""A sweep file is checked, whole, before anything starts."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import yaml

from snlab.cli import main
from snlab.core.errors import UserError
from snlab.sweeps.check import _logged, check, plan
from snlab.sweeps.document import read_sweep
from snlab.tracking.run_folder import Run
from snlab.training.arguments import FitCLI

SMALL = "--model.network=standard_cnn(width=0.125)"
GOOD = {
    "method": "grid",
    "metric": {"name": "sigma/exact/layers.0", "goal": "minimize"},
    "parameters": {
        "model.normalizer": {"values": ["none", "spectral_norm"]},
        "model.n_dis": {"values": [1, 2]},
    },
    "command": ["snlab", "fit", "--generator_steps=4", "--measure.fidelity=none", SMALL, "${args}"],
}


def written(folder: Path, **changes) -> Path:
    document = {key: value for key, value in (GOOD | changes).items() if value is not None}
    path = folder / "some.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@cache
def layer_name() -> str:
    from snlab.nn.layers import weight_layers

    cli = FitCLI([])
    cli.build()
    return next(iter(weight_layers(cli.model.discriminator)))


@pytest.fixture(autouse=True)
def real_layer(monkeypatch):
    monkeypatch.setitem(GOOD, "metric", {"name": f"sigma/exact/{layer_name()}", "goal": "minimize"})


def test_a_good_file_passes_and_its_plan_is_the_product(tmp_path):
    sweep = read_sweep(written(tmp_path))
    check(sweep)
    trials = plan(sweep, tmp_path / "runs")
    assert [tuple(t.configuration.values()) for t in trials] == [
        (1, "none"), (1, "spectral_norm"), (2, "none"), (2, "spectral_norm"),
    ]  # fmt: skip
    assert len({t.identity for t in trials}) == len({t.folder for t in trials}) == 4
    assert {t.folder.parent for t in trials} == {tmp_path / "runs/some"}


def test_two_spellings_of_one_trial_are_one_trial(tmp_path):
    values = ["gradient_penalty", "gradient_penalty(weight=10)", "gradient_penalty(weight=10.0)"]
    sweep = read_sweep(written(tmp_path, parameters={"model.normalizer": {"values": values}}))
    assert len(plan(sweep, tmp_path)) <= 2  # 10 and 10.0 are one number, and written as two
    same = {"model.normalizer": {"values": ["spectral_norm", "spectral_norm(iterations=1)"]}}
    assert len(plan(read_sweep(written(tmp_path, parameters=same)), tmp_path)) == 1


def test_a_mapping_and_nested_parameters_reach_the_run(tmp_path):
    mapping = {"model": {"n_dis": 3, "ema_decay": None, "adam": {"lr": 0.1}}}
    nested = {"parameters": {"adam": {"parameters": {"beta1": {"values": [0.25]}}}}}
    sweep = read_sweep(written(tmp_path, parameters={"config": {"values": [mapping]}, "model": nested}))
    with pytest.raises(UserError, match=r"metric|unknown"):
        check(read_sweep(written(tmp_path, metric={"name": "nothing"})))
    check(sweep)
    (trial,) = plan(sweep, tmp_path)
    model = FitCLI(trial.arguments).settings["model"]
    assert (model["n_dis"], model["adam"]["lr"], model["adam"]["beta1"]) == (3, 0.1, 0.25)
    assert model["ema_decay"] is None


def test_random_draws_are_the_same_everywhere_and_change_with_the_file(tmp_path):
    axis = {"model.adam.lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2}}
    first = read_sweep(written(tmp_path, method="random", run_cap=5, parameters=axis))
    again = read_sweep(written(tmp_path, method="random", run_cap=5, parameters=axis))
    assert list(first.configurations()) == list(again.configurations())
    other = read_sweep(written(tmp_path, method="random", run_cap=6, parameters=axis))
    assert list(first.configurations()) != list(other.configurations())[:5]
    values = [c["model.adam.lr"] for c in first.configurations()]
    assert len(set(values)) == 5
    assert all(1e-5 <= v <= 1e-2 for v in values)


BAD = {
    "unknown parameter": (
        {"parameters": {"model.normalizr": {"values": ["none"]}}},
        "unknown parameter 'model.normalizr'; did you mean 'model.normalizer'?",
    ),
    "wrong type": (
        {"parameters": {"model.n_dis": {"values": [1, "five"]}}},
        "parameter model.n_dis, value 'five'",
    ),
    "wrong type of another": (
        {"parameters": {"model.n_dis": {"values": [1, 2]}, "seed_everything": {"values": ["x"]}}},
        "parameter seed_everything, value 'x'",
    ),
    "unknown name": (
        {"parameters": {"model.normalizer": {"values": ["none", "spectral_nrom"]}}},
        "did you mean 'spectral_norm'?",
    ),
    "bad option": (
        {"parameters": {"model.normalizer": {"values": ["gradient_penalty(weight=-1)"]}}},
        "weight wants a finite number of at least 0",
    ),
    "value out of range": (
        {"method": "random", "run_cap": 2, "parameters": {"model.adam.beta1": {"min": 0.5, "max": 1.5}}},
        "beta1",
    ),
    "where runs land, as a parameter": (
        {"parameters": {"runs": {"values": ["a", "b"]}}},
        "parameter runs is not for a sweep's file",
    ),
    "a run's folder, as a parameter": (
        {"parameters": {"run_folder": {"value": "a"}}},
        "run_folder is not for a sweep's file: every run of a sweep has a folder of its own",
    ),
    "a run's folder in a mapping": (
        {"parameters": {"config": {"values": [{"run_folder": "a"}]}}},
        "parameter config: run_folder is not",
    ),
    "a run's folder in the command": (
        {"command": ["snlab", "fit", "--run_folder=x", "${args}"]},
        "command: --run_folder is not",
    ),
    "empty grid": ({"parameters": {}}, "a mapping of at least one parameter"),
    "empty axis": ({"parameters": {"model.n_dis": {"values": []}}}, "a list of at least one"),
    "method unknown": ({"method": "gird"}, "unknown method 'gird'; did you mean 'grid'?"),
    "key unknown": ({"parameter": {}}, "unknown key 'parameter'; did you mean 'parameters'?"),
    "metric never logged": ({"metric": {"name": "fid/embedded-digits"}}, "'fid/embedded-digits' is never"),
    "metric without a name": ({"metric": {"goal": "minimize"}}, "metric wants a name and a goal"),
    "goal unknown": ({"metric": {"name": "loss/generator", "goal": "minimise"}}, "did you mean 'minimize'?"),
    "target": ({"metric": {"name": "loss/generator", "target": "low"}}, "target wants a number, got 'low'"),
    "another program": ({"command": ["python", "train.py", "${args}"]}, "does not run snlab fit"),
    "no arguments": ({"command": ["snlab", "fit"]}, "command wants ${args} once"),
    "unknown macro": ({"command": ["snlab", "fit", "${arg}"]}, "did you mean '${args}'?"),
    "no such experiment": (
        {"command": ["snlab", "fit", "--config=digits_settings_c", "${args}"]},
        "did you mean 'digits_setting_c'?",
    ),
    "a distribution in a grid": (
        {"parameters": {"model.adam.lr": {"min": 0.1, "max": 0.2}}},
        "a grid wants values",
    ),
    "bayes without a metric": ({"method": "bayes", "metric": None}, "method bayes wants a metric"),
    "hyperband without a metric": (
        {"early_terminate": {"type": "hyperband", "min_iter": 3}, "metric": None},
        "early_terminate wants a metric",
    ),
    "hyperband of both forms": (
        {"early_terminate": {"type": "hyperband", "min_iter": 3, "max_iter": 9}},
        "either min_iter, or max_iter",
    ),
    "another terminator": ({"early_terminate": {"type": "median"}}, "wants type: hyperband"),
    "run_cap": ({"run_cap": 0}, "run_cap wants a whole number of at least 1"),
    "a name that leads elsewhere": ({"name": "../x"}, "cannot name a folder"),
    "endless": (
        {"method": "random", "parameters": {"model.adam.lr": {"min": 0.1, "max": 0.2}}},
        "without run_cap never ends",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", BAD)
def test_a_mistake_is_one_line_and_exit_code_2_before_anything_starts(mistake, tmp_path, capsys):
    changes, words = BAD[mistake]
    path = written(tmp_path, **changes)
    assert main(["sweep", str(path), "--runs", str(tmp_path / "runs"), "--workers", "1"]) == 2
    _, err = capsys.readouterr()
    assert words in err
    assert err.startswith(f"snlab: {path}: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("text", "words"), [("- 1", "holds no mapping"), ("a: [", "is not YAML")])
def test_a_file_that_is_no_sweep(text, words, tmp_path, capsys):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert main(["sweep", str(path)]) == 2
    assert words in capsys.readouterr().err
    assert main(["sweep", "normalizers_digit"]) == 2
    assert "did you mean 'normalizers_digits'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--data.dataset=digits", "--model.network=standard_cnn(width=0.125)"],
        ["--data.dataset=mixture(kind=ring)", "--model.network=flow"],
    ],
)
@pytest.mark.slow
def test_the_names_that_a_run_is_said_to_log_are_those_that_it_logs(words, fit):
    more = [
        "--generator_steps=4",
        "--measure.every=2",
        "--measure.fidelity_every=2",
        "--measure.probe_size=32",
    ]
    run: Run = fit(*words, *more, network=False)
    assert set(run.names()) == _logged([*words, *more], {})


@pytest.mark.slow
def test_a_dry_run_prints_every_run_their_number_and_the_cost(tmp_path, capsys):
    path = written(tmp_path)
    assert main(["sweep", str(path), "--dry-run", "--runs", str(tmp_path / "runs"), "--workers", "2"]) == 0
    out = capsys.readouterr().out
    assert "model.n_dis=2 model.normalizer=spectral_norm" in out
    assert out.count(" new ") == 4
    assert "4 runs, 4 to do: about" in out
    assert "of these: 4 runs as timed here over a few updates (2 of 2 kinds of run)" in out
    assert not (tmp_path / "runs").exists()


STOPPING = {
    "class_path": "pytorch_lightning.callbacks.EarlyStopping",
    "init_args": {"monitor": "fid/nothing"},
}


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ({"trainer.accumulate_grad_batches": {"values": [1, 2]}}, "value 2: trainer.accumulate_grad_batches"),
        ({"trainer.gradient_clip_val": {"values": [0.5, 1]}}, "value 0.5: trainer.gradient_clip_val"),
        ({"trainer.max_steps": {"values": [5]}}, "generator_steps"),
        ({"trainer.callbacks": {"values": ["ModelCheckpoint"]}}, "--checkpoint_every"),
        (
            {"config": {"values": [{"trainer": {"callbacks": [STOPPING]}}]}},
            "EarlyStopping monitors 'fid/nothing', which this run never logs",
        ),
        ({"seed_everything": {"values": [0, -1]}}, "seed_everything is -1"),
        ({"model.decay_from": {"values": [3, 5]}}, "value 5: model.decay_from is 5, beyond the run's end"),
        (
            {"measure.fidelity": {"values": ["inception"]}},
            "protocol 'miyato2018' wants 10000 real training images, not 1437",
        ),
    ],
)
def test_what_fit_would_refuse_is_refused_before_anything_starts(parameter, said, tmp_path, capsys):
    path = written(tmp_path, parameters=parameter, metric=None)
    assert main(["sweep", str(path), "--dry-run", "--runs", str(tmp_path / "runs")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"snlab: {path}: ")
    assert said in line
    assert not (tmp_path / "runs").exists()


def test_what_is_on_another_machine_is_not_needed_here(tmp_path, capsys):
    """A check wants the names of the scores, not the Inception weights: the run says what is missing."""
    values = {"data.dataset": {"values": ["photos(size=16)"]}, "measure.fidelity": {"values": ["inception"]}}
    path = written(
        tmp_path,
        parameters={**values, "measure.inception_weights": {"values": [str(tmp_path / "none.pth")]}},
        metric={"name": "fid/inception-v3-compat", "goal": "minimize"},
    )
    assert main(["sweep", str(path), "--dry-run", "--runs", str(tmp_path / "runs")]) == 0
    assert "none.pth" not in capsys.readouterr().err
