"""The ResNets against the tables' rows, layer by layer, and their parameters counted by hand."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from snlab.core.errors import UserError
from snlab.networks import NETWORKS, ResNet
from snlab.nn.layers import weight_layers
from snlab.nn.resampling import PooledConv2d, UpsampledConv2d


@dataclass(frozen=True)
class Published:
    """What a paper prints, and what the code released with it adds."""

    shape: tuple[int, int, int]
    generator: tuple[str, ...]
    discriminator: tuple[str, ...]
    bias: bool


TABLES = {
    "cifar10": Published(  # Miyato et al. 2018, Table 4
        (3, 32, 32),
        ("dense 4x4x256", "block up 256", "block up 256", "block up 256", "BN, ReLU, conv 3x3 3, tanh"),
        ("block down 128", "block down 128", "block 128", "block 128", "ReLU, global sum pooling, dense"),
        bias=False,
    ),
    "stl10": Published(  # Table 5
        (3, 48, 48),
        ("dense 6x6x512", "block up 256", "block up 128", "block up 64", "BN, ReLU, conv 3x3 3, tanh"),
        (
            *("block down 64", "block down 128", "block down 256", "block down 512", "block 1024"),
            "ReLU, global sum pooling, dense",
        ),
        bias=True,
    ),
    "imagenet": Published(  # Table 6
        (3, 128, 128),
        (
            *("dense 4x4x1024", "block up 1024", "block up 512", "block up 256", "block up 128"),
            *("block up 64", "BN, ReLU, conv 3x3 3, tanh"),
        ),
        (
            *("block down 64", "block down 128", "block down 256", "block down 512", "block down 1024"),
            *("block 1024", "ReLU, global sum pooling, dense"),
        ),
        bias=True,
    ),
    "wgan_gp": Published(  # Tables 7 and 8: Gulrajani et al. 2017
        (3, 32, 32),
        ("dense 4x4x128", "block up 128", "block up 128", "block up 128", "BN, ReLU, conv 3x3 3, tanh"),
        ("block down 128", "block down 128", "block 128", "block 128", "ReLU, global mean pooling, dense"),
        bias=True,
    ),
}


def block_up(inner: int, outer: int) -> int:
    """Parameters of a generator's block: two BN, two 3 x 3, one 1 x 1."""
    return 2 * inner + (9 * inner + 1) * outer + 2 * outer + (9 * outer + 1) * outer + (inner + 1) * outer


def block_down(inner: int, outer: int, hidden: int, shortcut: bool = True) -> int:
    """Parameters of a discriminator's block: two 3 x 3 and, where it has one, a 1 x 1."""
    return (9 * inner + 1) * hidden + (9 * hidden + 1) * outer + (inner + 1) * outer * shortcut


PARAMETERS = {  # of the generator, of the discriminator
    "cifar10": (
        129 * (4 * 4 * 256) + 3 * block_up(256, 256) + 2 * 256 + (9 * 256 + 1) * 3,
        block_down(3, 128, 128) + block_down(128, 128, 128) + 2 * block_down(128, 128, 128, False) + 128,
    ),
    "stl10": (
        129 * (6 * 6 * 512)
        + (block_up(512, 256) + block_up(256, 128) + block_up(128, 64))
        + (2 * 64 + (9 * 64 + 1) * 3),
        block_down(3, 64, 64)
        + (block_down(64, 128, 64) + block_down(128, 256, 128) + block_down(256, 512, 256))
        + (block_down(512, 1024, 512) + 1025),
    ),
    "imagenet": (
        129 * (4 * 4 * 1024)
        + (block_up(1024, 1024) + block_up(1024, 512) + block_up(512, 256) + block_up(256, 128))
        + (block_up(128, 64) + 2 * 64 + (9 * 64 + 1) * 3),
        block_down(3, 64, 64)
        + (block_down(64, 128, 64) + block_down(128, 256, 128) + block_down(256, 512, 256))
        + (block_down(512, 1024, 512) + block_down(1024, 1024, 1024, False) + 1025),
    ),
    "wgan_gp": (
        129 * (4 * 4 * 128) + 3 * block_up(128, 128) + 2 * 128 + (9 * 128 + 1) * 3,
        block_down(3, 128, 128) + block_down(128, 128, 128) + 2 * block_down(128, 128, 128, False) + 129,
    ),
}


