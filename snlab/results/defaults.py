"""What of a run's configuration is not as ``snlab fit`` has it where nothing is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snlab.results.groups import flattened
from snlab.tracking.identity import TRAINER_DEFAULTS
from snlab.tracking.run_folder import MODULE

# By dotted name; what is not here is null, false, 0 or empty. A test holds it to the parser of `snlab fit`.
DEFAULTS: dict[str, Any] = {
    "generator_steps": 100_000, "runs": "runs", "checkpoint_every": 0.1,
    "data.dataset": "digits", "data.scaling": "symmetric",
    "model.normalizer": "spectral_norm", "model.loss": "standard", "model.network": "standard_cnn",
    "model.n_dis": 1, "model.batch_size": 64,
    "model.adam.lr": 0.0002, "model.adam.beta1": 0.5, "model.adam.beta2": 0.999,
    "measure.every": 0.01, "measure.fidelity_every": 0.05, "measure.samples_every": 0.1,
    "measure.probe_size": 256, "measure.fidelity": "auto", "measure.protocol": "miyato2018",
    "wandb.mode": "auto", "wandb.project": "snlab",
    "trainer.accelerator": "auto", "trainer.strategy": "auto", "trainer.devices": 1, "trainer.num_nodes": 1,
    "trainer.enable_autolog_hparams": True,
    **{f"trainer.{name}": value for name, value in TRAINER_DEFAULTS.items()},
}  # fmt: skip
# Where a run lands and how it was begun: said elsewhere, or by nothing that it computed.
_PLACES = ("runs", "run_folder", "resume", "again", "sources")


def not_default(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, by dotted name, that are not at their defaults; all, of a module of the user's.

    >>> not_default({"model": {"n_dis": 5, "loss": "standard", "ema_decay": None}, "runs": "here"})
    {'model.n_dis': 5}
    """
    settings = {key: value for key, value in flattened(config).items() if key.split(".")[0] not in _PLACES}
    if MODULE in config:
        return settings
    return {key: value for key, value in settings.items() if not is_default(key, value)}


def is_default(key: str, value: Any) -> bool:
    """Whether a setting is as it is where nothing is said."""
    default = DEFAULTS.get(key)
    if default is None:
        return not value
    return bool(value == default) and isinstance(value, bool) == isinstance(default, bool)
