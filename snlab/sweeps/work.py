"""What decides how long a run's updates take: runs of one kind, at one n_dis, cost the same."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from snlab.core.registry import Spec, label, parse
from snlab.gan import GAN
from snlab.nn.conditional import given, judge
from snlab.normalizers import NORMALIZERS
from snlab.training.build import canonical

SAMPLES = 2  # that pass the networks to count their products: batch norm wants more than one


class Kind(NamedTuple):
    """The settings that decide what an update costs, but n_dis.

    A loss, an optimizer's options and a penalty's weight cost nothing, and are no part of it.
    """

    network: str
    normalizer: str
    dataset: str
    batch: int
    generator_batch: int
    rest: tuple[str, ...]

    @property
    def networks(self) -> tuple[str, str]:
        """What decides how large they are: their name, and that of the data."""
        return self.network, self.dataset

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Kind:
        """That of a run's configuration; UserError or KeyError where this version does not know it."""
        found = canonical(dict(settings))
        model, data = found["model"], found["data"]
        normalizer = model["normalizer"]
        return cls(
            network=label(model["network"]),
            normalizer=_without_weights(normalizer) if isinstance(normalizer, str) else label(normalizer),
            dataset=label(data["dataset"]),
            batch=model["batch_size"],
            generator_batch=model["generator_batch_size"] or model["batch_size"],
            rest=(
                f"average {model['ema_decay'] is not None}",
                f"noise {bool(data.get('noise'))}",
                f"precision {found['trainer'].get('precision')}",
            ),
        )


def _without_weights(normalizer: str) -> str:
    """
    >>> _without_weights("gradient_penalty(kind=one_sided, weight=1)+spectral_norm(iterations=2, scale=2.0)")
    'gradient_penalty(kind=one_sided)+spectral_norm(iterations=2)'
    """
    terms = []
    for term, (_, made) in zip(parse(normalizer), NORMALIZERS.factories(normalizer), strict=True):
        parameters = inspect.signature(made).parameters
        kept = {
            option: value
            for option, value in term.options.items()
            if not isinstance(value, float)
            and not (option in parameters and isinstance(parameters[option].default, float))
        }
        terms.append(str(Spec(term.name, kept)))
    return "+".join(terms)


class Size(NamedTuple):
    """Of a run's networks: bytes of their weights, and products of a sample's pass through each."""

    bytes: int
    generator: float
    discriminator: float

    @classmethod
    def of(cls, model: GAN) -> Size:
        weights = sum(p.numel() * p.element_size() for p in model.parameters())
        labels = torch.zeros(SAMPLES, dtype=torch.long) if model.classes else None
        with torch.no_grad(), _Products(model.generator) as generator:
            fake = given(model.generator, torch.randn(SAMPLES, model.latent_dim), labels)
        with _Products(model.discriminator) as discriminator:  # which may be of its own gradient
            judge(model.discriminator, fake, labels)
        return cls(weights, generator.count / SAMPLES, discriminator.count / SAMPLES)

    def products(self, kind: Kind, n_dis: int) -> float:
        """Of a generator update, about: a pass back costs two, and a critic judges real and fake samples."""
        critic = kind.batch * (self.generator + 6 * self.discriminator)
        return n_dis * critic + kind.generator_batch * (3 * self.generator + 3 * self.discriminator)


class _Products:
    """Counts the products of weights with what passes a module."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.count = 1.0

    def __enter__(self) -> _Products:
        self.handles = [m.register_forward_hook(self._add) for m in self.module.modules()]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _add(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            self.count += output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.ConvTranspose2d) and isinstance(inputs[0], Tensor):
            self.count += inputs[0].numel() * module.weight[0].numel()
