"""The fixed points at which a run's discriminator and generator are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from snlab.core.random_streams import stream_seed
from snlab.data import DataSet
from snlab.nn.conditional import given
from snlab.nn.evaluation import evaluating

GRADIENT_POINTS = 64  # of each kind, where a gradient is taken: it costs as much as a training sample


@dataclass
class Probe:
    """Points that stay the same from the first measurement of a run to the last.

    Args:
        train: real samples that training sees, (n, *sample_shape) in [-1, 1] where they are images.
        heldout: real samples that it never sees, likewise.
        latents: (n, latent_dim), for fresh fakes at every measurement.
        epsilon: (n,) in [0, 1], for points between held-out samples and fakes.
        train_labels: of ``train``, (n,), where the networks are given labels, else None.
        heldout_labels: of ``heldout``, and of the fakes and the points between in each place; likewise.
    """

    train: Tensor
    heldout: Tensor
    latents: Tensor
    epsilon: Tensor
    train_labels: Tensor | None = None
    heldout_labels: Tensor | None = None

    @classmethod
    def draw(cls, dataset: DataSet, latent_dim: int, size: int, seed: int, labelled: bool = False) -> Probe:
        """Up to ``size`` points of each kind, drawn by the stream ``probes``; no more than a split has.

        They have their labels where they are to be ``labelled``: for networks that are given labels.
        """
        generator = torch.Generator().manual_seed(stream_seed(seed, "probes"))
        size = min(size, len(dataset.train), len(dataset.heldout))

        def some(samples: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
            index = torch.randperm(len(samples), generator=generator)[:size].to(samples.device)
            return dataset.scale(samples[index]), labels[index] if labelled and labels is not None else None

        train, train_labels = some(dataset.train, dataset.train_labels)
        heldout, heldout_labels = some(dataset.heldout, dataset.heldout_labels)
        latents = torch.randn(size, latent_dim, generator=generator)
        epsilon = torch.rand(size, generator=generator)
        return cls(train, heldout, latents, epsilon, train_labels, heldout_labels)

    def to(self, device: torch.device) -> Probe:
        """The same points on ``device``."""
        return self._each(lambda tensor: tensor.to(device))

    def first(self, n: int) -> Probe:
        """The first n points of each kind."""
        return self._each(lambda tensor: tensor[:n])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Probe:
        tensors = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}
        return replace(self, **{name: change(tensor) for name, tensor in tensors.items()})


@torch.no_grad()
def generate(
    module: LightningModule, latents: Tensor, labels: Tensor | None = None, batch_size: int = 256
) -> Tensor:
    """Samples as they are scored: by the module's ``generate`` where it has one, else by its generator."""
    scored = getattr(module, "generate", None)
    if callable(scored):
        return _in_chunks(scored, latents, labels, batch_size)
    return generate_trained(module, latents, labels, batch_size)


@torch.no_grad()
def generate_trained(
    module: LightningModule, latents: Tensor, labels: Tensor | None = None, batch_size: int = 256
) -> Tensor:
    """Samples of the generator in training, which is the one that the discriminator's ratio is about."""
    generator = module.generator
    assert isinstance(generator, nn.Module)
    with evaluating(generator):
        return _in_chunks(generator, latents, labels, batch_size)


def _in_chunks(
    generator: Callable[..., Tensor], latents: Tensor, labels: Tensor | None, batch_size: int
) -> Tensor:
    chunks = latents.split(batch_size)
    of_chunks = [None] * len(chunks) if labels is None else labels.split(batch_size)
    return torch.cat([given(generator, z, y) for z, y in zip(chunks, of_chunks, strict=True)])
