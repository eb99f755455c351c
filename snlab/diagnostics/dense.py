"""A discriminator as the dense layers that it is made of, where it is nothing else."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from snlab.nn.evaluation import evaluating
from snlab.nn.layers import effective_weight

WIDEST, DEEPEST = 128, 3  # hidden units of a layer, hidden layers


class Dense(NamedTuple):
    """f(x) = w φ_k(W_k ... φ_1(W_1 x + b_1) ... + b_k) + b, φ_i(p) = max(p, s_i p) with 0 <= s_i < 1.

    Attributes:
        hidden: W_1 to W_k, (n_i, n_{i-1}), float64 on the CPU, as all of them.
        biases: b_1 to b_k, (n_i,).
        slopes: s_1 to s_k.
        last: w, (1, n_k).
    """

    hidden: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    slopes: tuple[float, ...]
    last: Tensor


@torch.inference_mode(False)  # the weights found are ones to differentiate by
@torch.no_grad()
def dense_layers(discriminator: nn.Module, x: Tensor) -> Dense | None:
    """The layers of a discriminator that is a sequence of dense ones with (leaky) ReLUs between.

    Args:
        discriminator: maps (B, d) to logits.
        x: some inputs (B, d), on which those layers must give what the discriminator does.

    Returns:
        None for any other, and for one of more than 3 hidden layers or of more than 128 units in one.
    """
    with evaluating(discriminator):
        found = _read(discriminator)
        if found is None or len(found.slopes) > DEEPEST or max(map(len, found.biases)) > WIDEST:
            return None
        if x.ndim != 2 or x.shape[1] != found.hidden[0].shape[1]:
            return None
        same = torch.allclose(
            _change(found, x), discriminator(x).flatten().diff().cpu().double(), rtol=1e-3, atol=1e-4
        )
    return found if same else None


def _change(dense: Dense, x: Tensor) -> Tensor:
    """f(x_{i+1}) - f(x_i), (B - 1,): without the last bias, which is none of Dense's."""
    y = x.cpu().double()
    for weight, bias, slope in zip(dense.hidden, dense.biases, dense.slopes, strict=True):
        y = nn.functional.leaky_relu(y @ weight.T + bias, slope)
    return (y @ dense.last.T).flatten().diff()


def _read(discriminator: nn.Module) -> Dense | None:
    layers: list[tuple[Tensor, Tensor]] = []  # as many as slopes, or one more
    slopes: list[float] = []
    for part in _sequence(discriminator):
        if isinstance(part, nn.Linear):
            weight = effective_weight(part).detach().cpu().double()
            bias = weight.new_zeros(len(weight)) if part.bias is None else part.bias.detach().cpu().double()
            if len(layers) > len(slopes):  # with nothing between them the two are one
                first, first_bias = layers.pop()
                weight, bias = weight @ first, weight @ first_bias + bias
            layers.append((weight, bias))
        elif isinstance(part, nn.ReLU | nn.LeakyReLU):
            slope = float(getattr(part, "negative_slope", 0.0))
            if len(layers) == len(slopes) or not 0 <= slope < 1:
                return None
            slopes.append(slope)
        elif not isinstance(part, nn.Identity | nn.Flatten | nn.Dropout):
            return None
    if not slopes or len(layers) == len(slopes) or len(layers[-1][0]) != 1:
        return None
    *hidden, (last, _) = layers
    return Dense(tuple(w for w, _ in hidden), tuple(b for _, b in hidden), tuple(slopes), last)


def _sequence(module: nn.Module) -> list[nn.Module]:
    """The parts of nested sequences, in the order applied; of anything else itself."""
    if type(module).forward is not nn.Sequential.forward:
        return [module]
    return [inner for part in module.children() for inner in _sequence(part)]
