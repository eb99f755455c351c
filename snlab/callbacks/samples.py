"""What the generator makes of the same latents, over the run."""

from __future__ import annotations

from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from snlab.callbacks.measurement import Measurement, Metrics
from snlab.callbacks.probe import Probe, generate


class Samples(Measurement):
    """Hands samples from the probe's first latents to every logger that takes them, and real ones once.

    Args:
        probe: where the latents and the real samples come from.
        images: how many images make a grid; of vectors, all the probe's latents are used.
        every: as for every measurement.
        modes: (K, d), the centres of a mixture's modes, where they are known.
    """

    def __init__(
        self, probe: Probe, images: int = 64, every: float = 0.1, modes: Tensor | None = None
    ) -> None:
        super().__init__(every)
        self.probe = probe
        self.count = images if probe.heldout.ndim == 4 else len(probe.heldout)
        self.modes = modes
        self._shown_real = False

    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        if not self._shown_real:
            for logger in trainer.loggers:
                if hasattr(logger, "log_real"):
                    logger.log_real(self.probe.heldout[: self.count], self.modes)
            self._shown_real = True
        samples = generate(module, self.probe.latents[: self.count].to(module.device))
        for logger in trainer.loggers:
            if hasattr(logger, "log_samples"):
                logger.log_samples(samples, trainer.global_step)
        return {}
