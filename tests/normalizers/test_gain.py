"""The learned gain of Tables 7 and 8: one scalar a layer, from the weight's largest singular value."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from snlab import UserError
from snlab.diagnostics.sigma import layer_spectra
from snlab.nn.layers import (
    as_matrix,
    effective_weight,
    estimated_sigma,
    output_dim,
    raw_weight,
    weight_layers,
)
from snlab.normalizers import normalizer

GAINS = {
    "spectral_norm(gain=true, initial_iterations=none)": "spectral_norm(initial_iterations=none)",
    "spectral_norm(gain=true, exact=true)": "spectral_norm(exact=true)",
    "spectral_norm(gain=true, of=convolution)": "spectral_norm(of=convolution)",
    "frobenius_norm(gain=true)": "frobenius_norm",
    "weight_norm(gain=layer)": "weight_norm",
}
SPECTRAL = [text for text in GAINS if text.startswith("spectral_norm")]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.Tanh(), nn.ConvTranspose2d(6, 4, 4, 2, 1), nn.Flatten(), nn.Linear(4 * 144, 1)
    ).double()


def batch() -> Tensor:
    return torch.randn(5, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def gain(layer: nn.Module) -> nn.Parameter:
    return layer.parametrizations.weight[1].gain


def test_the_gain_is_one_number_a_layer_and_starts_at_sigma():
    for text in GAINS:
        raw = {
            name: as_matrix(layer.weight.detach(), output_dim(layer))
            for name, layer in weight_layers(network()).items()
        }
        module = normalizer(text).attach(network())
        trained = [name for name, _ in module.named_parameters() if name.endswith(".gain")]
        assert trained == [f"{name}.parametrizations.weight.1.gain" for name in raw]
        for name, layer in weight_layers(module).items():
            assert gain(layer).shape == ()
            torch.testing.assert_close(gain(layer).detach(), torch.linalg.svdvals(raw[name])[0])


@pytest.mark.parametrize("text", GAINS)
def test_the_weight_is_gain_times_the_normalised_one_and_the_gradient_its_product(text):
    with_gain, without = (normalizer(name).attach(network()).eval() for name in (text, GAINS[text]))
    for module in (with_gain, without):
        module(batch())
    for one, other in zip(weight_layers(with_gain).values(), weight_layers(without).values(), strict=True):
        torch.testing.assert_close(one.weight, gain(one) * other.weight, rtol=1e-3, atol=1e-4)
        direction = torch.randn_like(one.weight)
        (one.weight * direction).sum().backward()
        expected = (other.weight * direction).sum()
        torch.testing.assert_close(gain(one).grad, expected, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    "text", ["spectral_norm(gain=true, exact=true)", "spectral_norm(gain=true, initial_iterations=none)"]
)
def test_attaching_spectral_norm_with_its_gain_leaves_the_function_as_it_was(text):
    before = network()(batch())
    after = normalizer(text).attach(network()).eval()(batch())
    torch.testing.assert_close(after, before, rtol=1e-2, atol=1e-3)
    if "exact" in text:
        torch.testing.assert_close(after, before)


@pytest.mark.parametrize(
    "text", [*SPECTRAL, "spectral_norm(scale=1.5)", "spectral_norm(bidirectional=true, scale=0.7)"]
)
def test_the_total_divisor_is_told(text):
    """exact = raw / power_iteration, whatever the sign that a gain is trained to."""
    chosen = normalizer(text)
    module = chosen.attach(network())
    module(batch())
    for sign, layer in zip((1, -1, 1), weight_layers(module).values(), strict=True):
        if "gain" in text:
            gain(layer).data.mul_(sign * 0.6)
    chosen.before_update(module)
    module.eval()
    for layer in weight_layers(module).values():
        torch.testing.assert_close(
            raw_weight(layer).norm() / estimated_sigma(layer), effective_weight(layer).norm()
        )
    for values in layer_spectra(module).values():
        torch.testing.assert_close(values.raw / values.power_iteration, values.effective)


def test_no_single_divisor_is_told_of_rows():
    module = normalizer("weight_norm(gain=layer)").attach(network())
    assert all(estimated_sigma(layer) is None for layer in weight_layers(module).values())


def test_a_frozen_weight_keeps_its_scale():
    module = network()
    module[0].weight.requires_grad_(False)
    normalizer("spectral_norm(gain=true)").attach(module)
    assert [gain(layer).requires_grad for layer in weight_layers(module).values()] == [False, True, True]


def test_zeros_have_a_gain_that_can_grow():
    layer = nn.Linear(4, 3)
    nn.init.zeros_(layer.weight)
    normalizer("frobenius_norm(gain=true)").attach(layer)
    assert gain(layer).item() == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.cfloat])
def test_it_has_the_weights_precision_and_is_real(dtype):
    layer = normalizer("spectral_norm(gain=true)").attach(nn.Linear(6, 5, dtype=dtype))
    assert gain(layer).dtype == (torch.float32 if dtype.is_complex else dtype)
    assert layer(torch.ones(2, 6, dtype=dtype)).dtype == dtype
    assert estimated_sigma(layer).item() > 0


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("spectral_norm(gain=layer)", "gain wants true or false, got 'layer'"),
        ("frobenius_norm(gain=2)", "gain wants true or false, got 2"),
        ("weight_norm(gain=rows)", "gain wants true, false or layer, got 'rows'"),
        ("weight_norm(gain=1)", "gain wants true, false or layer, got 1"),
        (
            "spectral_norm(gain=true, scale=2)",
            "gain=true learns the factor that scale=2 sets: leave one of them out",
        ),
    ],
)
def test_what_means_nothing_is_one_line(text, line):
    with pytest.raises(UserError) as refusal:
        normalizer(text)
    assert str(refusal.value).endswith(line)
