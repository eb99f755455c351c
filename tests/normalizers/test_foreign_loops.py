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

pytestmark = pytest.mark.slow  # compiled and foreign training loops


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


@pytest.mark.slow
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
