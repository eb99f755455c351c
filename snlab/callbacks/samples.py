"""What the generator makes of the same latents, over the run."""

from __future__ import annotations

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from snlab.callbacks.measurement import Measurement, Metrics
from snlab.callbacks.probe import Probe, generate

MOST_COLUMNS, MOST_ROWS = 16, 8  # of a grid with a column for each class


class Samples(Measurement):
    """Hands samples from the probe's first latents to every logger that takes them, and real ones once.

    Where the networks are given labels, a grid of images has a column for each of the first classes, and in
    each row the same latents.

    Args:
        probe: where the latents and the real samples come from.
        images: how many images make a grid; of vectors, all the probe's latents are used.
        every: as for every measurement.
        modes: (K, d), the centres of a mixture's modes, where they are known.
        classes: how many classes the labels tell apart that the generator is given; 0 for none given.
    """

    def __init__(
        self,
        probe: Probe,
        images: int = 64,
        every: float = 0.1,
        modes: Tensor | None = None,
        classes: int = 0,
    ) -> None:
        super().__init__(every)
        self.probe = probe
        self.count = images if probe.heldout.ndim == 4 else len(probe.heldout)
        self.modes = modes
        self.columns = min(classes, MOST_COLUMNS) if probe.heldout.ndim == 4 else 0
        self._shown_real = False

    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        if not self._shown_real:
            for logger in trainer.loggers:
                if hasattr(logger, "log_real"):
                    logger.log_real(self.probe.heldout[: self.count], self.modes)
            self._shown_real = True
        samples = generate(module, *self._inputs(module.device))
        for logger in trainer.loggers:
            if hasattr(logger, "log_samples"):
                logger.log_samples(samples, self.steps.now, self.columns or None)
        return {}

    def _inputs(self, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Latents, and labels where the generator is given them, in the order of the grid's images."""
        latents, labels = self.probe.latents[: self.count].to(device), self.probe.heldout_labels
        if not self.columns:
            return latents, None if labels is None else labels[: self.count].to(device)
        rows = max(1, min(len(latents), self.count // self.columns, MOST_ROWS))
        labels = torch.arange(self.columns, device=device).repeat(rows)
        return latents[:rows].repeat_interleave(self.columns, 0), labels
