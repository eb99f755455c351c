"""How steep a discriminator is: a bound from its layers' norms, and its gradient at samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from snlab.core import names
from snlab.diagnostics.ascent import lower_bound
from snlab.diagnostics.certified import certified
from snlab.diagnostics.dense import dense_layers
from snlab.diagnostics.gradient import logit_gradients

# Layers that divide by a statistic of what they are given: nothing about the weights bounds how much that is.
SCALING = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)


def gradient_norms(discriminator: nn.Module, x: Tensor, labels: Tensor | None = None) -> Tensor:
    """‖∇f(x)‖, the Euclidean norm of the logit's gradient with respect to each input.

    Works under ``torch.no_grad`` and with frozen parameters; parameters' gradients are left as they are.

    Args:
        discriminator: maps (B, *sample_shape) to logits, each a function of its own input alone.
        x: inputs of shape (B, *sample_shape).
        labels: of the inputs, int64 (B,), where the discriminator is given them.

    Returns:
        Norms of shape (B,), detached.

    >>> f = nn.Linear(2, 1)
    >>> _ = f.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> gradient_norms(f, torch.zeros(3, 2)).tolist()
    [5.0, 5.0, 5.0]
    """
    return logit_gradients(discriminator, x, labels)[1].flatten(1).norm(dim=1)


def lipschitz(
    discriminator: nn.Module,
    real: Tensor,
    fake: Tensor,
    epsilon: Tensor,
    sigma: Mapping[str, float],
    labels: Tensor | None = None,
) -> dict[str, float]:
    """The bound on the Lipschitz constant, and the gradient norms that were met.

    Args:
        discriminator: maps (B, *sample_shape) to logits.
        real: n real samples (n, *sample_shape).
        fake: n generated samples (n, *sample_shape).
        epsilon: where on the line between the two to look, (n,) in [0, 1]; 1 is at the real sample.
        sigma: what ``sigma.sigma`` gave for a sample, of which the ``sigma/conv/L`` are used.
        labels: of the three samples in each place, int64 (n,), where the discriminator is given them.

    Returns:
        ``lipschitz/product``, the ``bound`` (where ``sigma`` holds norms and the discriminator ``is_bounded``
        by them), and ``lipschitz/gradient_mean`` and ``lipschitz/gradient_max`` over the 3n real, generated
        and interpolated points.

    Raises:
        ValueError: real, fake and epsilon differ in number.
    """
    if real.shape != fake.shape or epsilon.shape != real.shape[:1]:
        shapes = f"{tuple(real.shape)}, {tuple(fake.shape)} and {tuple(epsilon.shape)}"
        raise ValueError(f"real, fake and epsilon must match in number and shape: got {shapes}")
    weight = epsilon.view(-1, *[1] * (real.dim() - 1))  # (n, 1, ..., 1)
    between = weight * real + (1 - weight) * fake
    norms = torch.cat([gradient_norms(discriminator, x, labels) for x in (real, fake, between)])  # (3n,)
    mean, largest = torch.stack([norms.mean(), norms.max()]).tolist()
    values = {names.LIPSCHITZ_GRADIENT_MEAN: mean, names.LIPSCHITZ_GRADIENT_MAX: largest}
    prefix = f"{names.SIGMA_CONV}/"
    layer_norms = {name.removeprefix(prefix): x for name, x in sigma.items() if name.startswith(prefix)}
    if layer_norms and is_bounded(discriminator):
        values[names.LIPSCHITZ_PRODUCT] = bound(discriminator, layer_norms)
    return values


def bounds(
    discriminator: nn.Module, x: Tensor, labels: Tensor | None = None, product: float | None = None
) -> dict[str, float]:
    """The Lipschitz constant from both sides: how loose the product of the layers' norms is.

    Args:
        discriminator: maps (B, *sample_shape) to logits.
        x: where to start climbing, (B, *sample_shape).
        labels: of the inputs, int64 (B,), where the discriminator is given them.
        product: ``lipschitz/product``, where there is one.

    Returns:
        ``lipschitz/lower`` (see ``lower_bound``), and of a discriminator that is small and dense
        (``dense_layers``) ``lipschitz/certified``, which is at most the product, and ``lipschitz/looseness``,
        the product as a multiple of it.
    """
    values = {names.LIPSCHITZ_LOWER: lower_bound(discriminator, x, labels)}
    dense = dense_layers(discriminator, x) if labels is None else None
    if dense is not None and product is not None:
        values[names.LIPSCHITZ_CERTIFIED] = constant = min(certified(dense), product)
        values[names.LIPSCHITZ_LOOSENESS] = product / constant if constant else math.nan
    return values


def bound(discriminator: nn.Module, norms: Mapping[str, float]) -> float:
    """A Lipschitz constant of ``discriminator`` from its layers' operator norms.

    Their product (Miyato et al. 2018, equation 7), which bounds a network that applies its layers one after
    the other, each once, with activations between them that are 1-Lipschitz (ReLU, leaky ReLU, tanh). A
    network that is no such chain tells its own bound, in a method ``lipschitz_bound(norms)``, as the ResNets
    do: where paths add up, so do their bounds.

    Args:
        discriminator: maps (B, *sample_shape) to logits.
        norms: of every weight that the logits depend on, by its name; not a number where it is unknown.

    Returns:
        The bound; not a number where a norm is.
    """
    if hasattr(discriminator, "lipschitz_bound"):
        return cast(Callable[[Mapping[str, float]], float], discriminator.lipschitz_bound)(norms)
    return math.prod(norms.values())


def is_bounded(discriminator: nn.Module) -> bool:
    """Whether the layers' norms bound it.

    They do not where a layer divides by a statistic, as batch and layer norm do, nor where an instance's
    forward pass is not its class's, as under gradient normalization.
    """
    return not any(isinstance(m, SCALING) or "forward" in vars(m) for m in discriminator.modules())
