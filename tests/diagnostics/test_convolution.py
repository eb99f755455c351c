"""Operator norms against the operator written out as a matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from snlab.diagnostics.convolution import convolution_sigma


class Scaled(nn.Module):
    """Divides the weight by half its norm, and says so: not quite σ, so that estimate and truth differ."""

    def sigma(self, weight):
        return weight.norm() / 2

    def forward(self, weight):
        return weight / self.sigma(weight)


def explicit_norm(layer: nn.Module, shape: tuple[int, ...]) -> float:
    """The layer's linear map written out column by column from the identity, then numpy's SVD."""
    identity = torch.eye(math.prod(shape)).view(-1, *shape)
    with torch.no_grad():
        columns = (layer(identity) - layer(torch.zeros(1, *shape))).flatten(1)
    return float(np.linalg.svd(columns.double().numpy(), compute_uv=False)[0])


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(3, 8, 3, 1, 1), (3, 8, 8)),
        (nn.Conv2d(8, 4, 3, 1, 1), (8, 5, 7)),
        (nn.Conv2d(4, 6, 4, 2, 1), (4, 12, 12)),
        (nn.Conv2d(6, 6, 4, 2, 1), (6, 4, 4)),
        (nn.Conv2d(1, 1, 3), (1, 3, 3)),  # a single output: the Krylov space ends after one step
        (nn.Conv2d(2, 3, 1), (2, 6, 6)),  # one singular value repeated 36 times
        (nn.Conv2d(3, 4, 5, 3, 2), (3, 11, 10)),
        (nn.Conv2d(4, 4, 3, 1, 2, dilation=2), (4, 9, 9)),
        (nn.Conv2d(4, 8, 3, 1, 1, groups=2), (4, 8, 8)),
        (nn.Conv2d(4, 4, 3, 1, 1, padding_mode="circular"), (4, 8, 8)),
        (nn.Conv2d(4, 4, 3, 1, 1, padding_mode="reflect"), (4, 6, 6)),
        (nn.Conv2d(3, 4, 3, padding="same"), (3, 6, 6)),
        (nn.Conv1d(3, 5, 3, 2, 1), (3, 17)),
        (nn.Conv3d(2, 3, 3, 1, 1), (2, 4, 4, 4)),
        (nn.ConvTranspose2d(6, 4, 4, 2, 1), (6, 5, 5)),
        (nn.ConvTranspose2d(3, 4, 3, 2, 1, output_padding=1), (3, 4, 4)),
        (nn.ConvTranspose1d(3, 4, 3, 2), (3, 9)),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["random", "constant", "orthonormal"])
def test_operator_norm_equals_the_explicit_matrix(layer, shape, kind):
    torch.manual_seed(1)
    initialise = {
        "random": nn.init.normal_,
        "constant": lambda weight: nn.init.constant_(weight, 0.3),
        "orthonormal": nn.init.orthogonal_,
    }[kind]
    initialise(layer.weight)
    assert convolution_sigma(layer, shape) == pytest.approx(explicit_norm(layer, shape), rel=1e-4)


def test_a_large_bias_takes_no_part():
    layer, shape = nn.Conv2d(3, 8, 3, 1, 1), (3, 8, 8)
    without = convolution_sigma(layer, shape)
    layer.bias.data.fill_(1000.0)
    assert convolution_sigma(layer, shape) == pytest.approx(without, rel=1e-4)


@pytest.mark.parametrize("shape", [(3, 9, 9), (3, 24, 24)])
def test_it_is_the_effective_weight_that_counts(shape):
    layer = nn.Conv2d(3, 8, 3, 1, 1)
    raw = convolution_sigma(layer, shape)
    parametrize.register_parametrization(layer, "weight", Scaled())
    estimate = layer.parametrizations.weight.original.norm().item() / 2
    assert convolution_sigma(layer, shape) == pytest.approx(raw / estimate, rel=1e-5)


def test_a_subclass_with_its_own_forward_is_measured_as_it_computes():
    class Gained(nn.Conv2d):
        def forward(self, x):
            return 3 * super().forward(x)

    torch.manual_seed(0)
    layer, shape = Gained(3, 4, 3, 1, 1), (3, 6, 6)
    assert convolution_sigma(layer, shape) == pytest.approx(explicit_norm(layer, shape), rel=1e-4)


def test_zero_weights_have_norm_0():
    layer = nn.Conv2d(3, 4, 3)
    nn.init.zeros_(layer.weight)
    assert convolution_sigma(layer, (3, 8, 8)) == 0


def test_of_complex_weights():
    torch.manual_seed(0)
    layer, shape = nn.Conv2d(2, 3, 3, 1, 1, dtype=torch.cfloat), (2, 5, 5)
    identity = torch.eye(math.prod(shape), dtype=torch.cfloat).view(-1, *shape)
    with torch.no_grad():
        columns = (layer(identity) - layer(torch.zeros(1, *shape, dtype=torch.cfloat))).flatten(1)
    exact = float(np.linalg.svd(columns.numpy(), compute_uv=False)[0])
    assert convolution_sigma(layer, shape) == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (4, 2), (3, 2), (5, 2)])
def test_a_convolution_stretches_up_to_its_overlap_times_sigma(kernel, stride):
    """What docs and captions say: σ of the matrix is no bound, ⌈kernel / stride⌉ σ is."""
    layer = nn.Conv2d(2, 2, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.ones_(layer.weight)
    layer.weight.data /= torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]
    norm = convolution_sigma(layer, (2, 12, 12))
    overlap = math.ceil(kernel / stride)
    assert norm <= overlap * (1 + 1e-4)
    assert norm > 0.8 * overlap if kernel % stride == 0 else norm > 1.2
