"""Every option of the Trainer is honoured or refused; how the honoured ones show: test_endings.py."""

from __future__ import annotations

import inspect
from datetime import timedelta

import pytest
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint

from snlab.cli import main
from snlab.core.errors import UserError
from snlab.training.arguments import FitCLI
from snlab.training.trainer_options import (
    OPTIONS,
    check_callback,
    check_monitors,
    check_trainer,
    listed,
    seconds,
)

# A value other than the default of each option that is refused.
REFUSED = {
    "logger": False,
    "fast_dev_run": True,
    "max_epochs": 0,
    "min_epochs": 1,
    "max_steps": 5,
    "min_steps": 5,
    "limit_train_batches": 2,
    "limit_val_batches": 2,
    "limit_test_batches": 2,
    "limit_predict_batches": 2,
    "overfit_batches": 0.1,
    "val_check_interval": 10,
    "check_val_every_n_epoch": 2,
    "num_sanity_val_steps": 2,
    "enable_checkpointing": True,
    "enable_progress_bar": True,
    "accumulate_grad_batches": 2,
    "gradient_clip_val": 0.5,
    "gradient_clip_algorithm": "value",
    "inference_mode": False,
    "use_distributed_sampler": False,
    "barebones": True,
    "plugins": [{"class_path": "lightning.pytorch.plugins.environments.SLURMEnvironment"}],
    "reload_dataloaders_every_n_epochs": 1,
    "default_root_dir": "elsewhere",
    "enable_autolog_hparams": False,
    "model_registry": "mine",
}


@pytest.fixture(scope="module")
def defaults() -> dict[str, object]:
    return FitCLI([]).settings["trainer"]


def test_every_option_that_lightning_has_is_in_the_table():
    known = inspect.signature(Trainer).parameters
    assert OPTIONS.keys() >= known.keys(), "a new option: honour it or say what is done instead"
    assert {option for option, instead in OPTIONS.items() if instead} == REFUSED.keys()


def test_the_defaults_pass(defaults):
    check_trainer(defaults)
    assert defaults.keys() | {"max_steps"} == OPTIONS.keys() & inspect.signature(Trainer).parameters.keys()


@pytest.mark.parametrize("option", REFUSED)
def test_what_means_nothing_is_refused_with_what_to_say_instead(option, defaults):
    with pytest.raises(UserError) as error:
        check_trainer({**defaults, option: REFUSED[option]})
    assert str(error.value) == f"trainer.{option} has no meaning here: {OPTIONS[option]}"


def test_an_option_that_a_later_lightning_brings_is_refused(defaults, monkeypatch):
    monkeypatch.delitem(OPTIONS, "detect_anomaly")
    check_trainer(defaults)
    with pytest.raises(UserError, match=r"trainer.detect_anomaly has no meaning here: .* does not know it"):
        check_trainer({**defaults, "detect_anomaly": True})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("strategy", "ddp"),
        ("strategy", "ddp_find_unused_parameters_true"),
        ("accelerator", "gpu"),
        ("accelerator", "tpu"),  # whether there is one is seen when the run begins
        ("devices", [0, 1]),
        ("num_nodes", 2),
        ("precision", "bf16-mixed"),
        ("max_time", "00:01:00:00"),
        ("log_every_n_steps", 1),
        ("enable_model_summary", True),
        ("deterministic", "warn"),
        ("benchmark", True),
        ("profiler", "simple"),
        ("detect_anomaly", True),
        ("sync_batchnorm", False),
    ],
)
def test_what_is_honoured_passes(option, value, defaults):
    check_trainer({**defaults, option: value})


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("strategy", "fsdp", "trainer.strategy is fsdp; known: auto, ddp, ddp_find_unused_parameters_true"),
        ("strategy", "dpp", "did you mean 'ddp'?"),
        ("accelerator", "cpuu", "did you mean 'cpu'?"),
        ("profiler", "simpel", "did you mean 'simple'?"),
        ("profiler", "xla", "trainer.profiler is xla"),
        ("max_time", "90", "DD:HH:MM:SS is wanted"),
        ("max_time", {"minuets": 90}, "DD:HH:MM:SS is wanted"),
        ("max_time", {"minutes": -90}, "DD:HH:MM:SS is wanted"),
        ("precision", "16-mixed", "32-true and bf16-mixed are supported"),
    ],
)
def test_a_value_that_cannot_be_honoured_is_one_line(option, value, said, defaults):
    with pytest.raises(UserError) as error:
        check_trainer({**defaults, option: value})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("max_time", "expected"),
    [
        (None, None),
        ("01:02:03:04", 86400 + 2 * 3600 + 3 * 60 + 4),
        ({"minutes": 90}, 5400),
        ('{"minutes": 90}', 5400),  # as the command line hands a mapping over
        (timedelta(hours=1), 3600),
    ],
)
def test_max_time_in_seconds(max_time, expected):
    assert seconds(max_time) == expected


# ---- callbacks ------------------------------------------------------------------------------------------


class OwnCheckpoint(ModelCheckpoint):
    """A user's own, of a kind that is refused."""


