"""Names become objects here, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch
from jsonargparse import set_parsing_settings

from snlab.core.errors import UserError
from snlab.core.random_streams import seeded
from snlab.core.registry import Registry, label
from snlab.data import DATASETS, DataSet
from snlab.data.module import DataModule
from snlab.data.scaling import Scaling
from snlab.gan import GAN, Adam
from snlab.losses import LOSSES, Loss
from snlab.networks import NETWORKS, Network
from snlab.normalizers import NORMALIZERS, Composition, Normalizer
from snlab.training.contracts import check_dataset, check_loss, check_network, check_normalizer
from snlab.training.sources import ours

T = TypeVar("T")
# A class_path may name a function that returns one, or a subclass, although both are dataclasses.
set_parsing_settings(subclasses_enabled=[DataSet, Loss])


def build_data(
    dataset: str | DataSet = "digits", scaling: Scaling = "symmetric", noise: bool = False
) -> DataModule:
    """A data set by name, or one of your own, known by its shapes; ``load`` reads what is in files.

    Args:
        dataset: a data set with its options, as in ``mixture(kind=ring)``; ``snlab list datasets`` names all.
            Yours is ``module.function(option=value)``, or a ``class_path``.
        scaling: of images, from bytes to what networks see: x / 127.5 - 1, or ``released``, x / 128 - 1 as
            in the paper's released code.
        noise: add uniform noise of one grey level to training images, drawn anew each time (dequantisation).
    """
    found, own = _made(DATASETS, dataset)
    if own:
        check_dataset(found, own)
        if found.load is not None:
            found = replace(found, load=_checked(found.load, own))
    if found.train.dtype != torch.uint8 and (noise or scaling != "symmetric"):
        raise UserError(f"data.scaling and data.noise are of images; {found.name} has none in bytes")
    changes: dict[str, Any] = {"scaling": scaling} if scaling != "symmetric" else {}
    return DataModule(replace(found, noise=noise or found.noise, **changes))


def build_gan(
    sample_shape: list[int],
    seed: int = 0,
    normalizer: str | Normalizer = "spectral_norm",
    loss: str | Loss = "standard",
    network: str | Network = "standard_cnn",
    n_dis: int = 1,
    batch_size: int = 64,
    generator_batch_size: int | None = None,
    adam: Adam = Adam(),  # noqa: B008  never changed, and shown as the default in --help
    generator_adam: Adam | None = None,
    decay_from: int | None = None,
    ema_decay: float | None = None,
    classes: int = 0,
) -> GAN:
    """A GAN by the names of its parts. Your own are ``module.Name(option=value)``, or a ``class_path``.

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
    shape = tuple(sample_shape)
    architecture, own_network = _made(NETWORKS, network)
    objective, own_loss = _made(LOSSES, loss)
    parts = _parts(normalizer)
    if architecture.conditional:
        if classes < 1:
            raise UserError(f"network {label(network)} is conditional; it wants a data set with labels")
        architecture.classes = classes
    if own_network:
        check_network(architecture, own_network, shape, classes)
    if own_loss:
        check_loss(objective, own_loss)
    control = parts[0][0] if len(parts) == 1 else Composition([part for part, _ in parts])
    if any(own for _, own in parts):
        check_normalizer(parts, architecture, shape, classes)
    with seeded(seed, "weights"):
        return GAN(
            architecture.generator(shape).to(memory_format=torch.channels_last),
            architecture.discriminator(shape).to(memory_format=torch.channels_last),
            control,
            objective,
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


def _checked(load: Callable[[], DataSet], own: str) -> Callable[[], DataSet]:
    """``load`` of the user's own data set, which holds what it says once it is read."""

    def checked() -> DataSet:
        found = load()
        check_dataset(found, own)
        return found

    return checked


def _made(registry: Registry[T], value: Any) -> tuple[T, str | None]:
    """What ``value`` names or is, and what errors call it where the user's own code made it."""
    if isinstance(value, registry.of):
        return value, _own_name(registry, value)
    made = registry.build(value)  # which refuses what is no name
    ((name, found),) = registry.factories(value)
    return made, None if ours(found) else f"{registry.kind} {name}"


def _parts(value: str | Normalizer) -> list[tuple[Normalizer, str | None]]:
    """As ``_made``, of each part of a normalizer."""
    if isinstance(value, Normalizer):
        parts = value.parts if isinstance(value, Composition) else [value]
        return [(part, _own_name(NORMALIZERS, part)) for part in parts]
    names = NORMALIZERS.factories(value)
    own = [None if ours(found) else f"normalizer {name}" for name, found in names]
    return list(zip(NORMALIZERS.build_all(value), own, strict=True))


def _own_name(registry: Registry[Any], made: Any) -> str | None:
    """Of what a class_path made: where its class is ours, a function of the user's may have made it still."""
    if isinstance(made, DataSet):
        return f"{registry.kind} {made.name}"
    if type(made) is Loss:  # known by the function that made it, or that it holds
        name = getattr(made.discriminator, "__qualname__", "Loss").split(".")[0]
        return f"{registry.kind} {name}"
    return None if ours(type(made)) else f"{registry.kind} {type(made).__name__}"


PRECISIONS = {"32": None, "32-true": None, "bf16": "bf16-mixed"}  # Lightning's other names for two of its own
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
        for key, registry in registries.items():
            if isinstance(config[group][key], str):
                result[group][key] = registry.canonical(config[group][key])
    return result
