"""Against closed forms, finite differences, and a search for a gradient above 1."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snlab import UserError
from snlab.diagnostics.lipschitz import gradient_norms
from snlab.losses import LOSSES
from snlab.nn.evaluation import frozen
from snlab.nn.layers import weights
from snlab.normalizers import Batch, normalizer


def attached(module: nn.Module, text: str = "gradient_normalization") -> nn.Module:
    return normalizer(text).attach(module)


def dense(activation: nn.Module, seed: int = 0, scale: float = 1.0) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Linear(3, 16), activation, nn.Linear(16, 16), copy.deepcopy(activation), nn.Linear(16, 1)]
    module = nn.Sequential(*layers, nn.Flatten(0)).double()
    for layer, _ in weights(module).values():
        layer.weight.data *= scale
    return module


def convolutions(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Conv2d(6, 8, 4, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(8 * 9, 1),
        nn.Flatten(0),
    ).double()


def points(n: int, *shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(n, *(shape or (3,)), generator=generator, dtype=torch.float64)


# ---- the function ---------------------------------------------------------------------------------------


def test_closed_form_of_a_linear_function():
    """f = aᵀx + b, with ‖a‖ = 3: f / (3 + |f|), of gradient 3 a / (3 + |f|)²."""
    module = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)).double()
    a = torch.tensor([1.0, -2.0, 2.0], dtype=torch.float64)
    with torch.no_grad():
        module[0].weight.copy_(a[None])
        module[0].bias.fill_(0.5)
    attached(module)
    x = points(20).requires_grad_()
    f = (x @ a + 0.5).detach()
    value = module(x)
    torch.testing.assert_close(value, f / (3 + f.abs()))
    (gradient,) = torch.autograd.grad(value.sum(), x)
    torch.testing.assert_close(gradient, 3 * a / (3 + f.abs()).square()[:, None])


@pytest.mark.parametrize(
    ("module", "shape", "at_least"),
    [
        (dense(nn.ReLU()), (3,), 0.9),
        (dense(nn.LeakyReLU(0.2), scale=30.0), (3,), 0.9),
        (dense(nn.LeakyReLU(0.1), scale=0.1), (3,), 0.0),  # f = 0 is out of reach
        (convolutions(), (1, 6, 6), 0.9),
    ],
    ids=["relu", "leaky relu, large weights", "leaky relu, small weights", "convolutions"],
)
def test_no_gradient_is_above_1(module, shape, at_least):
    """At 1000 points, and climbing from 100 of them; which comes near 1, so that the bound is not loose."""
    plain = copy.deepcopy(module)
    module = attached(copy.deepcopy(module))
    x = points(1000, *shape)
    norms = gradient_norms(module, x)
    assert norms.max() <= 1 + 1e-12
    slope, f = gradient_norms(plain, x), plain(x).detach()
    torch.testing.assert_close(norms, (slope / (slope + f.abs())).square())
    assert module(x).abs().max() <= 1

    climbing = x[:100].clone().requires_grad_()
    reached = torch.zeros(())
    for _ in range(100):
        (gradient,) = torch.autograd.grad(module(climbing).sum(), climbing, create_graph=True)
        norm = gradient.flatten(1).norm(dim=1)
        reached = torch.maximum(reached, norm.detach().max())
        (ascent,) = torch.autograd.grad(norm.sum(), climbing)
        step = nn.functional.normalize(ascent.flatten(1), dim=1).view_as(ascent)
        climbing = (climbing + 0.05 * step).detach().requires_grad_()
    assert at_least < reached <= 1 + 1e-12


def test_derivatives_by_finite_differences():
    """First and second, with respect to the input and the weights, of a network without kinks."""
    module = attached(dense(nn.Tanh()))
    names = list(dict(module.named_parameters()))

    def f(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), x)

    inputs = [points(2).requires_grad_(), *(p.detach().clone().requires_grad_() for p in module.parameters())]
    assert torch.autograd.gradcheck(f, inputs)
    assert torch.autograd.gradgradcheck(f, inputs, fast_mode=True)


def test_the_generators_gradient_passes_through_it():
    """In its update: the discriminator frozen, G's gradient that of central differences."""
    torch.manual_seed(0)
    module, generator = attached(dense(nn.Tanh())), nn.Linear(2, 3).double()
    z = points(8, 2)
    with frozen(module):
        module(generator(z)).mean().backward()
    assert all(parameter.grad is None for parameter in module.parameters())
    step = 1e-6
    for i, j in ((0, 0), (1, 1), (2, 0)):
        values = []
        for sign in (1, -1):
            moved = copy.deepcopy(generator)
            moved.weight.data[i, j] += sign * step
            values.append(module(moved(z)).mean().item())
        slope = (values[0] - values[1]) / (2 * step)
        assert generator.weight.grad[i, j].item() == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", ["no_grad", "inference_mode"])
