"""Spectral norm of a convolution as the linear map that it is on its inputs' real size."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snlab import SpectralNorm
from snlab.diagnostics.sigma import sigma
from snlab.nn.layers import estimated_sigma, raw_weight
from snlab.normalizers import Normalizer, normalizer

NAME = "spectral_norm(of=convolution)"


def operator(layer: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """The matrix (inputs, outputs) of what the layer computes without its bias, row by row."""
    identity = torch.eye(math.prod(shape), dtype=layer.bias.dtype).view(-1, *shape)
    return (layer(identity) - layer(torch.zeros_like(identity[:1]))).flatten(1)


def convolutions() -> list[tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(0)
    return [
        (nn.Conv2d(3, 4, kernel, stride, padding), (3, 7, 6))
        for kernel in (1, 2, 3, 4)
        for stride in (1, 2)
        for padding in (0, 1)
    ] + [
        (nn.ConvTranspose2d(4, 3, 4, 2, 1), (4, 4, 3)),
        (nn.ConvTranspose2d(3, 4, 3, 1, 1), (3, 5, 5)),
        (nn.Conv1d(3, 4, 3, 1, 1), (3, 12)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "shape"), [pytest.param(*c, id=str(c[0])) for c in convolutions()])
def test_it_converges_to_the_norm_of_the_matrix_written_out(layer, shape):
    layer = copy.deepcopy(layer).double()
    exact = torch.linalg.svdvals(operator(layer, shape).detach())[0]
    chosen = normalizer("spectral_norm(of=convolution, iterations=20)")
    chosen.attach(layer)
    for _ in range(50):
        chosen.before_update(layer)
        layer(torch.zeros(1, *shape, dtype=torch.float64))
    torch.testing.assert_close(estimated_sigma(layer), exact, rtol=1e-3, atol=0)
    layer.eval()
    norm = torch.linalg.svdvals(operator(layer, shape).detach())[0]
    torch.testing.assert_close(norm, torch.ones_like(norm), rtol=1e-3, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("initial", [0, None])
@pytest.mark.parametrize("before", [False, True], ids=["plain loop", "before_update"])
def test_it_stays_near_1_in_training(initial, before):
    torch.manual_seed(0)
    chosen = SpectralNorm(initial_iterations=initial, of="convolution")
    module = chosen.attach(network())
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for _ in range(150):
        if before:
            chosen.before_update(module)
        loss = (
            F.softplus(-module(torch.randn(8, 3, 8, 8) + 0.5)).mean()
            + F.softplus(module(torch.randn(8, 3, 8, 8))).mean()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    values = sigma(module, torch.randn(1, 3, 8, 8))
    norms = {name: value for name, value in values.items() if name.startswith("sigma/conv/")}
    assert len(norms) == 4
    assert all(0.999 < value < 1.1 for value in norms.values()), norms


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(8, 8, 4, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(4 * 64, 1),
    )


def test_near_convergence_at_the_first_input_and_the_weight_itself_before():
    torch.manual_seed(0)
    module = network()
    plain = copy.deepcopy(module)
    SpectralNorm(of="convolution").attach(module)
    module.eval()
    assert torch.equal(module[0].weight, plain[0].weight)
    assert estimated_sigma(module[0]).item() == 1
    module(torch.randn(2, 3, 8, 8))
    for name, value in sigma(module, torch.randn(1, 3, 8, 8)).items():
        if name.startswith("sigma/conv/"):
            assert 0.999 < value < 1.02, name
    before = copy.deepcopy(module.state_dict())
    module(torch.randn(2, 3, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_the_gradient_is_the_svds():
    torch.manual_seed(0)
    layer, shape = nn.Conv2d(2, 3, 3, 1, 1).double(), (2, 5, 5)
    SpectralNorm(iterations=30, of="convolution").attach(layer)
    for _ in range(50):
        layer(torch.zeros(1, *shape, dtype=torch.float64))
    layer.eval()
    direction = torch.randn_like(layer.weight)
    free = raw_weight(layer).detach().clone().requires_grad_()
    identity = torch.eye(math.prod(shape), dtype=torch.float64).view(-1, *shape)
    norm = torch.linalg.svdvals(F.conv2d(identity, free, padding=1).flatten(1))[0]
    (wanted,) = torch.autograd.grad((free / norm * direction).sum(), free)
    (got,) = torch.autograd.grad((layer.weight * direction).sum(), raw_weight(layer))
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-5)
    # A gradient penalty differentiates the layer's gradient once more.
    x = torch.randn(2, *shape, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(layer(x).tanh().sum(), x, create_graph=True)
    first.square().sum().backward()
    assert raw_weight(layer).grad.isfinite().all()


def test_a_subclass_that_computes_more_is_normalised_by_its_convolution_alone():
    class Pooled(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return F.avg_pool2d(super().forward(x), 2)

    torch.manual_seed(0)
    layer, plain = Pooled(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
    plain.load_state_dict(layer.state_dict())
    SpectralNorm(of="convolution").attach(layer)
    for _ in range(300):
        layer(torch.zeros(1, 3, 6, 8))
    exact = torch.linalg.svdvals(operator(plain, (3, 6, 8)).detach())[0]
    torch.testing.assert_close(estimated_sigma(layer), exact, rtol=1e-3, atol=0)


# ---- its state ------------------------------------------------------------------------------------------


def start(seed: int) -> tuple[Normalizer, nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    chosen = normalizer(NAME)
    module = chosen.attach(network())
    return chosen, module, torch.optim.Adam(module.parameters(), lr=1e-3)


def step(chosen: Normalizer, module: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    chosen.before_update(module)
    loss = F.softplus(module(torch.randn(4, 3, 8, 8, generator=generator))).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@pytest.mark.parametrize("first", ["nothing", "an input", "another size"])
def test_a_resumed_loop_goes_on_bit_for_bit(first):
    """Whatever was done before the state is loaded: nothing, above all."""
    whole, resumed = start(0), start(1)
    for seed in range(3):
        step(*whole, seed)
    saved = copy.deepcopy((whole[1].state_dict(), whole[2].state_dict()))
    if first == "an input":
        step(*resumed, 9)
    elif first == "another size":
        resumed[1][:2](torch.zeros(1, 3, 5, 5))
    resumed[1].load_state_dict(saved[0])
    resumed[2].load_state_dict(saved[1])
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(whole[1].eval()(x), resumed[1].eval()(x))
    for module in (whole[1], resumed[1]):
        module.train()
    for seed in range(3, 6):
        step(*whole, seed)
        step(*resumed, seed)
    for name, value in whole[1].state_dict().items():
        assert torch.equal(value, resumed[1].state_dict()[name]), name


def test_what_was_saved_before_the_first_input_is_loaded_as_that():
    _, before, _ = start(0)
    saved = copy.deepcopy(before.state_dict())
    _, other, _ = start(1)
    other(torch.zeros(1, 3, 8, 8))
    other.load_state_dict(saved)
    x = torch.randn(2, 3, 8, 8)
    other(x)
    assert other[0].parametrizations.weight[0].v.shape == (3, 8, 8)


def test_looking_first_changes_nothing_of_what_follows():
    """As a measurement before the first update does: in evaluation mode, without gradients."""
    looked, not_looked = start(0), start(0)
    looked[1].eval()
    with torch.inference_mode():
        looked[1](torch.randn(2, 3, 8, 8))
    looked[1].train()
    for seed in range(3):
        step(*looked, seed)
        step(*not_looked, seed)
    for name, value in looked[1].state_dict().items():
        assert torch.equal(value, not_looked[1].state_dict()[name]), name


def test_the_start_is_random_and_no_draw_of_others_changes_it():
    def u(seed: int, draws: int) -> Tensor:
        _, module, _ = start(seed)
        torch.rand(draws)
        module.eval()(torch.zeros(1, 3, 8, 8))
        return module[0].parametrizations.weight[0].u

    assert torch.equal(u(0, 0), u(0, 5))
    assert not torch.allclose(u(0, 0), u(1, 0))
    torch.testing.assert_close(u(0, 0).norm(), torch.tensor(1.0))


def test_the_first_size_counts_and_a_copy_knows_it():
    _, module, _ = start(0)
    body = module[:2].eval()
    body(torch.zeros(1, 3, 8, 8))
    body(torch.zeros(1, 3, 12, 12))
    body(input=torch.zeros(3, 4, 4))  # without a batch, by keyword
    assert copy.deepcopy(body)[0].parametrizations.weight[0].v.shape == (3, 8, 8)


def test_after_rows_have_been_scaled_it_is_of_those():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3, padding=1)
    chosen = normalizer(f"weight_norm+{NAME}")
    chosen.attach(layer)
    with torch.inference_mode():
        layer(torch.zeros(1, 3, 6, 6))
    for _ in range(300):
        chosen.before_update(layer)
        layer(torch.zeros(1, 3, 6, 6)).sum().backward()
    norm = torch.linalg.svdvals(operator(layer, (3, 6, 6)).detach())[0]
    assert norm.item() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.cfloat])
def test_weights_of_another_precision(dtype):
    torch.manual_seed(0)
    layer = SpectralNorm(of="convolution").attach(nn.Conv2d(3, 4, 3, padding=1, dtype=dtype))
    for _ in range(50):
        y = layer(torch.ones(2, 3, 5, 5, dtype=dtype))
    assert y.dtype == dtype
    (y.abs().sum()).backward()
    assert raw_weight(layer).grad.isfinite().all()
    assert estimated_sigma(layer).item() > 0


@pytest.mark.parametrize("initial", [0, None])
def test_zero_weights_give_zeros_and_recover(initial):
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, padding=1)
    nn.init.zeros_(layer.weight)
    SpectralNorm(initial_iterations=initial, of="convolution").attach(layer)
    (layer(torch.randn(2, 2, 4, 4)) + 1).square().sum().backward()
    assert torch.equal(layer.weight, torch.zeros_like(layer.weight))
    assert raw_weight(layer).grad.isfinite().all()
    raw_weight(layer).data.copy_(torch.randn(3, 2, 3, 3))
    for _ in range(200):
        layer(torch.zeros(1, 2, 4, 4))
    assert torch.linalg.svdvals(operator(layer, (2, 4, 4)).detach())[0].item() == pytest.approx(1, rel=1e-2)


def test_no_step_waits_for_the_device():
    chosen = normalizer(NAME)
    module = chosen.attach(network().to("meta"))
    for _ in range(2):
        chosen.before_update(module)
        module(torch.zeros(2, 3, 8, 8, device="meta")).sum().backward()
