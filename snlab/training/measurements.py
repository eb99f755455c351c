"""What is measured in a run: the callbacks, built from options."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from snlab.callbacks.fidelity import Fidelity, Modes
from snlab.callbacks.losses import Losses
from snlab.callbacks.measurement import Measurement
from snlab.callbacks.probe import Probe
from snlab.callbacks.ratio import Ratio
from snlab.callbacks.samples import Samples
from snlab.callbacks.sigma import Sigma
from snlab.callbacks.throughput import Throughput
from snlab.core.errors import UserError, nearest
from snlab.core.random_streams import stream_seed
from snlab.data import DataSet
from snlab.gan import GAN
from snlab.metrics.embedded import embedded_extractor
from snlab.metrics.extractors import Extractor, inception_extractor
from snlab.metrics.protocols import PROTOCOLS, Protocol


@dataclass
class MeasureOptions:
    """What is measured, and how often: in generator steps, or below 1 as a share of the run.

    Args:
        every: losses, σ, Lipschitz and density-ratio diagnostics, throughput.
        fidelity_every: Fréchet and kernel distance, precision, recall; modes of mixtures.
        samples_every: samples from fixed latents.
        probe_size: fixed samples of each kind at which the discriminator is probed.
        fidelity: the feature extractor; ``auto`` is the embedded one, for images with labels.
        protocol: how many samples are compared, with Inception features.
        inception_weights: the Inception weights' file; torch-fidelity's own cache if null.
        lipschitz_bounds: bound the discriminator's Lipschitz constant from below too, and certify one for
            small dense discriminators of vectors: up to seconds for each measurement.
    """

    every: float = 0.01
    fidelity_every: float = 0.05
    samples_every: float = 0.1
    probe_size: int = 256
    fidelity: Literal["auto", "embedded", "inception", "none"] = "auto"
    protocol: str = "miyato2018"
    inception_weights: str | None = None
    lipschitz_bounds: bool = False


MODE_SAMPLES = 2500  # as in Srivastava et al. 2017


def measurements(options: MeasureOptions, gan: GAN, dataset: DataSet, seed: int) -> list[Measurement]:
    """The measurements of a run, in the order in which they are taken."""
    _check(options, dataset)
    probe = Probe.draw(dataset, gan.latent_dim, options.probe_size, seed, labelled=gan.classes > 0)
    return [
        Losses(options.every),  # first: what diverged is not measured further
        Sigma(probe, options.every, options.lipschitz_bounds),
        Ratio(probe, dataset.density, options.every),
        *_quality(options, gan, dataset, seed),
        Samples(
            probe,
            every=options.samples_every,
            modes=None if dataset.density is None else dataset.density.modes,
            classes=gan.classes,
        ),
        Throughput(options.every),  # last: it counts the seconds of the others
    ]


def check_weights(found: Iterable[Measurement]) -> None:
    """UserError where published weights that a measurement wants are not here, or are something else."""
    for measurement in found:
        if isinstance(measurement, Fidelity):
            measurement.extractor.check()


def distance(found: Iterable[Measurement]) -> Fidelity:
    """Of a run's measurements that of the Fréchet distance; UserError where it takes none."""
    for measurement in found:
        if isinstance(measurement, Fidelity):
            return measurement
    raise UserError("keep_best wants a Fréchet distance, and this run measures none")


def _check(options: MeasureOptions, dataset: DataSet) -> None:
    """UserError for what cannot be had, a warning for what the data set has less of."""
    if options.probe_size < 4:
        raise UserError(f"measure.probe_size is {options.probe_size}; at least 4 is needed")
    most = min(len(dataset.train), len(dataset.heldout))
    if options.probe_size > most:
        rank_zero_warn(
            f"measure.probe_size is {options.probe_size}; {dataset.name} has {most} samples held out, "
            f"and the probe has {most}"
        )
    if options.protocol not in PROTOCOLS:
        raise UserError(f"unknown protocol {options.protocol!r}; {nearest(options.protocol, PROTOCOLS)}")
    if options.fidelity in ("embedded", "inception") and dataset.train.ndim != 4:
        raise UserError(f"measure.fidelity is {options.fidelity}; {dataset.name} has no images to score")


def _quality(options: MeasureOptions, gan: GAN, dataset: DataSet, seed: int) -> list[Measurement]:
    """What tells the quality of samples: a Fréchet distance of images, the modes of a mixture."""
    if dataset.density is not None:
        latents, labels = drawn(gan, dataset, MODE_SAMPLES, seed)
        return [Modes(dataset.density, latents, options.fidelity_every, labels)]
    if options.fidelity == "none" or dataset.train.ndim != 4:
        return []
    found = _extractor(options, dataset)
    if found is None:
        return []
    extractor, protocol = found
    latents, labels = drawn(gan, dataset, protocol.n_generated, seed)
    return [Fidelity(extractor, protocol, dataset.train, latents, options.fidelity_every, labels)]


def drawn(gan: GAN, dataset: DataSet, n: int, seed: int, draw: int = 0) -> tuple[Tensor, Tensor | None]:
    """Latents (n, latent_dim) of samples that are scored, and labels (n,) where the generator is given them.

    Draw 0 is the run's own, the same at every measurement; others share nothing with it.
    """
    stream = f"fidelity/{draw}" if draw else "fidelity"
    generator = torch.Generator().manual_seed(stream_seed(seed, stream))
    latents = torch.randn(n, gan.latent_dim, generator=generator)
    return latents, _labels(gan, dataset, n, generator)


def _labels(gan: GAN, dataset: DataSet, n: int, generator: torch.Generator) -> Tensor | None:
    """Labels of n generated samples, where the generator is given them: the training data's shares, mixed."""
    if not gan.classes or dataset.train_labels is None:
        return None
    kinds = dataset.train_labels.cpu().sort().values  # every part of it has the shares of the whole
    return kinds[torch.arange(n) * len(kinds) // n][torch.randperm(n, generator=generator)]


def _extractor(options: MeasureOptions, dataset: DataSet) -> tuple[Extractor, Protocol] | None:
    """The extractor and its protocol.

    Where they are not to be had: UserError if they were asked for by name, else None, said in a line.
    """
    if options.fidelity == "inception":
        return inception_extractor(options.inception_weights), PROTOCOLS[options.protocol]
    try:
        return embedded(dataset), PROTOCOLS["embedded"]
    except UserError as reason:
        if options.fidelity == "embedded":
            raise UserError(f"measure.fidelity is embedded; {reason}") from None
        rank_zero_warn(f"fidelity is left out: {reason}")
        return None


def embedded(dataset: DataSet) -> Extractor:
    """The data set's own extractor, trained when it is first used; UserError where it has no labels."""
    if dataset.train_labels is None or dataset.heldout_labels is None:
        raise UserError(f"{dataset.name} has no labels to train an extractor on")
    return embedded_extractor(
        dataset.name,
        dataset.train,
        dataset.train_labels,
        dataset.classes,
        dataset.heldout,
        dataset.heldout_labels,
    )
