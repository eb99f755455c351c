"""What the generator makes of the same latents, over the run."""

from __future__ import annotations

from pytorch_lightning import LightningModule, Trainer

from snlab.callbacks.measurement import Measurement, Metrics
from snlab.callbacks.probe import Probe, generate


class Samples(Measurement):
    """Hands samples from the probe's first latents to every logger that takes them.

    Args:
        probe: where the latents come from.
        images: how many images make a grid; of vectors, all the probe's latents are used.
        every: as for every measurement.
    """

    def __init__(self, probe: Probe, images: int = 64, every: float = 0.1) -> None:
        super().__init__(every)
        self.probe = probe
        self.images = images

    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        latents = self.probe.latents.to(module.device)
        if self.probe.heldout.ndim == 4:
            latents = latents[: self.images]
        samples = generate(module, latents)
        for logger in trainer.loggers:
            if hasattr(logger, "log_samples"):
                logger.log_samples(samples, trainer.global_step)
        return {}
