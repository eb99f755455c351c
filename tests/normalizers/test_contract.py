"""What every registered normalizer promises. A later one joins by being registered."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import Tensor, nn

from snlab.nn.layers import raw_weight, weight_layers
from snlab.normalizers import NORMALIZERS, Batch, Normalizer, normalizer
from tests.variants import ALL, VARIANTS

NAMES = NORMALIZERS.names()
SHAPE = (3, 8, 8)


class Discriminator(nn.Module):
    """A user's own: convolutions, a transposed one, a dense layer, and no word of snlab."""

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
        return self.head(torch.tanh(self.up(self.features(x))).flatten(1)).squeeze(1)


def attached(name: str, seed: int = 0) -> tuple[Normalizer, nn.Module]:
    torch.manual_seed(seed)
    chosen = normalizer(name)
    return chosen, chosen.attach(Discriminator())


def batch(seed: int = 1, n: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, *SHAPE, generator=generator), torch.randn(n, *SHAPE, generator=generator)


def update(
    chosen: Normalizer, discriminator: nn.Module, optimizer: torch.optim.Optimizer, seed: int = 1
) -> None:
    real, fake = batch(seed)
    chosen.before_update(discriminator)
    loss = discriminator(fake).mean() - discriminator(real).mean()
    penalty = chosen.penalty(discriminator, Batch(real, fake, stream=torch.Generator().manual_seed(seed)))
    optimizer.zero_grad()
    (loss + penalty).backward()
    optimizer.step()
    chosen.after_update(discriminator)


@pytest.mark.parametrize("name", ALL)
def test_keeps_shapes_and_gives_a_scalar_penalty(name):
    chosen, discriminator = attached(name)
    plain = Discriminator()
    real, fake = batch()
    assert discriminator(real).shape == (5,)
    penalty = chosen.penalty(discriminator, Batch(real, fake))
    assert penalty.shape == ()
    assert penalty.item() >= 0
    assert weight_layers(discriminator).keys() == weight_layers(plain).keys()
    for layer, before in zip(
        weight_layers(discriminator).values(), weight_layers(plain).values(), strict=True
    ):
        assert chosen.effective_weight(layer).shape == before.weight.shape


@pytest.mark.parametrize("name", ALL)
def test_gradients_reach_the_raw_parameters(name):
    chosen, discriminator = attached(name)
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    before = {key: raw_weight(layer).clone() for key, layer in weight_layers(discriminator).items()}
    update(chosen, discriminator, optimizer)
    parameters = {id(p) for p in discriminator.parameters()}
    for key, layer in weight_layers(discriminator).items():
        raw = raw_weight(layer)
        assert id(raw) in parameters
        assert raw.grad.abs().sum() > 0
        assert not torch.equal(raw, before[key])


@pytest.mark.parametrize("name", ALL)
def test_state_dict_round_trip_goes_on_alike(name):
    chosen, discriminator = attached(name)
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    update(chosen, discriminator, optimizer, seed=1)
    other, restored = attached(name, seed=99)
    restored.load_state_dict(copy.deepcopy(discriminator.state_dict()))
    other.load_state_dict(copy.deepcopy(chosen.state_dict()))
    update(chosen, discriminator, optimizer, seed=2)
    update(other, restored, torch.optim.SGD(restored.parameters(), lr=0.1), seed=2)
    for key, value in discriminator.state_dict().items():
        assert torch.equal(value, restored.state_dict()[key]), key


@pytest.mark.parametrize("name", ALL)
def test_evaluation_changes_nothing(name):
    chosen, discriminator = attached(name)
    update(chosen, discriminator, torch.optim.SGD(discriminator.parameters(), lr=0.1))
    before = copy.deepcopy(discriminator.state_dict())
    discriminator.eval()
    real, _ = batch()
    with torch.no_grad():
        first, second = discriminator(real), discriminator(real)
    assert torch.equal(first, second)
    for key, value in discriminator.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize("name", ALL)
def test_effective_weight_is_what_the_layer_multiplies_by(name):
    chosen, discriminator = attached(name)
    update(chosen, discriminator, torch.optim.SGD(discriminator.parameters(), lr=0.1))
    discriminator.eval()
    head = discriminator.head
    x = torch.randn(4, head.in_features)
    torch.testing.assert_close(head(x), x @ chosen.effective_weight(head).T + head.bias)
    convolution = discriminator.features[0]
    image = torch.randn(2, *SHAPE)
    expected = nn.functional.conv2d(image, chosen.effective_weight(convolution), convolution.bias, padding=1)
    torch.testing.assert_close(convolution(image), expected)


def undone(pair: tuple[str, ...]) -> bool:
    first, second = (normalizer(name) for name in pair)
    return second.scales.undoes(first.scales)


PAIRS = [pair for pair in itertools.permutations([n for n in NAMES if n != "none"], 2) if not undone(pair)]
PAIRS += [(variant, "gradient_penalty") for variant in VARIANTS]


@pytest.mark.parametrize("pair", PAIRS)
def test_composes_with_the_others(pair):
    chosen, discriminator = attached("+".join(pair))
    parts = [normalizer(name) for name in pair]
    discriminator.eval()
    one_by_one, at_once = (Batch(*batch(), stream=torch.Generator().manual_seed(3)) for _ in range(2))
    alone = sum(part.penalty(discriminator, one_by_one) for part in parts)  # one stream, in the order given
    together = chosen.penalty(discriminator, at_once)
    torch.testing.assert_close(together, alone)
    discriminator.train()
    update(chosen, discriminator, torch.optim.SGD(discriminator.parameters(), lr=0.1))
    assert all(parameter.isfinite().all() for parameter in discriminator.parameters())


@pytest.mark.parametrize("name", ALL)
def test_survives_a_deep_copy(name):
    chosen, discriminator = attached(name)
    update(chosen, discriminator, torch.optim.SGD(discriminator.parameters(), lr=0.1), seed=1)
    other, twin = copy.deepcopy((chosen, discriminator))
    for side, module in ((chosen, discriminator), (other, twin)):
        update(side, module, torch.optim.SGD(module.parameters(), lr=0.1), seed=2)
    for key, value in discriminator.state_dict().items():
        assert torch.equal(value, twin.state_dict()[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_is(name):
    assert len(NORMALIZERS.describe(name)) > len(name) + 20
