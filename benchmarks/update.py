"""One generator update: snlab's step against the plain loop, and spectral norm against no normalizer."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.plain import PlainLoop
from benchmarks.timing import CPU
from snlab.core.random_streams import Streams, seeded
from snlab.data import DataSet
from snlab.gan import GAN
from snlab.networks import NETWORKS, ResNet
from snlab.training.build import build_gan

Update = Callable[[], None]


def direct(gan: GAN, dataset: DataSet, device: torch.device = CPU) -> Update:
    """``gan``'s own training step without a Trainer: what Lightning would hand it, and no more."""
    dataset = dataset.to(device)
    gan.to(device).streams.place(device)
    gan.loss_totals = gan.loss_totals.to(device)
    generator_optimizer = gan.generator_adam.optimizer(gan.generator)
    discriminator_optimizer = gan.adam.optimizer(gan.discriminator)
    schedulers = [LambdaLR(o, lambda _: 1.0) for o in (generator_optimizer, discriminator_optimizer)]
    wrapped = SimpleNamespace(optimizer=discriminator_optimizer, zero_grad=discriminator_optimizer.zero_grad)
    gan.optimizers = lambda: (generator_optimizer, wrapped)  # type: ignore[method-assign, assignment, misc]
    gan.lr_schedulers = lambda: schedulers  # type: ignore[method-assign, assignment, misc]
    gan.manual_backward = torch.Tensor.backward  # type: ignore[method-assign, assignment]
    return lambda: gan.training_step(dataset, 0)


def harness(
    normalizer: str, dataset: DataSet, network: str, n_dis: int, batch_size: int, device: torch.device = CPU
) -> tuple[GAN, Update]:
    """snlab's GAN, and its update."""
    gan = build_gan(
        list(dataset.sample_shape),
        normalizer=normalizer,
        network=network,
        n_dis=n_dis,
        batch_size=batch_size,
    )
    return gan, direct(gan, dataset, device)


def plain(
    normalizer: str, dataset: DataSet, network: str, n_dis: int, batch_size: int, device: torch.device = CPU
) -> tuple[PlainLoop, Update]:
    """The plain loop from the same initial weights and random numbers, and its update.

    Of a ResNet it computes upsampling, pooling and convolutions one after the other.
    """
    architecture = NETWORKS.build(network)
    if isinstance(architecture, ResNet):
        architecture.fused = False
    with seeded(0, "weights"):
        generator = architecture.generator(dataset.sample_shape)
        discriminator = architecture.discriminator(dataset.sample_shape)
    streams = Streams(0, "data", "latents", "penalty")
    streams.place(device)
    loop = PlainLoop(
        generator.to(device),
        discriminator.to(device),
        normalizer,
        dataset.to(device),
        streams,
        latent_dim=architecture.latent_dim,
        n_dis=n_dis,
        batch_size=batch_size,
    )
    return loop, loop.update
