"""How steep a discriminator is at least: its gradient's norm, climbed from samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from snlab.diagnostics.gradient import logit_gradients

CLIMBERS = 64  # the steepest of the points that are given
STEPS = 20
FIRST, LAST = 0.3, 0.03  # the length of a step, as a share of the points' distance from their mean


def lower_bound(discriminator: nn.Module, x: Tensor, labels: Tensor | None = None) -> float:
    """The largest ‖∇f‖ met when climbing it: no Lipschitz constant of f over the whole space is below it.

    The gradient of ‖∇f‖ is H u, with H the Hessian and u the unit vector along ∇f, and is 0 almost everywhere
    where f is made of linear pieces. So it is replaced by the change of ∇f along u, from one step's length
    behind the point to as far before it: that sees the pieces around. Three gradients a step and point.

    Args:
        discriminator: maps (B, *sample_shape) to logits, each a function of its own input alone.
        x: where to start, (B, *sample_shape), B at least 2.
        labels: of the inputs, int64 (B,), where the discriminator is given them.

    Returns:
        The norm, to the precision of the discriminator; not a number where a gradient is not finite.
    """
    gradient = logit_gradients(discriminator, x, labels)[1]
    norms = _norms(gradient)
    largest = norms.max()
    size = _norms(x - x.mean(0)).square().mean().sqrt()
    index = norms.topk(min(CLIMBERS, len(x))).indices
    x, gradient, labels = x[index], gradient[index], None if labels is None else labels[index]
    for step in range(STEPS):
        length = size * FIRST * (LAST / FIRST) ** (step / (STEPS - 1))
        along = length * _unit(gradient)
        before, behind = (logit_gradients(discriminator, y, labels)[1] for y in (x + along, x - along))
        x = x + length * _unit(before - behind)
        gradient = logit_gradients(discriminator, x, labels)[1]
        met = torch.stack([_norms(part).max() for part in (before, behind, gradient)])
        largest = torch.maximum(largest, met.max())
    return largest.item() if math.isfinite(largest.item()) else math.nan


def _norms(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)


def _unit(x: Tensor) -> Tensor:
    """Each sample's direction, and 0 where it has none."""
    norms = _norms(x).view(-1, *[1] * (x.ndim - 1))
    return torch.where(norms > 0, x / norms, 0)
