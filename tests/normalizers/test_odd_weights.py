"""Spectral norm of weights that are complex, zero, not finite, of another precision or layout."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from snlab import SpectralNorm
from snlab.nn.layers import raw_weight
from tests.normalizers.test_foreign_loops import assert_near_1, dense, sigmas, train


@pytest.mark.parametrize(
    "layer", [nn.Linear(30, 20, dtype=torch.cfloat), nn.Conv2d(3, 8, 3, dtype=torch.cfloat)]
)
def test_complex_weights(layer):
    torch.manual_seed(0)
    layer = copy.deepcopy(layer)
    layer.reset_parameters()
    exact = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item()
    SpectralNorm(initial_iterations=1000).attach(layer)
    step = layer.parametrizations.weight[0]
    assert step.sigma(raw_weight(layer)).item() == pytest.approx(exact, rel=1e-4)
    assert_near_1(layer, 1.001)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_another_precision(dtype):
    torch.manual_seed(0)
    module = SpectralNorm().attach(dense().to(dtype))
    train(module, torch.optim.SGD(module.parameters(), lr=0.05), 50)
    for name, value in sigmas(module.double()).items():  # the quotient in float64, σ in its own precision
        assert value == pytest.approx(1, abs=0.1), name


@pytest.mark.parametrize("initial", [0, None])
def test_zero_weights_give_zeros_and_recover(initial):
    torch.manual_seed(0)
    module = nn.Linear(6, 5, bias=False)
    nn.init.zeros_(module.weight)
    SpectralNorm(initial_iterations=initial).attach(module)
    x = torch.randn(4, 6)
    assert torch.equal(module(x), torch.zeros(4, 5))
    (module(x) + 1).square().sum().backward()
    gradient = raw_weight(module).grad
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0
    with torch.no_grad():
        raw_weight(module).copy_(torch.randn(5, 6))
    for _ in range(100):
        module(x)
    assert_near_1(module, 1.01)


def test_u_recovers_where_the_weight_leaves_its_only_direction():
    """W's one nonzero row moves to another: u stands on the first, and no iteration would ever leave it."""
    module = nn.Linear(4, 3, bias=False)
    module.weight.data.copy_(torch.outer(torch.tensor([1.0, 0, 0]), torch.ones(4)))
    SpectralNorm().attach(module)
    with torch.no_grad():
        raw_weight(module).copy_(torch.outer(torch.tensor([0, 1.0, 0]), torch.ones(4)))
    for _ in range(3):
        assert module(torch.ones(1, 4)).isfinite().all()
    assert_near_1(module, 1.001)


def test_u_recovers_from_a_weight_that_was_no_number():
    torch.manual_seed(0)
    module = SpectralNorm().attach(nn.Linear(4, 3))
    good = raw_weight(module).detach().clone()
    raw_weight(module).data.fill_(torch.nan)
    module(torch.ones(1, 4))
    raw_weight(module).data.copy_(good)
    for _ in range(100):
        module(torch.ones(1, 4))
    assert_near_1(module, 1.01)


def test_under_autocast_sigma_keeps_its_digits():
    torch.manual_seed(0)
    module = SpectralNorm().attach(dense())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        train(module, torch.optim.Adam(module.parameters(), lr=1e-3), 30)
        inside = module.eval()[0].weight
    assert torch.equal(inside, module[0].weight)
    assert_near_1(module)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_layout_may_change_after_attach(layout):
    """v is saved in the weight's own shape: a checkpoint of one layout is right in the other."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Conv2d(6, 5, 4)).to(memory_format=torch.channels_last)
    SpectralNorm(initial_iterations=5).attach(module)
    other = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Conv2d(6, 5, 4)).to(memory_format=layout)
    SpectralNorm().attach(other)
    other.load_state_dict(module.state_dict())
    for _ in range(3):
        torch.testing.assert_close(other[1].weight, module[1].weight)
    for (name, wanted), got in zip(module.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(got, wanted, msg=name)
    module.to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(other[0].weight, module[0].weight)


def test_what_an_earlier_version_saved_is_read():
    """v was one row then, and nothing told who moves u and v."""
    torch.manual_seed(0)
    module = SpectralNorm(initial_iterations=5).attach(nn.Sequential(nn.Conv2d(4, 6, 3), nn.Linear(3, 2)))
    state = {k: v for k, v in module.state_dict().items() if not k.endswith("_extra_state")}
    state["0.parametrizations.weight.0.v"] = state["0.parametrizations.weight.0.v"].flatten()
    other = SpectralNorm().attach(nn.Sequential(nn.Conv2d(4, 6, 3), nn.Linear(3, 2)))
    other.load_state_dict(state)
    for name, value in module.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_no_step_waits_for_the_device():
    """On the meta device, where a value that the host asks for is an error: as in a CUDA graph."""
    chosen = SpectralNorm()
    module = chosen.attach(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 1)).to("meta"))
    x = torch.zeros(2, 3, 4, 4, device="meta")
    module(x).sum().backward()
    chosen.before_update(module)
    module(x).sum().backward()
    with pytest.raises(RuntimeError):
        bool(module(x).sum() > 0)
