"""How good the generated samples are, over the run."""

from __future__ import annotations

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from snlab import names
from snlab.callbacks.measurement import Measurement, Metrics
from snlab.callbacks.probe import generate
from snlab.data import Density
from snlab.data.dataset import to_uint8
from snlab.metrics.extractors import Extractor, Features
from snlab.metrics.fidelity import fidelity, real_features
from snlab.metrics.modes import modes
from snlab.metrics.protocols import Protocol


class Fidelity(Measurement):
    """Logs ``fid/E``, ``kid/E`` and the protocol's other scores, E the extractor's name.

    Args:
        extractor: what looks at the images.
        protocol: which scores, from how many images.
        images: real training images, uint8 (N, C, H, W); the protocol says how many are used.
        latents: (n, latent_dim), the same at every measurement; as many as the protocol generates.
        every: as for every measurement.
    """

    def __init__(
        self, extractor: Extractor, protocol: Protocol, images: Tensor, latents: Tensor, every: float = 0.05
    ) -> None:
        super().__init__(every)
        protocol.check(min(len(images), protocol.n_real), len(latents))
        self.extractor = extractor
        self.protocol = protocol
        self.images = images
        self.latents = latents
        self._real: Features | None = None

    def logs(self, module: LightningModule) -> set[str]:
        return {f"{metric}/{self.extractor.name}" for metric in self.protocol.metrics}

    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        if self._real is None:
            self._real = real_features(self.extractor, self.images.to(module.device), self.protocol)
        fake = torch.cat([to_uint8(generate(module, z.to(module.device))) for z in self.latents.split(1000)])
        return fidelity(self._real, self.extractor.features(fake), self.protocol)


class Modes(Measurement):
    """Logs ``modes/*``: which modes of a mixture the generator reaches.

    Args:
        density: the mixture.
        latents: (n, latent_dim), the same at every measurement.
        every: as for every measurement.
    """

    def __init__(self, density: Density, latents: Tensor, every: float = 0.05) -> None:
        super().__init__(every)
        self.density = density
        self.latents = latents

    def logs(self, module: LightningModule) -> set[str]:
        return {names.MODES_COVERED, names.MODES_HIGH_QUALITY, names.MODES_KL}

    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        samples = generate(module, self.latents.to(module.device))
        return modes(samples, self.density.modes.to(samples.device), self.density.std)
