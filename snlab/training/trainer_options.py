"""Every option of Lightning's Trainer: honoured, or refused with snlab's own way. None is ignored."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.accelerators import AcceleratorRegistry
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler

from snlab.core import names
from snlab.core.errors import UserError, nearest
from snlab.gan import check_precision

# Where they differ from Lightning's own.
DEFAULTS: dict[str, Any] = {
    "max_epochs": -1,  # one endless epoch: the run's length is generator_steps
    "devices": 1,
    "sync_batchnorm": True,  # several devices train as one would
    "enable_progress_bar": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}

_LENGTH = "--generator_steps is the length of a run"
_MEASURED = "nothing is validated; --measure.every says how often a run is measured"
_SAVED = "a run saves itself into its folder; --checkpoint_every says how often"
_FOLDER = "--runs and --run_folder say where a run lands"
_DATA = "every update draws its batch from the whole data set"

HONOURED = None
# What is done about an option that is not at its default: None where it is honoured, else snlab's own way.
OPTIONS: dict[str, str | None] = {
    "accelerator": HONOURED,
    "strategy": HONOURED,
    "devices": HONOURED,
    "num_nodes": HONOURED,
    "precision": HONOURED,
    "logger": "a run logs to its folder and to W&B; --wandb.mode disabled leaves W&B out",
    "callbacks": HONOURED,
    "fast_dev_run": "for a short run, say --generator_steps 2 --measure.fidelity none",
    "max_epochs": _LENGTH,
    "min_epochs": _LENGTH,
    "max_steps": _LENGTH,
    "min_steps": _LENGTH,
    "max_time": HONOURED,
    "limit_train_batches": _LENGTH,
    "limit_val_batches": _MEASURED,
    "limit_test_batches": _MEASURED,
    "limit_predict_batches": _MEASURED,
    "overfit_batches": _DATA,
    "val_check_interval": _MEASURED,
    "check_val_every_n_epoch": _MEASURED,
    "num_sanity_val_steps": _MEASURED,
    "log_every_n_steps": HONOURED,  # of what callbacks log by Lightning's own means
    "enable_checkpointing": _SAVED,
    "enable_progress_bar": "snlab shows its own progress",
    "enable_model_summary": HONOURED,
    "accumulate_grad_batches": "--model.batch_size says how many samples make an update",
    "gradient_clip_val": "nothing is clipped; --model.normalizer is what controls the discriminator",
    "gradient_clip_algorithm": "nothing is clipped; --model.normalizer is what controls the discriminator",
    "deterministic": HONOURED,
    "benchmark": HONOURED,
    "inference_mode": _MEASURED,
    "use_distributed_sampler": "every device draws the whole batch and takes its shard",
    "profiler": HONOURED,
    "detect_anomaly": HONOURED,
    "barebones": "a bare loop is timed by python -m benchmarks; --measure.every 1000 measures seldom",
    "plugins": "snlab brings its own; --trainer.precision and --trainer.sync_batchnorm choose among them",
    "sync_batchnorm": HONOURED,
    "reload_dataloaders_every_n_epochs": _DATA,
    "default_root_dir": _FOLDER,
    "enable_autolog_hparams": "config.yaml in the run's folder holds every setting",
    "model_registry": _SAVED,
}

# Lightning's callbacks that do, or expect, what a run of ours does otherwise, by class name.
CALLBACKS = {
    "Checkpoint": _SAVED,
    "ProgressBar": "snlab shows its own progress",
    "Timer": "--trainer.max_time says how long a run may train",
    "GradientAccumulationScheduler": OPTIONS["accumulate_grad_batches"],
    "StochasticWeightAveraging": "--model.ema_decay averages the generator",
    "WeightAveraging": "--model.ema_decay averages the generator",
    "LearningRateFinder": "a sweep over model.adam.lr finds a learning rate",
    "BatchSizeFinder": "--model.batch_size is part of what is compared",
    "ThroughputMonitor": "a run logs time/images_per_second by itself",
}

STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")
PROFILERS: dict[str, type[Profiler]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}


def check_trainer(options: Mapping[str, Any]) -> None:
    """UserError for the first of the Trainer's ``options``, as configured, that would not be honoured."""
    known = {name: p.default for name, p in inspect.signature(Trainer).parameters.items()} | DEFAULTS
    for option, value in options.items():
        instead = OPTIONS.get(option, "this version of snlab does not know it")
        if instead is not HONOURED and value != known.get(option):
            raise UserError(f"trainer.{option} has no meaning here: {instead}")
    check_precision(options["precision"])
    _check_name("strategy", options["strategy"], STRATEGIES)
    accelerators = ("auto", "gpu", *AcceleratorRegistry.available_accelerators())
    _check_name("accelerator", options["accelerator"], accelerators)
    if isinstance(options["profiler"], str):
        _check_name("profiler", options["profiler"], PROFILERS)
    seconds(options["max_time"])


def _check_name(option: str, value: Any, known: Sequence[str] | Mapping[str, Any]) -> None:
    if value not in list(known):
        raise UserError(f"trainer.{option} is {value}; {nearest(str(value), known)}")


def seconds(max_time: Any) -> float | None:
    """``trainer.max_time`` in seconds, None where there is none; UserError where it reads as no time."""
    given = yaml.safe_load(max_time) if isinstance(max_time, str) and max_time.startswith("{") else max_time
    try:
        left = Timer(duration=given).time_remaining()
        if left is not None and left < 0:
            raise ValueError
        return left
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise UserError(
            f"trainer.max_time is {max_time}; DD:HH:MM:SS is wanted, or a mapping as in {{minutes: 90}}"
        ) from error


# ---- callbacks ------------------------------------------------------------------------------------------


def listed(callbacks: Any) -> list[Any]:
    """``trainer.callbacks`` as a list: it may be one, or none."""
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, Sequence) else [callbacks]


def check_callback(found: Any, arguments: Mapping[str, Any]) -> None:
    """UserError for a callback of Lightning's that would not work here, with these arguments.

    ``found`` is its class, or a function that makes it.
    """
    for base in getattr(found, "__mro__", ()):
        if base.__module__.startswith(("pytorch_lightning.", "lightning.")) and base.__name__ in CALLBACKS:
            instead = CALLBACKS[base.__name__]
            raise UserError(f"trainer.callbacks: {found.__name__} has no place here: {instead}")
    if arguments.get("check_on_train_epoch_end"):
        raise UserError(
            f"trainer.callbacks: {found.__name__}'s check_on_train_epoch_end has no meaning here: "
            "a run has no epochs, and a number is looked at whenever it is measured"
        )


def check_monitors(callbacks: Sequence[Callback], logged: set[str]) -> None:
    """UserError where a callback monitors what a run that logs ``logged`` has not as a number."""
    if any(getattr(callback, "monitor", None) is None for callback in callbacks):
        return  # that one may log more
    numbers = {name for name in logged if not name.startswith(f"{names.SPECTRUM}/")}
    for callback in callbacks:
        monitor = str(callback.monitor)  # type: ignore[attr-defined]
        if monitor not in numbers:
            raise UserError(
                f"{type(callback).__name__} monitors {monitor!r}, which this run never logs; "
                f"{nearest(monitor, numbers)}"
            )
