"""For your own tests: what a normalizer, a network, a loss and a data set promise, by their names.

A name is one that is registered, or dotted: ``check_normalizer("mine.Penalty(weight=2)")``. The promises of a
normalizer are those that snlab's own are tested by; the others are tried out as before each training.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from snlab.core.modules import find_from_working_directory
from snlab.data import DATASETS
from snlab.losses import LOSSES
from snlab.networks import NETWORKS
from snlab.nn.layers import raw_weight, weight_layers
from snlab.normalizers import Batch, Normalizer, normalizer
from snlab.training import contracts

SHAPE = (3, 8, 8)
CLASSES = 3


class Discriminator(nn.Module):
    """One of no harness: (B, 3, 8, 8) -> (B,) by convolutions, a transposed one, and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(6, 8, 4, stride=2, padding=1),
            nn.Tanh(),
        )
        self.up = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1)
        self.head = nn.Linear(4 * 8 * 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.tanh(self.up(self.features(x))).flatten(1)).squeeze(1)
        return logits


# ---- one call each --------------------------------------------------------------------------------------


def check_normalizer(name: str) -> None:
    """AssertionError where the normalizer breaks a promise of ``PROMISES``; UserError for an unknown name."""
    find_from_working_directory()
    for promise in PROMISES:
        promise(name)


def check_network(name: str, sample_shape: tuple[int, ...]) -> None:
    """UserError unless the network has a generator and a discriminator that keep its contract."""
    find_from_working_directory()
    network = NETWORKS.build(name)
    if network.conditional:
        network.classes = CLASSES
    contracts.check_network(network, f"network {name}", sample_shape, CLASSES)


def check_loss(name: str) -> None:
    """UserError unless both sides of the loss are finite scalars that depend on the logits."""
    find_from_working_directory()
    contracts.check_loss(LOSSES.build(name), f"loss {name}")


def check_dataset(name: str) -> None:
    """UserError unless the data set holds what training reads."""
    find_from_working_directory()
    contracts.check_dataset(DATASETS.build(name), f"data set {name}")


# ---- what a normalizer promises -------------------------------------------------------------------------


def attached(name: str, seed: int = 0) -> tuple[Normalizer, nn.Module]:
    """The normalizer and a ``Discriminator`` that it is attached to, initialised by ``seed``."""
    torch.manual_seed(seed)
    chosen = normalizer(name)
    return chosen, chosen.attach(Discriminator())


def samples(seed: int = 1, n: int = 5) -> tuple[Tensor, Tensor]:
    """Real and generated ones, each (n, *SHAPE)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, *SHAPE, generator=generator), torch.randn(n, *SHAPE, generator=generator)


def update(
    chosen: Normalizer, discriminator: nn.Module, optimizer: torch.optim.Optimizer, seed: int = 1
) -> None:
    """One discriminator update, as a training loop makes it."""
    real, fake = samples(seed)
    chosen.before_update(discriminator)
    loss = discriminator(fake).mean() - discriminator(real).mean()
    penalty = chosen.penalty(discriminator, Batch(real, fake, stream=torch.Generator().manual_seed(seed)))
    optimizer.zero_grad()
    (loss + penalty).backward()
    optimizer.step()
    chosen.after_update(discriminator)


def keeps_shapes_and_gives_a_scalar_penalty(name: str) -> None:
    """Logits (B,), the penalty a scalar of at least 0, every weight there in its own shape."""
    chosen, discriminator = attached(name)
    plain = weight_layers(Discriminator())
    real, fake = samples()
    assert discriminator(real).shape == (5,)
    penalty = chosen.penalty(discriminator, Batch(real, fake))
    assert penalty.shape == (), f"the penalty has shape {tuple(penalty.shape)}"
    assert penalty.item() >= 0, f"the penalty is {penalty.item()}"
    layers = weight_layers(discriminator)
    assert layers.keys() == plain.keys()
    for key, layer in layers.items():
        assert chosen.effective_weight(layer).shape == plain[key].weight.shape, key


def gradients_reach_the_raw_parameters(name: str) -> None:
    """An update changes every weight's parameter, by its gradient."""
    chosen, discriminator = attached(name)
    optimizer = _optimizer(discriminator)
    before = {key: raw_weight(layer).clone() for key, layer in weight_layers(discriminator).items()}
    update(chosen, discriminator, optimizer)
    parameters = {id(p) for p in discriminator.parameters()}
    for key, layer in weight_layers(discriminator).items():
        raw = raw_weight(layer)
        assert id(raw) in parameters, key
        assert raw.grad is not None, key
        assert raw.grad.abs().sum() > 0, key
        assert not torch.equal(raw, before[key]), key


def state_dict_round_trip_goes_on_alike(name: str) -> None:
    """What both state dicts hold is all that the next update depends on."""
    chosen, discriminator = attached(name)
    optimizer = _optimizer(discriminator)
    update(chosen, discriminator, optimizer, seed=1)
    other, restored = attached(name, seed=99)
    restored.load_state_dict(copy.deepcopy(discriminator.state_dict()))
    other.load_state_dict(copy.deepcopy(chosen.state_dict()))
    update(chosen, discriminator, optimizer, seed=2)
    update(other, restored, _optimizer(restored), seed=2)
    _same(discriminator, restored)


def evaluation_changes_nothing(name: str) -> None:
    """In evaluation mode two forward passes agree, and nothing that is kept moves."""
    chosen, discriminator = attached(name)
    update(chosen, discriminator, _optimizer(discriminator))
    before = copy.deepcopy(discriminator)
    discriminator.eval()
    real, _ = samples()
    with torch.no_grad():
        assert torch.equal(discriminator(real), discriminator(real))
    _same(before, discriminator)


def effective_weight_is_what_the_layer_multiplies_by(name: str) -> None:
    """Of a dense layer and of a convolution."""
    chosen, discriminator = attached(name)
    update(chosen, discriminator, _optimizer(discriminator))
    discriminator.eval()
    layers = dict(discriminator.named_modules())
    head, convolution = layers["head"], layers["features.0"]
    assert isinstance(head, nn.Linear)
    assert isinstance(convolution, nn.Conv2d)
    x, image = torch.randn(4, head.in_features), torch.randn(2, *SHAPE)
    torch.testing.assert_close(head(x), x @ chosen.effective_weight(head).T + head.bias)
    expected = nn.functional.conv2d(image, chosen.effective_weight(convolution), convolution.bias, padding=1)
    torch.testing.assert_close(convolution(image), expected)


def survives_a_deep_copy(name: str) -> None:
    """A copy of the normalizer with its discriminator goes on as the original does."""
    chosen, discriminator = attached(name)
    update(chosen, discriminator, _optimizer(discriminator), seed=1)
    other, twin = copy.deepcopy((chosen, discriminator))
    for side, module in ((chosen, discriminator), (other, twin)):
        update(side, module, _optimizer(module), seed=2)
    _same(discriminator, twin)


PROMISES: tuple[Callable[[str], None], ...] = (
    keeps_shapes_and_gives_a_scalar_penalty,
    gradients_reach_the_raw_parameters,
    state_dict_round_trip_goes_on_alike,
    evaluation_changes_nothing,
    effective_weight_is_what_the_layer_multiplies_by,
    survives_a_deep_copy,
)


def _optimizer(discriminator: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(discriminator.parameters(), lr=0.1)


def _same(one: nn.Module, other: nn.Module) -> None:
    restored = other.state_dict()
    for key, value in one.state_dict().items():
        assert torch.equal(value, restored[key]), key
