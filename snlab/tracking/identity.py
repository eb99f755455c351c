"""A run's identity: the hash of what in its configuration can change a number. Never imports torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from snlab.tracking.run_folder import MODULE

# What cannot change a number: where a run lands, how it is kept and shown, and which modules are imported for
# the names that they bring (the source of what a run uses of them is in `sources`).
_NOT_IDENTITY = {
    *("config", "runs", "run_folder", "resume", "again", "checkpoint_every", "keep_best", "wandb", "import"),
}
# Of the Trainer's options: on what and by which kernels it runs (the same to rounding), how long at a time,
# what is shown.
_TRAINER_NOT_IDENTITY = {
    *("accelerator", "strategy", "devices", "num_nodes", "deterministic", "benchmark", "max_time"),
    *("logger", "log_every_n_steps", "default_root_dir", "enable_autolog_hparams", "model_registry"),
    *("enable_checkpointing", "enable_progress_bar", "enable_model_summary", "profiler", "detect_anomaly"),
}
# Its defaults that are not empty. What is at its default is left out, so that a new option changes nothing.
TRAINER_DEFAULTS: dict[str, Any] = {
    "max_epochs": -1,
    "check_val_every_n_epoch": 1,
    "accumulate_grad_batches": 1,
    "inference_mode": True,
    "use_distributed_sampler": True,
    "sync_batchnorm": True,
}
_IDENTITY_DIGITS = 12
# Options that came later than the first runs, and their defaults: at these they are no part of what a run is
# called by.
LATER: dict[str, dict[str, Any]] = {
    "data": {"scaling": "symmetric", "noise": False},
    "measure": {"lipschitz_bounds": False},
}


# Options that say when, and with which features, a run is measured: training is the same under any of them.
# Of what is logged, only what looks back at the last measurements, drift and stability, is another number.
MEASURING = ("every", "fidelity_every", "samples_every", "fidelity", "inception_weights", "lipschitz_bounds")


def identity(config: Mapping[str, Any]) -> str:
    """The hash of what a configuration computes, seed included: twelve hexadecimal digits.

    All of it counts but a short list of what cannot change a number, and options that are new and at their
    defaults.

    >>> a = {"seed_everything": 0, "model": {"n_dis": 1}, "runs": "here", "trainer": {"devices": 1}}
    >>> b = {"runs": "there", "trainer": {"devices": 2}, "model": {"n_dis": 1}, "seed_everything": 0}
    >>> identity(a) == identity(b), identity(a) == identity({**a, "seed_everything": 1})
    (True, False)
    """
    kept = {key: value for key, value in config.items() if computes(key)}
    if MODULE not in config:
        kept = {key: _without_later(key, value) for key, value in kept.items()}
    trainer = config.get("trainer") or {}
    kept["trainer"] = {
        key: value
        for key, value in trainer.items()
        if computes(f"trainer.{key}") and not _default(key, value)
    }
    if not kept.get("sources"):
        kept.pop("sources", None)
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_IDENTITY_DIGITS]


def setting(config: Mapping[str, Any]) -> str:
    """What the runs of one trial under several seeds have in common: ``identity`` without the seed."""
    return identity({**config, "seed_everything": None})


def trial(config: Mapping[str, Any]) -> str:
    """What the runs of one trial have in common, however often each was measured: ``setting`` without that.

    >>> often, rarely = ({"model": {"n_dis": 1}, "measure": {"every": every}} for every in (0.01, 0.1))
    >>> trial(often) == trial(rarely), setting(often) == setting(rarely)
    (True, False)
    """
    measure = config.get("measure")
    if MODULE in config or not isinstance(measure, Mapping):
        return setting(config)
    return setting(
        {**config, "measure": {key: v for key, v in measure.items() if not only_measures(f"measure.{key}")}}
    )


def only_measures(key: str) -> bool:
    """Whether an option, by its dotted name, only says when or with which features a run is measured.

    >>> only_measures("measure.every"), only_measures("measure.protocol"), only_measures("model.loss")
    (True, False, False)
    """
    head, _, tail = key.partition(".")
    return head == "measure" and tail in MEASURING


def computes(key: str) -> bool:
    """Whether an option, by its dotted name, is part of a run's identity where it is not at its default.

    >>> computes("model.loss"), computes("trainer.precision"), computes("trainer.devices"), computes("runs")
    (True, True, False, False)
    """
    head, _, tail = key.partition(".")
    if head == "trainer" and tail:
        return tail.split(".")[0] not in _TRAINER_NOT_IDENTITY
    return head not in _NOT_IDENTITY


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with options written out that came after it, where it is of snlab's own module.

    >>> completed({"data": {"dataset": "digits", "noise": True}})
    {'data': {'scaling': 'symmetric', 'noise': True, 'dataset': 'digits'}}
    """
    if MODULE in config:
        return dict(config)
    return {
        key: {**LATER[key], **value} if key in LATER and isinstance(value, Mapping) else value
        for key, value in config.items()
    }


def _without_later(group: str, options: Any) -> Any:
    later = LATER.get(group, {})
    if not later or not isinstance(options, Mapping):
        return options
    return {key: value for key, value in options.items() if key not in later or value != later[key]}


def _default(option: str, value: Any) -> bool:
    if option not in TRAINER_DEFAULTS:
        return value is None or (isinstance(value, bool | int | float | list) and not value)
    default = TRAINER_DEFAULTS[option]
    return type(value) is type(default) and value == default