def seen(network: nn.Module, x: Tensor) -> tuple[dict[str, tuple[int, ...]], Tensor]:
    """The output's shape of every module inside by name, batch left out, and the network's output."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, module in network.named_modules():

        def note(module: nn.Module, inputs: object, y: Tensor, name: str = name) -> None:
            shapes[name] = tuple(y.shape[1:])

        module.register_forward_hook(note)
    with torch.no_grad():
        return shapes, network(x)


# ---- the tables -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_the_generator_is_the_tables(name: str) -> None:
    table = TABLES[name]
    generator = ResNet(name).generator(table.shape)
    shapes, images = seen(generator, torch.randn(1, 128))
    assert images.shape == (1, *table.shape)
    height, width, channels = map(int, re.findall(r"\d+", table.generator[0]))
    assert isinstance(generator.dense, nn.Linear)
    assert shapes["map"] == (channels, height, width)
    names = [n for n in shapes if re.fullmatch(r"block\d+", n)]
    assert len(names) == len(table.generator) - 2
    for block, row in zip(names, table.generator[1:-1], strict=True):
        assert row.startswith("block up ")
        inner, channels = channels, int(row.split()[-1])
        before, (height, width) = (height, width), (2 * height, 2 * width)
        own = generator.get_submodule(block)
        layers = ["norm1", "relu1", "conv1", "norm2", "relu2", "conv2", "shortcut"]
        assert [n for n, _ in own.named_children()] == layers
        kinds = [
            nn.BatchNorm2d,
            nn.ReLU,
            UpsampledConv2d,
            nn.BatchNorm2d,
            nn.ReLU,
            nn.Conv2d,
            UpsampledConv2d,
        ]
        assert [type(layer) for layer in own.children()] == kinds
        sizes = [(inner, *before)] * 2 + [(channels, height, width)] * 5
        assert [shapes[f"{block}.{n}"] for n in layers] == sizes
        assert [own.conv1.kernel_size, own.conv2.kernel_size] == [(3, 3)] * 2
        assert own.shortcut.kernel_size == (1, 1)
    last = {"norm": nn.BatchNorm2d, "relu": nn.ReLU, "conv": nn.Conv2d, "tanh": nn.Tanh}
    assert list(last) == [n for n, _ in generator.named_children()][-4:]
    assert all(isinstance(generator.get_submodule(n), kind) for n, kind in last.items())
    assert (generator.conv.kernel_size, generator.conv.out_channels) == ((3, 3), 3)
    assert sum(p.numel() for p in generator.parameters()) == PARAMETERS[name][0]


@pytest.mark.parametrize("name", TABLES)
def test_the_discriminator_is_the_tables(name: str) -> None:
    table = TABLES[name]
    discriminator = ResNet(name).discriminator(table.shape)
    shapes, logits = seen(discriminator, torch.randn(2, *table.shape))
    assert logits.shape == (2,)
    channels, height, width = table.shape
    names = [n for n in shapes if re.fullmatch(r"block\d+", n)]
    assert len(names) == len(table.discriminator) - 1
    for i, (block, row) in enumerate(zip(names, table.discriminator[:-1], strict=True)):
        own, pools = discriminator.get_submodule(block), "down" in row
        inner, channels = channels, int(row.split()[-1])
        hidden = channels if i == 0 else inner
        before, (height, width) = (height, width), (height // 2, width // 2) if pools else (height, width)
        assert [n for n, _ in own.named_children()] == ["relu1", "conv1", "relu2", "conv2", "shortcut"]
        assert isinstance(own.relu1, nn.Identity if i == 0 else nn.ReLU)
        assert isinstance(own.relu2, nn.ReLU)
        assert shapes[f"{block}.conv1"] == (hidden, *before)
        assert shapes[f"{block}.conv2"] == shapes[f"{block}.shortcut"] == (channels, height, width)
        assert isinstance(own.conv2, PooledConv2d) == pools
        assert [own.conv1.kernel_size, own.conv2.kernel_size] == [(3, 3)] * 2
        if pools or inner != channels:
            assert own.shortcut.kernel_size == (1, 1)
        else:
            assert isinstance(own.shortcut, nn.Identity)
    assert isinstance(discriminator.relu, nn.ReLU)
    assert (discriminator.dense.in_features, discriminator.dense.out_features) == (channels, 1)
    assert (discriminator.dense.bias is not None) == table.bias
    assert sum(p.numel() for p in discriminator.parameters()) == PARAMETERS[name][1]


def test_the_layers_are_called_by_block_and_place() -> None:
    names = list(weight_layers(ResNet(width=0.01).discriminator((3, 32, 32))))
    expected = [f"block{i}.{layer}" for i in (1, 2) for layer in ("conv1", "conv2", "shortcut")]
    expected += [f"block{i}.{layer}" for i in (3, 4) for layer in ("conv1", "conv2")]
    assert names == [*expected, "dense"]


# ---- what the tables leave open -------------------------------------------------------------------------


def average(x: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(x, 2)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", TABLES)
def test_the_discriminators_function_by_hand(name: str, fused: bool) -> None:
    discriminator = ResNet(name, width=0.05, fused=fused).discriminator((3, 32, 32)).double()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    h = x
    for i, row in enumerate(TABLES[name].discriminator[:-1], start=1):
        block, pool = discriminator.get_submodule(f"block{i}"), average if "down" in row else lambda x: x
        branch = nn.functional.conv2d(
            h if i == 1 else h.relu(), block.conv1.weight, block.conv1.bias, padding=1
        )
        branch = pool(nn.functional.conv2d(branch.relu(), block.conv2.weight, block.conv2.bias, padding=1))
        if i == 1:
            h = nn.functional.conv2d(average(h), block.shortcut.weight, block.shortcut.bias)
        elif isinstance(block.shortcut, nn.Conv2d):
            h = pool(nn.functional.conv2d(h, block.shortcut.weight, block.shortcut.bias))
        h = h + branch
    mean = "mean" in TABLES[name].discriminator[-1]
    pooled = h.relu().flatten(2).mean(2) if mean else h.relu().flatten(2).sum(2)
    expected = pooled @ discriminator.dense.weight[0]
    if TABLES[name].bias:
        expected = expected + discriminator.dense.bias
    torch.testing.assert_close(discriminator(x), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("fused", [True, False])
def test_the_generators_function_by_hand(fused: bool) -> None:
    generator = ResNet("stl10", width=0.05, fused=fused).generator((3, 16, 32)).double()
    z = torch.randn(4, 128, dtype=torch.float64)

    def normalised(h: Tensor) -> Tensor:
        mean, variance = h.mean((0, 2, 3), keepdim=True), h.var((0, 2, 3), unbiased=False, keepdim=True)
        return (h - mean) / (variance + 1e-5).sqrt()

    def conv(layer: nn.Conv2d, h: Tensor) -> Tensor:
        return nn.functional.conv2d(h, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)

    def doubled(h: Tensor) -> Tensor:
        return h.repeat_interleave(2, 2).repeat_interleave(2, 3)

    h = (z @ generator.dense.weight.T + generator.dense.bias).view(4, -1, 2, 4)
    for i in (1, 2, 3):
        block = generator.get_submodule(f"block{i}")
        branch = conv(block.conv1, doubled(normalised(h).relu()))
        h = conv(block.conv2, normalised(branch).relu()) + conv(block.shortcut, doubled(h))
    expected = conv(generator.conv, normalised(h).relu()).tanh()
    torch.testing.assert_close(generator(z), expected, rtol=1e-10, atol=1e-10)


def test_it_starts_from_glorots_uniform_distribution() -> None:
    torch.manual_seed(0)
    network = ResNet("stl10")
    for module in (network.generator((3, 48, 48)), network.discriminator((3, 48, 48))):
        for name, layer in weight_layers(module).items():
            weight = layer.weight
            fans = (weight.shape[0] + weight.shape[1]) * weight[0, 0].numel()
            gain = math.sqrt(2) if re.search(r"block\d+\.conv", name) else 1.0
            bound = gain * math.sqrt(6 / fans)
            assert bound * 0.99 < weight.abs().max() <= bound, name
            assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1), name
            assert layer.bias is None or not layer.bias.any(), name


# ---- widths and sizes -----------------------------------------------------------------------------------


def test_width_multiplies_both_and_width_d_the_discriminator() -> None:
    network = ResNet("wgan_gp", width=0.25, width_d=1.5)
    assert network.generator((3, 32, 32)).block1.conv1.out_channels == 32
    discriminator = network.discriminator((3, 32, 32))
    assert {discriminator.get_submodule(f"block{i}").conv2.out_channels for i in (1, 2, 3, 4)} == {48}
    assert discriminator.dense.in_features == 48
    assert ResNet(width=0.001).discriminator((1, 8, 8))(torch.randn(2, 1, 8, 8)).shape == (2,)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *(("cifar10", shape) for shape in ((1, 8, 8), (1, 16, 16), (3, 24, 40))),
        *(("stl10", (3, 16, 16)), ("stl10", (1, 32, 16)), ("imagenet", (3, 32, 64)), ("wgan_gp", (1, 8, 16))),
    ],
)
def test_any_size_that_the_rows_can_halve(name: str, shape: tuple[int, int, int]) -> None:
    network = ResNet(name, width=0.03, latent_dim=7)
    images = network.generator(shape)(torch.randn(3, 7))
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    assert network.discriminator(shape)(images).shape == (3,)


@pytest.mark.parametrize(
    ("name", "shape", "multiple"),
    [
        ("cifar10", (3, 28, 28), 8),
        ("stl10", (3, 48, 40), 16),
        ("imagenet", (3, 48, 64), 32),
        ("wgan_gp", (2,), 8),
    ],
)
def test_other_shapes_are_refused(name: str, shape: tuple[int, ...], multiple: int) -> None:
    network = ResNet(name)
    size = " x ".join(map(str, shape))
    message = rf"resnet\(architecture={name}\) has nothing for samples of {size}; .* divisible by {multiple}$"
    for make in (network.generator, network.discriminator):
        with pytest.raises(UserError, match=message):
            make(shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("width=0", "width wants a finite number above 0, got 0"),
        ("width_d=0", "width_d wants a finite number above 0, got 0"),
        ("latent_dim=0", "latent_dim wants a whole number of at least 1, got 0"),
        ("fused=1", "fused wants true or false, got 1"),
        ("architecture=cifar", "unknown architecture 'cifar'; did you mean 'cifar10'?"),
    ],
)
def test_a_bad_option_is_told_in_one_line(options: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        NETWORKS.build(f"resnet({options})")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
