"""Losses, and the end of a run whose numbers are no longer finite."""

from __future__ import annotations

import math

import torch
from pytorch_lightning import LightningModule, Trainer

from snlab.callbacks.measurement import Measurement, Metrics, log
from snlab.core import names


class Diverged(Exception):  # noqa: N818  not an error
    """A loss or a weight is not finite: a result of the run, not an error of the program."""


class Losses(Measurement):
    """Logs what the module's ``mean_losses()`` gives, the means since the last log, where it has that.

    Raises Diverged where one of them, or any weight, is not finite: in every process, as all have the same.
    """

    everywhere = True

    def logs(self, module: LightningModule) -> set[str]:
        return {names.LOSS_DISCRIMINATOR, names.LOSS_GENERATOR, names.LOSS_PENALTY}

    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        means = getattr(module, "mean_losses", None)
        losses: dict[str, float] = means() if callable(means) else {}
        finite = torch.stack([parameter.isfinite().all() for parameter in module.parameters()]).all()
        odd = [name for name, value in losses.items() if not math.isfinite(value)]
        if odd or not finite:
            log(trainer, losses, self.steps.now)
            raise Diverged(f"{', '.join(odd) or 'a weight'} not finite by generator step {self.steps.now}")
        return losses
