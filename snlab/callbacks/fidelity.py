"""How good the generated samples are, over the run."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from snlab.callbacks.measurement import Measurement, Metrics
from snlab.callbacks.probe import generate
from snlab.core import names
from snlab.core.distributed import all_gather, broadcast_buffers, on_all_ranks, shard
from snlab.data import Density
from snlab.data.scaling import to_uint8
from snlab.metrics.extractors import Extractor, Features
from snlab.metrics.fidelity import fidelity, real_images
from snlab.metrics.modes import modes
from snlab.metrics.protocols import Protocol


class Fidelity(Measurement):
    """Logs ``fid/E``, ``kid/E`` and the protocol's other scores, E the extractor's name.

    Every rank generates and looks at its shard of the images; rank 0 scores them.

    Args:
        extractor: what looks at the images.
        protocol: which scores, from how many images.
        images: real training images, uint8 (N, C, H, W); the protocol says how many are used.
        latents: (n, latent_dim), the same at every measurement; as many as the protocol generates.
        every: as for every measurement.
        labels: of the generated images, int64 (n,), where the generator is given them.
    """

    everywhere = True

    def __init__(
        self,
        extractor: Extractor,
        protocol: Protocol,
        images: Tensor,
        latents: Tensor,
        every: float = 0.05,
        labels: Tensor | None = None,
    ) -> None:
        super().__init__(every)
        protocol.check(min(len(images), protocol.n_real), len(latents))
        self.extractor = extractor
        self.protocol = protocol
        self.images = images
        self.latents = latents
        self.labels = labels
        self._real: Features | None = None

    def logs(self, module: LightningModule) -> set[str]:
        return {f"{metric}/{self.extractor.name}" for metric in self.protocol.metrics}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        _ = self.extractor.digest  # trained before the run where it has to be, and known to its summary

    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        if self._real is None:
            images = real_images(self.images, self.protocol)
            self._real = self._features(lambda: shard(images).to(module.device), len(images))
        broadcast_buffers(module.children())
        fake = self._features(lambda: self._generated(module), len(self.latents))
        return fidelity(self._real, fake, self.protocol) if trainer.is_global_zero else {}

    def _generated(self, module: LightningModule) -> Tensor:
        """This rank's shard of the generated images, uint8."""
        latents = shard(self.latents).split(1000)
        labels = [None] * len(latents) if self.labels is None else shard(self.labels).split(1000)
        return torch.cat([self._images(module, z, y) for z, y in zip(latents, labels, strict=True)])

    def _images(self, module: LightningModule, latents: Tensor, labels: Tensor | None) -> Tensor:
        device = module.device
        return to_uint8(generate(module, latents.to(device), None if labels is None else labels.to(device)))

    def _features(self, images: Callable[[], Tensor], n: int) -> Features:
        """The features of ``n`` images, of which ``images()`` gives each rank its shard."""
        own = on_all_ranks(lambda: self.extractor.features(images()))
        return Features(all_gather(own.features, n), all_gather(own.logits, n), own.extractor)


class Modes(Measurement):
    """Logs ``modes/*``: which modes of a mixture the generator reaches.

    Args:
        density: the mixture.
        latents: (n, latent_dim), the same at every measurement.
        every: as for every measurement.
        labels: of the samples, int64 (n,), where the generator is given them.
    """

    def __init__(
        self, density: Density, latents: Tensor, every: float = 0.05, labels: Tensor | None = None
    ) -> None:
        super().__init__(every)
        self.density = density
        self.latents = latents
        self.labels = labels

    def logs(self, module: LightningModule) -> set[str]:
        return {names.MODES_COVERED, names.MODES_HIGH_QUALITY, names.MODES_KL}

    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        labels = None if self.labels is None else self.labels.to(module.device)
        samples = generate(module, self.latents.to(module.device), labels)
        return modes(samples, self.density.modes.to(samples.device), self.density.std)
