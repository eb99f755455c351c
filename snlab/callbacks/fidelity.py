"""How good the generated samples are, over the run."""

from __future__ import annotations

from functools import partial

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn

from snlab.callbacks.measurement import Measurement, Metrics
from snlab.callbacks.probe import generate
from snlab.core import names
from snlab.core.distributed import broadcast_buffers
from snlab.data import Density, Modal
from snlab.data.scaling import to_uint8
from snlab.metrics.extractors import Extractor
from snlab.metrics.modes import dropped_mass, modes
from snlab.metrics.protocols import Protocol
from snlab.metrics.scorer import Scorer
from snlab.nn.evaluation import evaluating


class Fidelity(Measurement):
    """Logs ``fid/E``, ``kid/E`` and the protocol's other scores, E the extractor's name.

    The ranks share the work, which changes nothing in the scores.

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
        self.scorer = Scorer(extractor, protocol, images)
        self.latents = latents
        self.labels = labels

    @property
    def distance(self) -> str:
        """The name under which the Fréchet distance is logged."""
        return f"{names.FID}/{self.extractor.name}"

    def logs(self, module: LightningModule) -> set[str]:
        return {f"{metric}/{self.extractor.name}" for metric in self.protocol.metrics}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        _ = self.extractor.digest  # trained before the run where it has to be, and known to its summary

    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        broadcast_buffers(module.children())
        return self.scorer.scores(partial(scored_images, module), self.latents, self.labels, module.device)


def scored_images(module: LightningModule, latents: Tensor, labels: Tensor | None) -> Tensor:
    """Images as they are scored, uint8 (n, C, H, W): see `generate`."""
    return to_uint8(generate(module, latents, labels))


class Modes(Measurement):
    """Logs ``modes/*``: what of the data the generator reaches.

    Which modes, where the data has equally likely round ones; what mass is dropped, where the generator's own
    density is known, by ``log_density``.

    Args:
        density: of the data.
        latents: (n, latent_dim), the same at every measurement.
        every: as for every measurement.
        labels: of the samples, int64 (n,), where the generator is given them.
        heldout: samples of the data, (m, *sample_shape), whose dropped share is told; None for that of none.
    """

    def __init__(
        self,
        density: Density,
        latents: Tensor,
        every: float = 0.05,
        labels: Tensor | None = None,
        heldout: Tensor | None = None,
    ) -> None:
        super().__init__(every)
        self.density = density
        self.latents = latents
        self.labels = labels
        self.heldout = heldout

    def logs(self, module: LightningModule) -> set[str]:
        covered = {names.MODES_COVERED, names.MODES_HIGH_QUALITY, names.MODES_KL}
        dropped = {names.MODES_DROPPED_MASS, f"{names.MODES_DROPPED_MASS}_{names.STANDARD_ERROR}"}
        exact = self.heldout is not None and hasattr(_scored_generator(module), "log_density")
        return (covered if isinstance(self.density, Modal) else set()) | (dropped if exact else set())

    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        found: dict[str, float] = {}
        if isinstance(self.density, Modal):
            labels = None if self.labels is None else self.labels.to(module.device)
            samples = generate(module, self.latents.to(module.device), labels)
            found |= modes(samples, self.density.modes.to(samples.device), self.density.std)
        generator = _scored_generator(module)
        if self.heldout is not None and hasattr(generator, "log_density"):
            x = self.heldout.to(module.device)
            with torch.no_grad(), evaluating(generator):
                log_p = generator.log_density(x)  # type: ignore[operator]
                found |= dropped_mass(self.density.log_prob(x.double()), log_p)
        return found


def _scored_generator(module: LightningModule) -> nn.Module:
    generator = getattr(module, "scored_generator", module.generator)
    assert isinstance(generator, nn.Module)
    return generator