def test_without_gradients_it_is_the_same(name):
    module, x = attached(convolutions()), points(5, 1, 6, 6)
    expected = module(x)
    assert expected.requires_grad
    with getattr(torch, name)():
        value = module(x)
        again = module(x.clone())  # made inside
    assert torch.equal(value, expected)
    assert torch.equal(again, expected)
    assert not value.requires_grad
    assert not x.requires_grad
    assert all(parameter.grad is None for parameter in module.parameters())
    with frozen(module):
        assert torch.equal(module(x), expected)


def test_weights_are_computed_once_under_cached():
    module = attached(convolutions(), "spectral_norm+gradient_normalization")
    computed = []
    module[0].parametrizations.weight[0].register_forward_hook(lambda *_: computed.append(1))
    with parametrize.cached():
        loss = module(points(5, 1, 6, 6)).sum() - module(points(5, 1, 6, 6, seed=1)).sum()
        loss.backward()
    assert len(computed) == 1
    assert module[0].parametrizations.weight.original.grad.abs().sum() > 0


def test_where_the_gradient_vanishes_everything_is_finite():
    """A network whose every unit is dead: f is its last bias, ∇f is 0, and so f̂ = sign f; 0 for f = 0."""
    for bias, expected in ((0.7, 1.0), (-0.1, -1.0), (0.0, 0.0)):
        module = dense(nn.ReLU())
        module[0].bias.data.fill_(-1e3)
        module[2].bias.data.fill_(-1e3)
        module[4].bias.data.fill_(bias)
        attached(module)
        x = points(4)
        value = module(x)
        torch.testing.assert_close(value, torch.full((4,), expected, dtype=torch.float64))
        penalty = normalizer("gradient_penalty").penalty(module, Batch(x, -x))
        (value.sum() + penalty).backward()
        assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


# ---- the module -----------------------------------------------------------------------------------------


class Conditional(nn.Module):
    """With labels, and class logits beside its own, if told."""

    def __init__(self, classifies: bool) -> None:
        super().__init__()
        self.features = nn.Linear(3, 8)
        self.head = nn.Linear(8, 1)
        self.classes = nn.Linear(8, 4)
        self.embedding = nn.Embedding(4, 8)
        self.classifies = classifies

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        h = torch.relu(self.features(x))
        logits = self.head(h)[:, 0]
        if labels is not None:
            logits = logits + (self.embedding(labels) * h).sum(1)
        return (logits, self.classes(h)) if self.classifies else logits


@pytest.mark.parametrize("classifies", [False, True])
@pytest.mark.parametrize("by_name", [False, True])
def test_labels_and_a_classifier(classifies, by_name):
    torch.manual_seed(0)
    plain = Conditional(classifies).double()
    module = attached(copy.deepcopy(plain))
    x, labels = points(6), torch.tensor([0, 1, 2, 3, 0, 1])
    options = {"labels": labels} if by_name else {}
    arguments = () if by_name else (labels,)
    given = module(x, *arguments, **options)
    at = x.clone().requires_grad_()
    wanted = plain(at, labels)
    logits = wanted[0] if classifies else wanted
    (gradient,) = torch.autograd.grad(logits.sum(), at, retain_graph=True)
    expected = logits / (gradient.norm(dim=1) + logits.abs())
    torch.testing.assert_close(given[0] if classifies else given, expected)
    if classifies:
        assert isinstance(given, tuple)
        assert torch.equal(given[1], wanted[1])
        with torch.no_grad():
            assert not module(x, labels)[1].requires_grad
    others = module(x, labels.flip(0))
    assert not torch.allclose(expected, others[0] if classifies else others)


