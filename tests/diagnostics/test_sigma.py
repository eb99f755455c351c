"""Singular values against numpy's SVD, operator norms against the operator written out as a matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from snlab.diagnostics.sigma import (
    convolution_sigma,
    input_shapes,
    layer_spectra,
    sigma,
    singular_values,
    spectrum,
)


class Scaled(nn.Module):
    """Divides the weight by half its norm, and says so: not quite σ, so that estimate and truth differ."""

    def sigma(self, weight):
        return weight.norm() / 2

    def forward(self, weight):
        return weight / self.sigma(weight)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 1, 1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(8, 12, 4, 2, 1),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(12 * 16, 1),
        nn.Flatten(0),
    )


def explicit_norm(layer: nn.Module, shape: tuple[int, ...]) -> float:
    """The layer's linear map written out column by column from the identity, then numpy's SVD."""
    identity = torch.eye(math.prod(shape)).view(-1, *shape)
    with torch.no_grad():
        columns = (layer(identity) - layer(torch.zeros(1, *shape))).flatten(1)
    return float(np.linalg.svd(columns.double().numpy(), compute_uv=False)[0])


# ---- as matrices -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (64, 27), (16, 400), (50, 50)])
def test_singular_values_equal_numpys(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    reference = np.linalg.svd(matrix.double().numpy(), compute_uv=False)
    np.testing.assert_allclose(singular_values(matrix).numpy(), reference, rtol=1e-12)


def test_exact_and_raw_of_a_plain_network():
    net = network()
    values = sigma(net)
    for name in ("0", "2", "5"):
        weight = net.get_submodule(name).weight.detach().double().flatten(1).numpy()
        reference = np.linalg.svd(weight, compute_uv=False)[0]
        assert values[f"sigma/exact/{name}"] == pytest.approx(reference, rel=1e-12)
        assert values[f"sigma/raw/{name}"] == values[f"sigma/exact/{name}"]
    assert len(values) == 6  # no estimate where none is kept, no operator norm without a sample


def test_exact_is_raw_over_the_estimate():
    net = network()
    parametrize.register_parametrization(net[2], "weight", Scaled())
    values = sigma(net)
    raw = net[2].parametrizations.weight.original.detach().flatten(1).numpy()
    assert values["sigma/raw/2"] == pytest.approx(np.linalg.svd(raw, compute_uv=False)[0], rel=1e-5)
    assert values["sigma/power_iteration/2"] == pytest.approx(np.linalg.norm(raw) / 2, rel=1e-5)
    quotient = values["sigma/raw/2"] / values["sigma/power_iteration/2"]
    assert values["sigma/exact/2"] == pytest.approx(quotient, rel=1e-5)
    assert "sigma/power_iteration/0" not in values


def test_torchs_own_spectral_norm_is_near_1():
    net = network()
    spectral_norm(net[0], n_power_iterations=200)
    spectral_norm(net[2], n_power_iterations=200)
    values = sigma(net)
    assert values["sigma/exact/0"] == pytest.approx(1, abs=1e-4)
    assert values["sigma/exact/2"] == pytest.approx(1, abs=1e-4)
    assert abs(values["sigma/raw/2"] - 1) > 0.05


def test_a_transposed_convolution_counts_its_outputs_in_the_second_dimension():
    layer = nn.ConvTranspose2d(4, 6, 3)
    weight = layer.weight.detach().double().numpy()  # (C_in, C_out, k, k)
    matrix = weight.transpose(1, 0, 2, 3).reshape(6, -1)
    values = sigma(nn.Sequential(layer))
    assert values["sigma/exact/0"] == pytest.approx(np.linalg.svd(matrix, compute_uv=False)[0], rel=1e-12)


def test_spectrum_is_squared_and_scaled_and_descends():
    net = nn.Sequential(nn.Linear(3, 3, bias=False))
    net[0].weight.data = torch.diag(torch.tensor([1.0, 4.0, 2.0]))
    assert spectrum(net)["spectrum/0"] == pytest.approx([1, 1 / 4, 1 / 16], rel=1e-12)
    p = np.array([4, 2, 1]) / 7
    assert spectrum(net)["effective_rank/0"] == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-12)


def test_effective_rank_of_orthonormal_and_of_rank_one():
    net = nn.Sequential(nn.Linear(20, 8), nn.Linear(20, 8))
    nn.init.orthogonal_(net[0].weight)
    net[1].weight.data = torch.outer(torch.arange(1.0, 9.0), torch.arange(1.0, 21.0))
    values = spectrum(net)
    assert values["effective_rank/0"] == pytest.approx(8, rel=1e-6)
    assert values["effective_rank/1"] == pytest.approx(1, rel=1e-6)


def test_spectra_at_hand_give_the_same():
    net = network()
    sample, spectra = torch.zeros(1, 3, 8, 8), layer_spectra(net)
    assert sigma(net, sample, spectra) == sigma(net, sample)
    assert spectrum(net, spectra) == spectrum(net)


# ---- as convolutions -------------------------------------------------------------------------------------


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


def test_real_input_sizes_come_from_a_forward_pass():
    net = network()
    assert input_shapes(net, torch.zeros(5, 3, 8, 8)) == {"0": (3, 8, 8), "2": (8, 8, 8), "5": (192,)}
    values = sigma(net, torch.zeros(5, 3, 8, 8))
    assert values["sigma/conv/0"] == pytest.approx(explicit_norm(net[0], (3, 8, 8)), rel=1e-4)
    assert values["sigma/conv/2"] == pytest.approx(explicit_norm(net[2], (8, 8, 8)), rel=1e-4)
    assert values["sigma/conv/5"] == values["sigma/exact/5"]


def test_a_layer_that_the_sample_does_not_reach_has_no_operator_norm():
    net = network()
    net.add_module("unused", nn.Identity())
    net[-1].spare = nn.Linear(2, 2)
    values = sigma(net, torch.zeros(1, 3, 8, 8))
    assert "sigma/exact/unused.spare" in values
    assert "sigma/conv/unused.spare" not in values


def test_measured_under_no_grad_and_with_frozen_parameters():
    net = network()
    expected = sigma(net, torch.zeros(1, 3, 8, 8))
    net.requires_grad_(False)
    with torch.no_grad():
        assert sigma(net, torch.zeros(1, 3, 8, 8)) == expected
    with torch.inference_mode():
        assert sigma(net, torch.zeros(1, 3, 8, 8)) == expected


def test_a_diverged_network_gives_not_a_number():
    net = network()
    net[2].weight.data[0, 0, 0, 0] = math.nan
    weight_norm(net[5])
    values = sigma(net, torch.zeros(1, 3, 8, 8))
    assert math.isnan(values["sigma/exact/2"])
    assert math.isnan(values["sigma/conv/2"])
    assert math.isfinite(values["sigma/conv/0"])
    assert all(math.isnan(value) for value in spectrum(net)["spectrum/2"])


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
