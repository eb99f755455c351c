from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from snlab import SpectralNorm
from snlab.nn.layers import as_matrix, estimated_sigma, output_dim, raw_weight
from snlab.normalizers import normalizer
from snlab.normalizers.division_by_sigma import DivideBySigma


def with_gap(rows: int, columns: int, seed: int) -> torch.Tensor:
    """A random float64 matrix whose first singular value stands 30% above the second."""
    generator = torch.Generator().manual_seed(seed)
    left, _ = torch.linalg.qr(torch.randn(rows, rows, generator=generator, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(columns, columns, generator=generator, dtype=torch.float64))
    values = torch.linspace(1.0, 0.1, min(rows, columns), dtype=torch.float64)
    values[0] = 1.3
    return left[:, : len(values)] * values @ right[: len(values)]


def dense(weight: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
    layer.weight.data.copy_(weight)
    return layer


@pytest.mark.parametrize("shape", [(8, 8), (20, 50), (50, 20), (1, 30)])
@pytest.mark.parametrize("seed", range(5))
def test_the_estimate_agrees_with_svd(shape, seed):
    torch.manual_seed(seed)
    weight = with_gap(*shape, seed)
    layer = dense(weight)
    chosen = SpectralNorm(initial_iterations=0)
    chosen.attach(layer)
    for _ in range(50):
        chosen.before_update(layer)
    exact = torch.linalg.svdvals(weight)[0]
    torch.testing.assert_close(estimated_sigma(layer), exact, rtol=1e-3, atol=0)
    torch.testing.assert_close(
        torch.linalg.svdvals(layer.weight)[0], torch.ones_like(exact), rtol=1e-3, atol=0
    )


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(7, 5),
        nn.Conv1d(3, 5, 4),
        nn.Conv2d(3, 5, (3, 4)),
        nn.Conv3d(2, 4, 2),
        nn.ConvTranspose2d(6, 4, 3),
        nn.Embedding(9, 4),
        nn.Conv2d(4, 6, 3, groups=2),
    ],
)
def test_every_kind_of_layer_against_numpy(layer):
    torch.manual_seed(0)
    layer = copy.deepcopy(layer)
    layer.reset_parameters()  # it was made at import, from any seed
    SpectralNorm(initial_iterations=500).attach(layer)
    layer.eval()
    raw = raw_weight(layer).detach()
    if isinstance(layer, nn.ConvTranspose2d):  # stores C_in first
        raw = raw.transpose(0, 1)
    exact = torch.linalg.svdvals(raw.reshape(raw.shape[0], -1))[0]
    effective = as_matrix(layer.weight, output_dim(layer)).detach()
    torch.testing.assert_close(effective, raw.reshape(raw.shape[0], -1) / exact, rtol=1e-4, atol=1e-6)


def test_the_gradient_is_equation_37_and_autograd_through_the_svd():
    torch.manual_seed(0)
    weight = with_gap(12, 20, seed=3)
    layer = dense(weight)
    SpectralNorm(initial_iterations=500).attach(layer)
    layer.eval()  # u and v stand still
    h = torch.randn(7, 20, dtype=torch.float64)
    target = torch.randn(7, 12, dtype=torch.float64)
    (layer(h) * target).sum().backward()
    gradient = raw_weight(layer).grad

    # Equation 37, written out: (E[δhᵀ] - trace(E[δhᵀ]ᵀ W̄) u vᵀ) / σ, here with sums in place of means.
    u, s, vh = torch.linalg.svd(weight)
    outer = target.T @ h
    normalised = weight / s[0]
    by_hand = (outer - torch.trace(outer.T @ normalised) * torch.outer(u[:, 0], vh[0])) / s[0]
    torch.testing.assert_close(gradient, by_hand, rtol=1e-4, atol=1e-8)

    # Autograd, through torch's own SVD.
    free = weight.clone().requires_grad_()
    ((h @ (free / torch.linalg.svdvals(free)[0]).T) * target).sum().backward()
    torch.testing.assert_close(gradient, free.grad, rtol=1e-4, atol=1e-8)


def test_one_update_is_one_iteration_and_as_torch_does_it():
    """torch's own, with the same start, after the same number of iterations."""
    torch.manual_seed(0)
    ours, theirs = nn.Linear(20, 10), nn.Linear(20, 10)
    theirs.load_state_dict(ours.state_dict())
    chosen = SpectralNorm(initial_iterations=0)
    chosen.attach(ours)
    parametrizations.spectral_norm(theirs)
    division = ours.parametrizations.weight[0]
    reference = theirs.parametrizations.weight[0]
    reference._u.copy_(division.u)
    reference._v.copy_(division.v)
    for _ in range(3):
        chosen.before_update(ours)
        # Ours goes v then u, Algorithm 1; torch's goes u then v. The same vectors half a round apart.
        u, matrix = division.u, raw_weight(ours)
        torch.testing.assert_close(u, nn.functional.normalize(matrix @ division.v, dim=0))
    for _ in range(100):
        chosen.before_update(ours)
        theirs(torch.zeros(1, 20))
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-5, atol=1e-6)


@pytest.fixture
def count(monkeypatch):
    """How often u and v of any weight have moved."""
    moved = []
    iterate = DivideBySigma.iterate

    def counted(self, *args):
        moved.append(self)
        iterate(self, *args)

    monkeypatch.setattr(DivideBySigma, "iterate", counted)
    return lambda: len(moved)


def test_a_plain_loop_iterates_once_a_forward_pass_in_training_mode(count):
    torch.manual_seed(0)
    discriminator = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    SpectralNorm().attach(discriminator)
    assert count() == 0
    for passes in range(1, 6):
        discriminator(torch.randn(4, 6)).mean().backward()
        assert count() == 2 * passes
    discriminator.eval()
    discriminator(torch.randn(4, 6))
    assert count() == 10
    discriminator.train()
    with parametrize.cached():  # computed once
        discriminator(torch.randn(4, 6))
        discriminator(torch.randn(4, 6))
    assert count() == 12


def test_a_loop_that_calls_before_update_iterates_there_and_nowhere_else(count):
    torch.manual_seed(0)
    discriminator = nn.Linear(6, 3)
    chosen = SpectralNorm()
    chosen.attach(discriminator)
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    for step in range(1, 4):
        chosen.before_update(discriminator)
        for _ in range(3):  # real, fake, a penalty
            loss = discriminator(torch.randn(4, 6)).sum()
        loss.backward()
        optimizer.step()
        copy.deepcopy(discriminator)(torch.randn(4, 6))  # a copy knows it, too
        assert count() == step


def test_the_start_is_random_and_follows_torchs_seed():
    def start(seed: int) -> torch.Tensor:
        layer = nn.Linear(6, 5)
        layer.weight.data.fill_(1.0)
        torch.manual_seed(seed)
        normalizer("spectral_norm").attach(layer)  # by its name, as experiments write it
        return layer.parametrizations.weight[0].u

    assert torch.equal(start(0), start(0))
    assert not torch.allclose(start(0), start(1))
    torch.testing.assert_close(start(0).norm(), torch.tensor(1.0))


def test_iterations_at_attach_sharpen_the_estimate():
    weight = with_gap(30, 30, seed=1)
    errors = []
    for iterations in (0, 2, 50):
        torch.manual_seed(0)
        layer = dense(weight)
        SpectralNorm(initial_iterations=iterations).attach(layer)
        errors.append(abs(estimated_sigma(layer).item() - 1.3))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-6


@pytest.mark.parametrize("options", [{"iterations": 0}, {"initial_iterations": -1}])
def test_refuses_what_means_nothing(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SpectralNorm(**options)