def test_a_column_of_logits_stays_one():
    module = dense(nn.ReLU())[:-1]  # (batch, 1)
    flat = attached(copy.deepcopy(nn.Sequential(module, nn.Flatten(0))))
    assert torch.equal(attached(module)(points(5)), flat(points(5))[:, None])


def test_weights_names_class_and_state_stay():
    plain = convolutions()
    module = copy.deepcopy(plain)
    assert attached(module) is module
    assert type(module) is type(plain)
    assert list(module.state_dict()) == list(plain.state_dict())
    assert list(weights(module)) == list(weights(plain))
    assert str(module) == str(plain)
    plain.load_state_dict(module.state_dict())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_is_normalised_and_uses_its_own_weights(copied):
    module, x = attached(convolutions()), points(5, 1, 6, 6)
    before = module(x).detach()
    twin = copied(module)
    assert torch.equal(twin(x), before)
    with torch.no_grad():
        twin[-2].weight.mul_(-1)
        twin[-2].bias.mul_(-1)
    torch.testing.assert_close(twin(x), -before)
    assert torch.equal(module(x), before)
    assert gradient_norms(twin, x).max() <= 1 + 1e-12


@pytest.mark.parametrize("beside", ["spectral_norm", "weight_norm"])
@pytest.mark.parametrize("first", [True, False])
def test_a_discriminator_that_is_one_layer(beside, first):
    """Its class is changed by the parametrization of its weight."""
    torch.manual_seed(0)
    names = [beside, "gradient_normalization"]
    layer = attached(nn.Linear(3, 1).double(), "+".join(names if first else reversed(names))).eval()
    f = (points(5) @ layer.weight.T + layer.bias).detach()
    torch.testing.assert_close(layer(points(5)).detach(), f / (layer.weight.norm() + f.abs()))
    parametrize.remove_parametrizations(layer, "weight")
    torch.testing.assert_close(layer(points(5)).detach(), f / (layer.weight.norm() + f.abs()))


# ---- training -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES.names())
@pytest.mark.parametrize("beside", ["", "+gradient_penalty(weight=1)", "+spectral_norm"])
def test_trains_under_every_loss_and_composed(loss, beside):
    torch.manual_seed(0)
    chosen = normalizer(f"gradient_normalization{beside}")
    module = chosen.attach(dense(nn.LeakyReLU(0.1)))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    real, fake = points(32) + 2, points(32, seed=1) - 2
    totals = []
    for _ in range(40):
        chosen.before_update(module)
        with parametrize.cached():
            total = LOSSES.build(loss).discriminator(module(real), module(fake))
            total = total + chosen.penalty(module, Batch(real, fake, stream=torch.Generator().manual_seed(0)))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < totals[0] - 0.1
    assert gradient_norms(module, points(200, seed=2)).max() <= 1 + 1e-12


# ---- mistakes -------------------------------------------------------------------------------------------


def test_a_second_time_is_refused():
    module = attached(convolutions())
    with pytest.raises(UserError, match="this Sequential has a forward of its own already") as refused:
        attached(module)
    assert "\n" not in str(refused.value)


def test_more_than_one_logit_a_sample_is_one_line():
    module = attached(nn.Linear(3, 2))
    with pytest.raises(UserError) as refused:
        module(torch.zeros(4, 3))
    assert str(refused.value) == ("GradientNormalization wants one logit a sample; Linear gives (4, 2) for 4")
