"""Spectral norm in loops that know nothing of it: σ by SVD, in evaluation mode, whatever moves weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrizations, parametrize
from torch.optim.swa_utils import AveragedModel

from snlab import SpectralNorm
from snlab.nn.evaluation import evaluating
from snlab.nn.layers import as_matrix, effective_weight, output_dim, raw_weight, weights
from snlab.nn.power_iteration import leading_singular_vectors


def dense() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(20, 64), nn.LeakyReLU(0.1), nn.Linear(64, 64), nn.LeakyReLU(0.1), nn.Linear(64, 1)
    )


class Encoder(nn.Module):
    """A critic over sequences: attention, whose output projection is used without calling its layer."""

    def __init__(self, batch_first: bool = True) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=batch_first, dropout=0.0)
        self.head = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x).mean(1))


class Recurrent(nn.Module):
    """A critic over sequences with a recurrent layer and a cell."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(16, 12, num_layers=2, batch_first=True, bidirectional=True)
        self.cell = nn.LSTMCell(24, 8)
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(self.rnn(x)[0][:, -1])[0])


@torch.no_grad()
def sigmas(module: nn.Module) -> dict[str, float]:
    """The exact σ of every effective weight, by SVD."""
    with evaluating(module):
        return {
            name: torch.linalg.svdvals(as_matrix(effective_weight(*where), output_dim(where[0])))[0].item()
            for name, where in weights(module).items()
        }


def assert_near_1(module: nn.Module, most: float = 1.1) -> None:
    for name, value in sigmas(module).items():
        assert 1 - 1e-4 <= value <= most, (name, value)


