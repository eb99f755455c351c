"""Names become objects here, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from snlab.core.errors import UserError
from snlab.core.random_streams import seeded
from snlab.core.registry import Registry
from snlab.data import DATASETS
from snlab.data.module import DataModule
from snlab.data.scaling import Scaling
from snlab.gan import GAN, Adam
from snlab.losses import LOSSES
from snlab.networks import NETWORKS
from snlab.normalizers import NORMALIZERS, Normalizer
from snlab.normalizers import normalizer as normalizer_from


def build_data(dataset: str = "digits", scaling: Scaling = "symmetric", noise: bool = False) -> DataModule:
    """A data set by name, known by its shapes; ``load`` reads what is in files.

    Args:
        dataset: a data set with its options, as in ``mixture(kind=ring)``; ``snlab list datasets`` names all.
        scaling: of images, from bytes to what networks see: x / 127.5 - 1, or ``released``, x / 128 - 1 as
            in the paper's released code.
        noise: add uniform noise of one grey level to training images, drawn anew each time (dequantisation).
    """
    found = DATASETS.build(dataset)
    if found.train.dtype != torch.uint8 and (noise or scaling != "symmetric"):
        raise UserError(f"data.scaling and data.noise are of images; {found.name} has none in bytes")
    return DataModule(replace(found, scaling=scaling, noise=noise))


def build_gan(
    sample_shape: list[int],
    seed: int = 0,
    normalizer: str | Normalizer = "spectral_norm",
    loss: str = "standard",
    network: str = "standard_cnn",
    n_dis: int = 1,
    batch_size: int = 64,
    generator_batch_size: int | None = None,
    adam: Adam = Adam(),  # noqa: B008  never changed, and shown as the default in --help
    generator_adam: Adam | None = None,
    decay_from: int | None = None,
    ema_decay: float | None = None,
    classes: int = 0,
) -> GAN:
    """A GAN by the names of its parts.

    Args:
        sample_shape: (channels, height, width) of images, (dimension,) of vectors.
        seed: of the weights and of every random stream.
        normalizer: one or more with their options, as in ``spectral_norm+gradient_penalty(weight=1)``;
            ``snlab list normalizers`` names all.
        loss: an adversarial loss; ``snlab list losses`` names all.
        network: an architecture with its options, as in ``standard_cnn(width=0.5)``; ``snlab list networks``
            names all.
        n_dis: discriminator updates a generator update.
        batch_size: real samples, and generated ones, in a discriminator update, of all devices together.
        generator_batch_size: generated samples in a generator update; batch_size if null.
        adam: options of both optimizers.
        generator_adam: options of the generator's optimizer, where they differ.
        decay_from: generator step from which both learning rates fall linearly, to 0 at the last step.
        ema_decay: decay of the generator's moving average, which is then what is scored; null for none.
        classes: how many classes the samples are labelled with; 0 without labels.
    """
    architecture = NETWORKS.build(network)
    if architecture.conditional:
        if classes < 1:
            raise UserError(f"network {network} is conditional; it wants a data set with labels")
        architecture.classes = classes
    with seeded(seed, "weights"):
        return GAN(
            architecture.generator(tuple(sample_shape)).to(memory_format=torch.channels_last),
            architecture.discriminator(tuple(sample_shape)).to(memory_format=torch.channels_last),
            normalizer_from(normalizer) if isinstance(normalizer, str) else normalizer,
            LOSSES.build(loss),
            architecture.latent_dim,
            seed=seed,
            n_dis=n_dis,
            batch_size=batch_size,
            generator_batch_size=generator_batch_size,
            adam=adam,
            generator_adam=generator_adam,
            decay_from=decay_from,
            ema_decay=ema_decay,
            classes=architecture.classes,
            class_weights=architecture.class_weights,
        )


PRECISIONS = {"32": None, "32-true": None, "bf16": "bf16-mixed"}  # Lightning's other names for two of its own
# Options that came later than the first runs: at their defaults they are no part of what those are called by.
LATER: dict[str, dict[str, Any]] = {"data": {"scaling": "symmetric", "noise": False}}
NAMED: dict[str, dict[str, Registry[Any]]] = {
    "model": {"normalizer": NORMALIZERS, "loss": LOSSES, "network": NETWORKS},
    "data": {"dataset": DATASETS},
}


def canonical(config: dict[str, Any]) -> dict[str, Any]:
    """``config`` with every name in its one spelling, options and defaults written out: for its identity."""
    result = dict(config)
    trainer = result["trainer"] = dict(config["trainer"])
    trainer["precision"] = PRECISIONS.get(str(trainer.get("precision")), trainer.get("precision"))
    if isinstance(trainer.get("callbacks"), dict):
        trainer["callbacks"] = [trainer["callbacks"]]
    for group, registries in NAMED.items():
        result[group] = dict(config[group])
        for option, default in LATER.get(group, {}).items():
            if result[group].get(option) == default:
                del result[group][option]
        for key, registry in registries.items():
            if isinstance(config[group][key], str):
                result[group][key] = registry.canonical(config[group][key])
    return result
