"""Singular values against numpy's SVD; the norms of the layers that a sample goes through."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from snlab import SpectralNorm, WeightNorm
from snlab.diagnostics.convolution import input_shapes
from snlab.diagnostics.lipschitz import bound
from snlab.diagnostics.sigma import layer_spectra, sigma, singular_values, spectrum
from snlab.nn.layers import other_weights, weights
from snlab.normalizers import Composition


class Scaled(nn.Module):
    """Divides the weight by half its norm, and says so: not quite σ, so that estimate and truth differ."""

    def sigma(self, weight):
        return weight.norm() / 2

    def forward(self, weight):
        return weight / self.sigma(weight)


class Halved(nn.Module):
    def sigma(self, weight):
        return torch.tensor(2.0)

    def forward(self, weight):
        return weight / 2


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


@pytest.mark.parametrize(
    "chosen",
    [
        SpectralNorm(),
        Composition([WeightNorm(), SpectralNorm()]),
        Composition([WeightNorm(gain=True), SpectralNorm()]),
    ],
)
def test_the_estimate_is_what_the_raw_weight_is_divided_by_in_total_or_is_not_told(chosen):
    """Rows that were scaled each by its own norm were divided by no single number."""
    net = chosen.attach(network())
    for parameter in net.parameters():
        parameter.data.mul_(3)
    net(torch.randn(2, 3, 8, 8))
    values = sigma(net)
    for name in ("0", "2", "5"):
        if isinstance(chosen, Composition):
            assert f"sigma/power_iteration/{name}" not in values
        else:
            quotient = values[f"sigma/raw/{name}"] / values[f"sigma/power_iteration/{name}"]
            assert values[f"sigma/exact/{name}"] == pytest.approx(quotient, rel=1e-5)


def test_two_divisions_tell_their_product():
    net = network()
    for _ in range(2):
        parametrize.register_parametrization(net[2], "weight", Halved())
    values = sigma(net)
    assert values["sigma/power_iteration/2"] == 4
    assert values["sigma/exact/2"] == pytest.approx(values["sigma/raw/2"] / 4, rel=1e-6)


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


# ---- as layers on inputs of their real size --------------------------------------------------------------


def test_real_input_sizes_come_from_a_forward_pass():
    net = network()
    assert input_shapes(net, torch.zeros(5, 3, 8, 8)) == {"0": (3, 8, 8), "2": (8, 8, 8), "5": (192,)}
    values = sigma(net, torch.zeros(5, 3, 8, 8))
    assert values["sigma/conv/0"] == pytest.approx(explicit_norm(net[0], (3, 8, 8)), rel=1e-4)
    assert values["sigma/conv/2"] == pytest.approx(explicit_norm(net[2], (8, 8, 8)), rel=1e-4)
    assert values["sigma/conv/5"] == values["sigma/exact/5"]


def test_a_weight_that_the_logits_do_not_depend_on_has_no_operator_norm():
    net = network()
    net.add_module("unused", nn.Identity())
    net[-1].spare = nn.Linear(2, 2)
    net[-1].bare = nn.Parameter(torch.zeros(2, 2))
    values = sigma(net, torch.zeros(1, 3, 8, 8))
    assert "sigma/exact/unused.spare" in values
    assert not [name for name in values if name.startswith("sigma/conv/unused")]


class Sequences(nn.Module):
    """A critic most of whose weights are used without calling a layer that has them as its weight."""

    def __init__(self, bare: bool) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.cell = nn.GRUCell(8, 8)
        self.head = nn.Linear(8, 1)
        self.bare = nn.Parameter(torch.eye(8)) if bare else None

    def forward(self, x):
        x = self.encoder(x)
        x = self.cell(x[:, 0], x[:, 1])
        return self.head(x if self.bare is None else x @ self.bare)


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("normalized", [False, True])
def test_the_product_is_of_all_weights_or_is_no_number(bare, normalized):
    torch.manual_seed(0)
    net: nn.Module = Sequences(bare)
    if normalized:
        SpectralNorm().attach(net.encoder)
        SpectralNorm().attach(net.cell)
    x = torch.randn(4, 3, 8)
    values = sigma(net, x)
    found = [name for name in values if name.startswith("sigma/conv/")]
    assert set(found) == {f"sigma/conv/{name}" for name in [*weights(net), *other_weights(net)]}
    product = bound(net, {name.removeprefix("sigma/conv/"): values[name] for name in found})
    if bare:
        assert math.isnan(values["sigma/conv/bare"])
        assert math.isnan(product)
    else:
        norms = [
            torch.linalg.svdvals(getattr(*where).double())[0].item() for where in weights(net.eval()).values()
        ]
        assert len(norms) == 7
        assert product == pytest.approx(math.prod(norms), rel=1e-4)


def test_a_convolution_whose_weight_is_used_without_calling_it_has_an_unknown_norm():
    class Direct(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x):
            return nn.functional.conv2d(x, self.conv.weight).flatten(1).sum(1)

    values = sigma(Direct(), torch.randn(1, 1, 5, 5))
    assert math.isnan(values["sigma/conv/conv"])
    assert math.isfinite(values["sigma/exact/conv"])


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_layers_under_old_hooks_are_counted():
    net = nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 3)), nn.utils.spectral_norm(nn.Linear(3, 1)))
    net(torch.randn(2, 4))
    values = sigma(net, torch.randn(2, 4))
    assert {"sigma/conv/0", "sigma/conv/1"} <= set(values)


def test_zero_weights_have_no_spectrum_and_no_rank():
    net = nn.Sequential(nn.Linear(3, 2))
    nn.init.zeros_(net[0].weight)
    assert spectrum(net) == {"spectrum/0": [0, 0], "effective_rank/0": 0}
    values = sigma(SpectralNorm().attach(net))
    assert values == {"sigma/exact/0": 0, "sigma/raw/0": 0, "sigma/power_iteration/0": 1}


def test_singular_values_of_a_complex_matrix():
    matrix = torch.randn(5, 8, dtype=torch.cfloat, generator=torch.Generator().manual_seed(0))
    reference = np.linalg.svd(matrix.numpy().astype(complex), compute_uv=False)
    np.testing.assert_allclose(singular_values(matrix).numpy(), reference, rtol=1e-6)


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