def test_callbacks_are_one_or_many_or_none():
    one = EarlyStopping("loss/generator")
    assert listed(None) == []
    assert listed(one) == listed([one]) == [one]


@pytest.mark.parametrize("found", [ModelCheckpoint, OwnCheckpoint])
def test_a_callback_that_would_do_a_runs_own_work_is_refused(found):
    with pytest.raises(UserError, match=rf"{found.__name__} has no place here: .*--checkpoint_every"):
        check_callback(found, {})
    check_callback(LearningRateMonitor, {"logging_interval": None})
    check_callback(lambda: LearningRateMonitor(), {})  # a function that makes one


def test_an_epoch_to_check_at_the_end_of_is_refused():
    check_callback(EarlyStopping, {"monitor": "x", "check_on_train_epoch_end": None})
    check_callback(EarlyStopping, {"monitor": "x", "check_on_train_epoch_end": False})
    with pytest.raises(UserError, match="a run has no epochs"):
        check_callback(EarlyStopping, {"monitor": "x", "check_on_train_epoch_end": True})


def test_what_is_monitored_has_to_be_a_number_that_the_run_logs():
    logged = {"fid/embedded-digits", "loss/generator", "spectrum/conv1"}
    check_monitors([EarlyStopping("fid/embedded-digits")], logged)
    with pytest.raises(UserError, match="did you mean 'fid/embedded-digits'"):
        check_monitors([EarlyStopping("fid/embeded-digits")], logged)
    with pytest.raises(UserError, match="monitors 'spectrum/conv1', which this run never logs"):
        check_monitors([EarlyStopping("spectrum/conv1")], logged)
    check_monitors([EarlyStopping("mine"), LearningRateMonitor()], logged)  # which may log it


# ---- as typed -------------------------------------------------------------------------------------------

TYPED = [
    (["--trainer.max_epochs", "5"], "--generator_steps is the length of a run"),
    (["--trainer.max_steps", "5"], "generator_steps"),
    (["--trainer.fast_dev_run", "true"], "--generator_steps 2"),
    (["--trainer.accumulate_grad_batches", "2"], "--model.batch_size"),
    (["--trainer.logger", "false"], "--wandb.mode disabled"),
    (["--trainer.strategy", "deepspeed"], "trainer.strategy is deepspeed"),
    (["--trainer.accelerator", "tpu"], "trainer: "),
    (["--trainer.devices", "0"], "trainer: "),
    (["--trainer.devices", "many"], "trainer: "),
    (["--trainer.callbacks", "ModelCheckpoint"], "--checkpoint_every"),
    (["--trainer.callbacks", "Timer"], "--trainer.max_time"),
    (["--trainer.callbacks", "Nothing"], "Nothing"),
    (
        ["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "loss/generater"],
        "did you mean 'loss/generator'?",
    ),
    (
        [
            *("--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "loss/generator"),
            *("--trainer.callbacks.mode", "low"),
        ],
        "low",
    ),
    (["--seed_everything", "-1"], "seed_everything is -1; a whole number from 0 to 4294967295 is needed"),
    (["--seed_everything", "4294967296"], "a whole number from 0 to 4294967295 is needed"),
    (["--seed_everything", "true"], "--seed_everything"),
    (["--seed_everything", "1.5"], "--seed_everything"),
    (
        ["--model.decay_from", "3"],
        "model.decay_from is 3, beyond the run's end: generator_steps is 2",
    ),
    (["--config", "normalizers_digits"], "normalizers_digits is a sweep; snlab sweep normalizers_digits"),
    (["--config", "SWEEP"], "is a sweep file; snlab sweep "),
    (["--config", "STEPS"], "sets trainer.max_steps; say --generator_steps"),
    (["--config", "{'model': {'seed': 3}}"], "sets model.seed; say --seed_everything"),
    (
        [
            *("--data.dataset", "photos(size=16)", "--measure.fidelity", "inception"),
            *("--measure.inception_weights", "nowhere"),
        ],
        "download https://",
    ),
    (["--measure.fidelity", "inception"], "wants 10000 real training images, not 1437"),
    (["--measure.fidelity", "inception", "--data.dataset", "mixture", "--model.network", "mlp"], "no images"),
    (["--measure.protocol", "miyato"], "did you mean 'miyato2018'?"),
]


@pytest.mark.parametrize(("arguments", "said"), TYPED, ids=[" ".join(a) for a, _ in TYPED])
def test_a_mistake_is_one_line_before_any_folder_is_made(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep, steps = tmp_path / "a.yaml", tmp_path / "b.yaml"
    sweep.write_text("method: grid\nparameters: {seed_everything: {values: [0]}}\n")
    steps.write_text("trainer: {max_steps: 7}\n")
    files = {"SWEEP": str(sweep), "STEPS": str(steps)}
    quick = ["--generator_steps", "2", "--measure.fidelity", "none", "--wandb.mode", "disabled"]
    assert main(["fit", *quick, *(files.get(a, a) for a in arguments)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("snlab: ")
    assert said in line
    assert not (tmp_path / "runs").exists()
