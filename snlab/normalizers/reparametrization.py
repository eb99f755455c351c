"""What normalizers that compute a weight from its parameter have in common: attaching, all or nothing."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snlab.core.errors import UserError
from snlab.nn.division import nonzero
from snlab.nn.evaluation import evaluating
from snlab.nn.layers import (
    as_matrix,
    effective_weight,
    is_settled,
    other_weights,
    output_dim,
    parametrization_steps,
    weights,
)
from snlab.nn.power_iteration import precise
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

    group = "weights"

    @abstractmethod
    def parametrizations(self, weight: Tensor, layer: nn.Module) -> Sequence[nn.Module]:
        """What maps the parameter to the weight that ``layer`` multiplies by, step by step.

        The attribute ``scales`` of each is what it sets the scale of.
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
            all_steps = [
                self.parametrizations(effective_weight(layer, parameter), layer) for layer, parameter in found
            ]
            for (layer, parameter), steps in zip(found, all_steps, strict=True):
                for step in steps:
                    parametrize.register_parametrization(layer, parameter, step)
        for layer, _ in found:
            layer.parametrizations.train(layer.training)  # type: ignore[union-attr]
        if others := other_weights(discriminator):
            warnings.warn(
                f"{type(self).__name__} leaves as they are, for want of a matrix: {', '.join(others)}",
                stacklevel=2,
            )
        return discriminator


class Gain(nn.Module):
    """Parametrization γW: one number a layer, learned if it is given as a tensor."""

    scales = Scale.WHOLE

    def __init__(self, gain: Tensor | float) -> None:
        super().__init__()
        self.gain = nn.Parameter(gain) if isinstance(gain, Tensor) else gain

    @classmethod
    def learned(cls, weight: Tensor, layer: nn.Module) -> Gain:
        """γ of equation 32 of Miyato et al. 2018, from the largest singular value of ``layer``'s ``weight``.

        That is where the authors' code has it start. It is trained where the weight is.
        """
        matrix = precise(as_matrix(weight.detach(), output_dim(layer)))
        gain = cls(nonzero(torch.linalg.svdvals(matrix)[0]).to(weight.real.dtype))
        return gain.requires_grad_(weight.requires_grad)

    def sigma(self, weight: Tensor) -> Tensor:
        return 1 / (self.gain * weight.real.new_ones(())).abs()

    def forward(self, weight: Tensor) -> Tensor:
        return self.gain * weight
