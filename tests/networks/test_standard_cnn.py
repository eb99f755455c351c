"""The standard CNN against Table 3, written out by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from snlab.core.errors import UserError
from snlab.networks import NETWORKS, StandardCNN
from snlab.networks.standard_cnn import NormalToUniform
from snlab.nn.layers import weight_layers

# Table 3 at 32 x 32 x 3: the shape of each layer's output, batch left out.
GENERATOR = [
    (nn.Linear, (8192,)),
    (nn.Unflatten, (512, 4, 4)),
    (nn.ConvTranspose2d, (256, 8, 8)),
    (nn.BatchNorm2d, (256, 8, 8)),
    (nn.ReLU, (256, 8, 8)),
    (nn.ConvTranspose2d, (128, 16, 16)),
    (nn.BatchNorm2d, (128, 16, 16)),
    (nn.ReLU, (128, 16, 16)),
    (nn.ConvTranspose2d, (64, 32, 32)),
    (nn.BatchNorm2d, (64, 32, 32)),
    (nn.ReLU, (64, 32, 32)),
    (nn.Conv2d, (3, 32, 32)),
    (nn.Tanh, (3, 32, 32)),
]
DISCRIMINATOR = [
    (nn.Conv2d, (64, 32, 32)),
    (nn.LeakyReLU, (64, 32, 32)),
    (nn.Conv2d, (64, 16, 16)),
    (nn.LeakyReLU, (64, 16, 16)),
    (nn.Conv2d, (128, 16, 16)),
    (nn.LeakyReLU, (128, 16, 16)),
    (nn.Conv2d, (128, 8, 8)),
    (nn.LeakyReLU, (128, 8, 8)),
    (nn.Conv2d, (256, 8, 8)),
    (nn.LeakyReLU, (256, 8, 8)),
    (nn.Conv2d, (256, 4, 4)),
    (nn.LeakyReLU, (256, 4, 4)),
    (nn.Conv2d, (512, 4, 4)),
    (nn.LeakyReLU, (512, 4, 4)),
    (nn.Flatten, (8192,)),
    (nn.Linear, (1,)),
    (nn.Flatten, ()),
]
GENERATOR_PARAMETERS = (
    (128 * 8192 + 8192)
    + (512 * 256 * 16 + 256 + 2 * 256)
    + (256 * 128 * 16 + 128 + 2 * 128)
    + (128 * 64 * 16 + 64 + 2 * 64)
    + (64 * 3 * 9 + 3)
)
DISCRIMINATOR_PARAMETERS = (
    (3 * 64 * 9 + 64)
    + (64 * 64 * 16 + 64)
    + (64 * 128 * 9 + 128)
    + (128 * 128 * 16 + 128)
    + (128 * 256 * 9 + 256)
    + (256 * 256 * 16 + 256)
    + (256 * 512 * 9 + 512)
    + (8192 + 1)
)


def layers_and_shapes(network: nn.Module, x: torch.Tensor) -> list[tuple[type, tuple[int, ...]]]:
    found = []
    for layer in network.children():
        x = layer(x)
        found.append((type(layer), tuple(x.shape[1:])))
    return found


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# ---- Table 3 --------------------------------------------------------------------------------------------


def test_the_generator_is_table_3() -> None:
    generator = StandardCNN().generator((3, 32, 32))
    assert layers_and_shapes(generator, torch.randn(2, 128)) == GENERATOR
    assert parameters(generator) == GENERATOR_PARAMETERS


def test_the_discriminator_is_table_3() -> None:
    discriminator = StandardCNN().discriminator((3, 32, 32))
    assert layers_and_shapes(discriminator, torch.randn(2, 3, 32, 32)) == DISCRIMINATOR
    assert parameters(discriminator) == DISCRIMINATOR_PARAMETERS
    assert {layer.negative_slope for layer in discriminator if isinstance(layer, nn.LeakyReLU)} == {0.1}


def test_kernels_and_strides_are_table_3s() -> None:
    weighted = weight_layers(StandardCNN().discriminator((3, 32, 32)))
    assert list(weighted) == ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "conv7", "dense"]
    convolutions = list(weighted.values())[:-1]
    assert [c.kernel_size[0] for c in convolutions] == [3, 4, 3, 4, 3, 4, 3]
    assert [c.stride[0] for c in convolutions] == [1, 2, 1, 2, 1, 2, 1]
    deconvolutions = [m for m in StandardCNN().generator((3, 32, 32)) if isinstance(m, nn.ConvTranspose2d)]
    assert [(m.kernel_size, m.stride) for m in deconvolutions] == [((4, 4), (2, 2))] * 3


# ---- as it was released ---------------------------------------------------------------------------------


def test_the_released_generator() -> None:
    generator = StandardCNN(variant="released").generator((3, 32, 32))
    first = [(nn.Linear, (8192,)), (nn.BatchNorm1d, (8192,)), (nn.ReLU, (8192,)), *GENERATOR[1:]]
    assert layers_and_shapes(generator, torch.randn(2, 128)) == [(NormalToUniform, (128,)), *first]
    assert parameters(generator) == GENERATOR_PARAMETERS + 2 * 8192


def test_the_released_discriminator() -> None:
    discriminator = StandardCNN(variant="released").discriminator((3, 32, 32))
    convolutions = [m for m in discriminator if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64, 128, 128, 256, 256, 512, 512]
    assert [c.kernel_size[0] for c in convolutions] == [3, 4, 3, 4, 3, 4, 3]
    assert {layer.negative_slope for layer in discriminator if isinstance(layer, nn.LeakyReLU)} == {0.2}
    assert parameters(discriminator) == (
        (3 * 64 * 9 + 64)
        + (64 * 128 * 16 + 128)
        + (128 * 128 * 9 + 128)
        + (128 * 256 * 16 + 256)
        + (256 * 256 * 9 + 256)
        + (256 * 512 * 16 + 512)
        + (512 * 512 * 9 + 512)
        + (8192 + 1)
    )


def test_the_released_weights_start_small() -> None:
    network = StandardCNN(variant="released")
    for module in (network.generator((3, 32, 32)), network.discriminator((3, 32, 32))):
        for name, layer in weight_layers(module).items():
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1), name
            assert not layer.bias.any(), name


def test_the_released_latents_are_uniform() -> None:
    z = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    uniform, _ = NormalToUniform()(z).sort()
    expected = torch.linspace(-1, 1, len(z))
    assert (uniform - expected).abs().max() < 2 * 1.63 / len(z) ** 0.5  # Kolmogorov's test at 1 %


@pytest.mark.parametrize("width", [0.25, 0.5, 1.5])
def test_width_multiplies_the_channels(width: float) -> None:
    network = StandardCNN(width=width)
    channels = [int(width * c) for c in (64, 64, 128, 128, 256, 256, 512)]
    discriminator = network.discriminator((1, 16, 16))
    assert [m.out_channels for m in discriminator if isinstance(m, nn.Conv2d)] == channels
    assert discriminator.dense.in_features == channels[-1] * 2 * 2
    generator = network.generator((1, 16, 16))
    assert generator.dense.out_features == channels[-1] * 2 * 2
    expected = [int(width * c) for c in (256, 128, 64)]
    assert [m.out_channels for m in generator if isinstance(m, nn.ConvTranspose2d)] == expected


@pytest.mark.parametrize("last_width", [0.5, 4])
def test_last_width_multiplies_the_channels_on_both_sides_of_the_last_convolution(last_width: float) -> None:
    """Figure 4: input and output of the last convolution, in every variant; the generator stays."""
    network = StandardCNN(width=0.25, last_width=last_width)
    discriminator = network.discriminator((1, 16, 16))
    channels = [(1, 16), (16, 16), (16, 32), (32, 32), (32, 64)]
    channels += [(64, int(64 * last_width)), (int(64 * last_width), int(128 * last_width))]
    convolutions = [m for m in discriminator if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == channels
    assert discriminator.dense.in_features == channels[-1][1] * 2 * 2
    assert parameters(network.generator((1, 16, 16))) == parameters(
        StandardCNN(width=0.25).generator((1, 16, 16))
    )
    released = StandardCNN(last_width=last_width, variant="released").discriminator((1, 8, 8))
    assert released.conv7.weight.shape[:2] == (int(512 * last_width),) * 2


def test_no_layer_is_left_without_channels() -> None:
    narrow = StandardCNN(width=0.001)
    assert narrow.discriminator((1, 8, 8))(narrow.generator((1, 8, 8))(torch.randn(2, 128))).shape == (2,)


# ---- sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 16, 16), (3, 24, 40), (5, 48, 48), (3, 64, 16)])
def test_any_size_that_8_divides(shape: tuple[int, ...]) -> None:
    network = StandardCNN(width=0.125, latent_dim=7)
    images = network.generator(shape)(torch.randn(3, 7))
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    assert network.discriminator(shape)(images).shape == (3,)


@pytest.mark.parametrize("shape", [(1, 20, 20), (3, 32, 20), (3, 20, 32), (2,)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    network = StandardCNN()
    message = f"standard_cnn .* {' x '.join(map(str, shape))}; .* divisible by 8"
    with pytest.raises(UserError, match=message):
        network.generator(shape)
    with pytest.raises(UserError, match=message):
        network.discriminator(shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("width=0", "width wants a finite number above 0, got 0"),
        ("last_width=0", "last_width wants a finite number above 0, got 0"),
        ("width=wide", "width wants a finite number above 0, got 'wide'"),
        ("latent_dim=0", "latent_dim wants a whole number of at least 1, got 0"),
        ("variant=release", "unknown variant 'release'; did you mean 'released'?"),
        ("widht=2", "has no option 'widht'; did you mean 'width'"),
    ],
)
def test_a_bad_option_is_told_in_one_line(options: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        NETWORKS.build(f"standard_cnn({options})")
    assert message in str(error.value)


# ---- gradients and memory layout ------------------------------------------------------------------------


def penalty_gradients(discriminator: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean() + discriminator(x).mean()
    return list(torch.autograd.grad(penalty, list(discriminator.parameters())))


def test_in_place_activations_leave_a_penaltys_gradient_as_it_is() -> None:
    discriminator = StandardCNN(width=0.25).discriminator((2, 16, 16)).double()
    plain = copy.deepcopy(discriminator)
    changed = [layer for layer in plain if isinstance(layer, nn.LeakyReLU)]
    assert all(layer.inplace for layer in changed)
    for layer in changed:
        layer.inplace = False
    x = torch.randn(3, 2, 16, 16, dtype=torch.float64)
    for ours, expected in zip(penalty_gradients(discriminator, x), penalty_gradients(plain, x), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-14)


def test_double_backward_agrees_with_finite_differences() -> None:
    discriminator = StandardCNN(width=0.02).discriminator((1, 8, 8)).double()
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    w = discriminator.conv2.weight.detach().clone().requires_grad_()

    def logits(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(discriminator, {"conv2.weight": w}, (x,))

    assert torch.autograd.gradcheck(logits, (x, w))
    assert torch.autograd.gradgradcheck(logits, (x, w))


def test_every_parameter_gets_a_gradient() -> None:
    network = StandardCNN(width=0.125)
    generator, discriminator = network.generator((3, 16, 16)), network.discriminator((3, 16, 16))
    discriminator(generator(torch.randn(4, 128))).sum().backward()
    for module in (generator, discriminator):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
        assert all(layer.weight.grad.abs().max() > 0 for layer in weight_layers(module).values())


def test_channels_last_stays_channels_last_and_changes_nothing() -> None:
    network = StandardCNN(width=0.125)
    z = torch.randn(4, 128)
    for module, x in (
        (network.generator((3, 16, 16)), z),
        (network.discriminator((3, 16, 16)), torch.randn(4, 3, 16, 16)),
    ):
        expected = module(x)
        module.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
        torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-5)
        for layer in module:
            x = layer(x)
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                assert x.is_contiguous(memory_format=torch.channels_last)


def test_two_are_two() -> None:
    network = StandardCNN(width=0.125)
    first, second = (network.discriminator((1, 8, 8)) for _ in range(2))
    assert not torch.equal(first.conv1.weight, second.conv1.weight)
    assert first.conv1.weight.data_ptr() != second.conv1.weight.data_ptr()
