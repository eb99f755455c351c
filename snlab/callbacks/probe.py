"""The fixed points at which a run's discriminator and generator are measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from snlab.core.random_streams import stream_seed
from snlab.data import DataSet
from snlab.data.dataset import scale
from snlab.nn.evaluation import evaluating


@dataclass
class Probe:
    """Points that stay the same from the first measurement of a run to the last.

    Args:
        train: real samples that training sees, (n, *sample_shape) in [-1, 1] where they are images.
        heldout: real samples that it never sees, likewise.
        latents: (n, latent_dim), for fresh fakes at every measurement.
        epsilon: (n,) in [0, 1], for points between held-out samples and fakes.
    """

    train: Tensor
    heldout: Tensor
    latents: Tensor
    epsilon: Tensor

    @classmethod
    def draw(cls, dataset: DataSet, latent_dim: int, size: int, seed: int) -> Probe:
        """Up to ``size`` points of each kind, drawn by the stream ``probes``; no more than a split has."""
        generator = torch.Generator().manual_seed(stream_seed(seed, "probes"))
        size = min(size, len(dataset.train), len(dataset.heldout))

        def some(samples: Tensor) -> Tensor:
            return scale(samples[torch.randperm(len(samples), generator=generator)[:size].to(samples.device)])

        return cls(
            some(dataset.train),
            some(dataset.heldout),
            torch.randn(size, latent_dim, generator=generator),
            torch.rand(size, generator=generator),
        )

    def to(self, device: torch.device) -> Probe:
        return Probe(*(t.to(device) for t in (self.train, self.heldout, self.latents, self.epsilon)))


@torch.no_grad()
def generate(module: LightningModule, latents: Tensor, batch_size: int = 256) -> Tensor:
    """Samples as they are scored: by the module's ``generate`` where it has one, else by its generator."""
    scored = getattr(module, "generate", None)
    if callable(scored):
        return torch.cat([scored(chunk) for chunk in latents.split(batch_size)])
    return generate_trained(module, latents, batch_size)


@torch.no_grad()
def generate_trained(module: LightningModule, latents: Tensor, batch_size: int = 256) -> Tensor:
    """Samples of the generator in training, which is the one that the discriminator's ratio is about."""
    generator = module.generator
    assert isinstance(generator, nn.Module)
    with evaluating(generator):
        return torch.cat([generator(chunk) for chunk in latents.split(batch_size)])
