"""What the summary of a run holds, once it has ended."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from pytorch_lightning import Callback, Trainer

from snlab.callbacks.fidelity import Fidelity
from snlab.callbacks.throughput import Throughput
from snlab.core.machine import commit, machine, processor
from snlab.core.names import GENERATOR_STEP
from snlab.tracking.run_folder import Run

VERSIONS = ("snlab", "torch", "pytorch-lightning", "torchmetrics", "torch-fidelity", "wandb", "numpy")


class Ending(NamedTuple):
    """How a run ended: an outcome of tracking/run_folder.py, why, after which generator update, and when.

    Times are as ``core.text.time_now`` gives them.
    """

    outcome: str
    reason: str | None
    step: int
    time: str


class Course(NamedTuple):
    """When a run first began, None where that was not recorded, and the seconds that it was trained for."""

    begun: str | None
    seconds: float


def summary(
    trainer: Trainer, folder: Path, identity: str, end: Ending, course: Course | None = None
) -> dict[str, Any]:
    """What ``summary.json`` in ``folder`` is to hold, with the last value of every number logged there.

    Args:
        course: of the run, where no Throughput has followed it.
    """
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    followed = next((Course(c.begun, c.elapsed) for c in callbacks if isinstance(c, Throughput)), course)
    return {
        "outcome": end.outcome,
        "reason": end.reason,
        GENERATOR_STEP: end.step,
        "identity": identity,
        "begun": followed.begun if followed else None,
        "ended": end.time,
        "seconds": followed.seconds if followed else 0,
        "device": str(trainer.strategy.root_device),
        "machine": machine(trainer.strategy.root_device),
        "processor": processor(),
        "versions": versions(),
        "commit": commit(),
        "extractors": {c.extractor.name: c.extractor.digest for c in callbacks if isinstance(c, Fidelity)},
        "metrics": Run.read(folder).history.last_scalars(),
    }


def versions() -> dict[str, str]:
    """Of what numbers depend on."""
    return {name: version(name) for name in VERSIONS} | {"python": platform.python_version()}


def stopped_by(callbacks: Sequence[Callback]) -> str:
    """Why a callback of the user's has ended the run, as far as it says."""
    for callback in callbacks:
        message = getattr(callback, "stopping_reason_message", None)
        if message:
            return f"{type(callback).__name__}: {str(message).removesuffix(' Signaling Trainer to stop.')}"
    return "a callback told the trainer to stop"
