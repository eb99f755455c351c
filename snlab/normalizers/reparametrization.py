"""What normalizers that compute a weight from its parameter have in common: attaching, all or nothing."""

from __future__ import annotations

import warnings
from abc import abstractmethod

from torch import Tensor, nn
from torch.nn.utils import parametrize

from snlab.core.errors import UserError
from snlab.nn.evaluation import evaluating
from snlab.nn.layers import (
    effective_weight,
    is_settled,
    other_weights,
    output_dim,
    parametrization_steps,
    weights,
)
from snlab.normalizers.normalizer import Normalizer, Scale

HOOKS = "a hook (torch.nn.utils.weight_norm, spectral_norm, prune)"


def check_settled(normalizer: str, discriminator: nn.Module) -> None:
    """UserError for ``normalizer``, by its name, where a weight is not its layer's own or has no values."""
    for name, (layer, parameter) in weights(discriminator).items():
        if not is_settled(layer, parameter):
            raise UserError(
                f"{_unchanged(name, layer)} has no {parameter} of its own for {normalizer}: a lazy layer"
                f" wants a first batch, {HOOKS} to be removed"
            )


def _unchanged(name: str, layer: nn.Module) -> str:
    return f"nothing was changed: layer {name!r} ({type(layer).__name__})"


class Reparametrization(Normalizer):
    """A normalizer that puts a parametrization on every weight that is a matrix (``nn.layers.weights``).

    ``attach`` changes every such weight, or none and raises UserError: where a layer has no values yet,
    computes its weight in a hook, or has a normalizer already that would be undone. What else has two
    dimensions or more is left as it is and named in a warning.
    """

    @abstractmethod
    def parametrization(self, weight: Tensor, dim: int) -> nn.Module:
        """What maps the parameter to the weight, for one whose dimension ``dim`` counts the outputs.

        Its attribute ``scales`` is the normalizer's.
        """

    def check(self, discriminator: nn.Module) -> None:
        normalizer = type(self).__name__
        check_settled(normalizer, discriminator)
        with evaluating(discriminator):
            for name, (layer, parameter) in weights(discriminator).items():
                for step, _ in parametrization_steps(layer, parameter):
                    if self.scales.undoes(getattr(step, "scales", Scale.NOTHING)):
                        raise UserError(
                            f"{_unchanged(name, layer)} has {type(step).__name__} already,"
                            f" which {normalizer} undoes"
                        )

    def attach(self, discriminator: nn.Module) -> nn.Module:
        self.check(discriminator)
        found = weights(discriminator).values()
        with evaluating(discriminator):  # so that reading a weight advances nothing
            steps = [
                self.parametrization(effective_weight(layer, parameter), output_dim(layer))
                for layer, parameter in found
            ]
            for (layer, parameter), step in zip(found, steps, strict=True):
                parametrize.register_parametrization(layer, parameter, step)
        for layer, _ in found:
            layer.parametrizations.train(layer.training)  # type: ignore[union-attr]
        if others := other_weights(discriminator):
            warnings.warn(
                f"{type(self).__name__} leaves as they are, for want of a matrix: {', '.join(others)}",
                stacklevel=2,
            )
        return discriminator