def train(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int = 100,
    shape: tuple[int, ...] = (16, 20),
    forward: Callable[..., Tensor] | None = None,
) -> None:
    forward = forward or module
    dtype = next(module.parameters()).dtype
    for _ in range(steps):
        x = torch.randn(*shape, dtype=dtype)
        loss = F.softplus(forward(x)).mean() + F.softplus(-forward(x + 1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adam": (torch.optim.Adam, {"lr": 1e-3}),
    "fused adam": (torch.optim.Adam, {"lr": 1e-3, "fused": True}),
    "fused sgd": (torch.optim.SGD, {"lr": 0.1, "fused": True}),
    "foreach adam": (torch.optim.Adam, {"lr": 1e-3, "foreach": True}),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name):
    torch.manual_seed(0)
    module = SpectralNorm().attach(dense())
    kind, options = OPTIMIZERS[name]
    train(module, kind(module.parameters(), **options))
    assert_near_1(module)


@pytest.mark.parametrize(
    "write",
    [
        lambda weight, value: weight.data.copy_(value),
        lambda weight, value: setattr(weight, "data", value),
        lambda weight, value: nn.utils.vector_to_parameters(value.flatten(), [weight]),
    ],
    ids=["data.copy_", "data =", "vector_to_parameters"],
)
def test_weights_written_past_autograd(write):
    torch.manual_seed(0)
    module = SpectralNorm().attach(dense())
    for where in weights(module).values():
        write(raw_weight(*where), torch.randn_like(raw_weight(*where)))
    for _ in range(50):
        module(torch.randn(16, 20))
    assert_near_1(module)


def test_functional_call_with_fresh_weights():
    torch.manual_seed(0)
    module = SpectralNorm().attach(dense())
    fresh = {name: torch.randn_like(p) for name, p in module.named_parameters()}
    for _ in range(50):
        functional_call(module, fresh, torch.randn(16, 20))
    module.load_state_dict({**module.state_dict(), **fresh})
    assert_near_1(module)


@pytest.mark.parametrize("kind", [Encoder, Recurrent])
def test_weights_that_are_used_without_calling_their_layer(kind):
    torch.manual_seed(0)
    module = SpectralNorm().attach(kind())
    train(module, torch.optim.Adam(module.parameters(), lr=3e-3), 30, (8, 5, 16))
    assert "encoder.self_attn.out_proj" in sigmas(module) or "rnn.weight_hh_l1_reverse" in sigmas(module)
    assert_near_1(module)


def test_attention_with_keys_and_values_of_their_own_size():
    torch.manual_seed(0)
    module = SpectralNorm().attach(nn.MultiheadAttention(16, 2, kdim=6, vdim=7, add_bias_kv=True))
    assert list(weights(module)) == ["q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj"]
    assert_near_1(module, 1.05)
    query, key, value = (torch.randn(3, 2, size) for size in (16, 6, 7))
    assert module(query, key, value)[0].isfinite().all()


def test_a_frozen_layer_starts_converged_even_where_the_others_do_not():
    torch.manual_seed(0)
    module = dense()
    module[0].weight.requires_grad_(False)
    SpectralNorm(initial_iterations=0).attach(module)
    assert sigmas(module)["0"] == pytest.approx(1, abs=0.01)
    assert sigmas(module)["2"] > 1.5
    trained = [p for p in module.parameters() if p.requires_grad]
    train(module, torch.optim.Adam(trained, lr=1e-3))
    assert_near_1(module)


def spectra() -> dict[str, Tensor]:
    """Matrices whose first singular value is hard to find, and easy ones."""
    generator = torch.Generator().manual_seed(0)

    def with_values(rows: int, columns: int, values: Tensor) -> Tensor:
        left, _ = torch.linalg.qr(torch.randn(rows, len(values), generator=generator))
        right, _ = torch.linalg.qr(torch.randn(columns, len(values), generator=generator))
        return left * values @ right.mT

    index = torch.arange(512.0)
    return {
        "512 x 512": torch.randn(512, 512, generator=generator),
        "64 x 27": torch.randn(64, 27, generator=generator),
        "nearly rank one": with_values(300, 200, torch.cat([torch.tensor([100.0]), torch.ones(199)])),
        "falling evenly": with_values(512, 512, 1 - index / 512),
        "falling steeply at the top": with_values(512, 512, 1 / (1 + index).sqrt()),
        "one above many": with_values(512, 512, torch.where(index == 0, 1.0, 0.9)),
        "all alike": with_values(512, 512, torch.ones(512)),
        "a row": torch.randn(1, 300, generator=generator),
        "a column": torch.randn(300, 1, generator=generator),
    }


@pytest.mark.parametrize("name", spectra())
def test_evaluation_right_after_attach(name):
    torch.manual_seed(0)
    matrix = spectra()[name]
    layer = nn.Linear(matrix.shape[1], matrix.shape[0])
    layer.weight.data.copy_(matrix)
    SpectralNorm().attach(layer)
    assert_near_1(layer, 1.05)
    u, v = leading_singular_vectors(matrix)
    assert u.norm().item() == pytest.approx(1, abs=1e-5)
    assert (u @ matrix @ v).item() == pytest.approx(torch.linalg.svdvals(matrix)[0].item(), rel=0.05)


def test_compiled_two_forward_passes_and_one_backward():
    torch.manual_seed(0)
    eager = SpectralNorm(initial_iterations=3).attach(dense())
    twin = copy.deepcopy(eager)
    compiled = torch.compile(twin, backend="aot_eager")
    x = torch.randn(16, 20)
    for module in (eager, compiled):
        (F.softplus(module(x)).mean() + F.softplus(-module(x + 1)).mean()).backward()
    for (name, wanted), got in zip(eager.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(got.grad, wanted.grad, msg=name)
    for (name, wanted), got in zip(eager.named_buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(got, wanted, msg=name)


def test_compiled_under_before_update():
    torch.manual_seed(0)
    chosen = SpectralNorm()
    module = chosen.attach(dense())
    compiled = torch.compile(module, backend="aot_eager")
    x = torch.randn(4, 20)
    compiled(x)
    chosen.before_update(module)
    before = copy.deepcopy(module.state_dict())
    compiled(x).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_removed_leaves_the_effective_weight():
    torch.manual_seed(0)
    module = SpectralNorm().attach(dense())
    train(module, torch.optim.Adam(module.parameters(), lr=1e-3), 5)
    with evaluating(module):
        effective = [effective_weight(*where).detach().clone() for where in weights(module).values()]
    module.eval()
    for layer, parameter in weights(module).values():
        parametrize.remove_parametrizations(layer, parameter)
    module.train()
    x = torch.randn(3, 20)
    assert module(x).isfinite().all()
    assert type(module[0]) is nn.Linear
    for wanted, where in zip(effective, weights(module).values(), strict=True):
        assert torch.equal(raw_weight(*where), wanted)
    SpectralNorm().before_update(module)  # of a module without it: nothing


def test_removed_in_training_mode_is_near_1():
    torch.manual_seed(0)
    module = SpectralNorm().attach(dense())
    for layer, parameter in weights(module).values():
        parametrize.remove_parametrizations(layer, parameter)
    module(torch.randn(3, 20)).sum().backward()
    assert_near_1(module, 1.05)


def test_an_average_and_a_deep_copy_go_on_alike():
    torch.manual_seed(0)
    module = SpectralNorm().attach(dense())
    train(module, torch.optim.Adam(module.parameters(), lr=1e-3), 3)
    average = AveragedModel(module, use_buffers=True)
    average.update_parameters(module)
    twin = copy.deepcopy(module)
    x = torch.randn(4, 20)
    assert torch.equal(twin(x), module(x))
    assert average.eval()(x).isfinite().all()


@pytest.mark.parametrize("calls", [False, True], ids=["plain", "with before_update"])
def test_resume_of_a_plain_loop_is_exact(calls):
    """Bit for bit: weights, u, v, and who moves them, though the generator's turn comes first."""

    def step(chosen, module, optimizer, seed):
        generator = torch.Generator().manual_seed(seed)
        module(torch.randn(8, 20, generator=generator))  # as in a generator's update, in training mode
        if calls:
            chosen.before_update(module)
        loss = F.softplus(module(torch.randn(8, 20, generator=generator))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def start(seed):
        torch.manual_seed(seed)
        chosen = SpectralNorm()
        module = chosen.attach(dense())
        return chosen, module, torch.optim.Adam(module.parameters(), lr=1e-3)

    whole = start(0)
    for seed in range(3):
        step(*whole, seed)
    saved = copy.deepcopy((whole[1].state_dict(), whole[2].state_dict()))
    resumed = start(1)
    resumed[1].load_state_dict(saved[0])
    resumed[2].load_state_dict(saved[1])
    for seed in range(3, 6):
        step(*whole, seed)
        step(*resumed, seed)
    for name, value in whole[1].state_dict().items():
        assert torch.equal(value, resumed[1].state_dict()[name]), name


def test_one_iteration_a_forward_pass_is_torchs_own_loop():
    """The same weights as torch's parametrization, which goes u, v where Algorithm 1 goes v, u."""
    torch.manual_seed(0)
    ours, theirs = nn.Linear(20, 10, dtype=torch.float64), nn.Linear(20, 10, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    SpectralNorm(initial_iterations=300).attach(ours)
    reference = parametrizations.spectral_norm(theirs).parametrizations.weight[0]
    for _ in range(300):
        theirs.weight  # noqa: B018  iterates
    sides = [(m, torch.optim.SGD(m.parameters(), lr=0.05)) for m in (ours, theirs)]
    for step in range(20):
        x = torch.randn(8, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        for module, optimizer in sides:
            optimizer.zero_grad()
            F.softplus(module(x)).mean().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-3, atol=1e-4)
    assert abs(reference._u @ ours.parametrizations.weight[0].u).item() == pytest.approx(1, abs=1e-3)


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
