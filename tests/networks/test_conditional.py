"""Networks that are given labels: their parameters by hand, their functions, and what controls them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from snlab.core.errors import UserError
from snlab.diagnostics.lipschitz import bound, gradient_norms
from snlab.diagnostics.sigma import layer_spectra, sigma
from snlab.losses import LOSSES
from snlab.networks import NETWORKS, Network
from snlab.nn.conditional import ConditionalBatchNorm2d, judge
from snlab.nn.layers import weight_layers
from snlab.normalizers import Batch, normalizer
from tests.variants import ALL

CLASSES = 5
KINDS = ("projection", "concatenation", "auxiliary_classifier")
SMALL = [*(f"resnet(conditional={kind}, width=0.05)" for kind in KINDS), "mlp(conditional=true, width=16)"]
LABELS = torch.tensor([0, 1, 2, 3, 4, 4])


def built(text: str) -> Network:
    network = NETWORKS.build(text)
    network.classes = CLASSES
    return network


def shape_of(text: str) -> tuple[int, ...]:
    return (2,) if text.startswith("mlp") else (3, 16, 16)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def trained(module: nn.Module) -> nn.Module:
    """With parameters as if it had been trained: classes differ."""
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return module


# ---- parameters by hand ---------------------------------------------------------------------------------

SHAPES = {"cifar10": (3, 32, 32), "stl10": (3, 48, 48), "imagenet": (3, 128, 128), "wgan_gp": (3, 32, 32)}
NORMALIZED = {  # channels of the batch norms in the generator's blocks
    "cifar10": 6 * 256,
    "stl10": (512 + 256) + (256 + 128) + (128 + 64),
    "imagenet": (1024 + 1024) + (1024 + 512) + (512 + 256) + (256 + 128) + (128 + 64),
    "wgan_gp": 6 * 128,
}
FEATURES = {"cifar10": 128, "stl10": 1024, "imagenet": 1024, "wgan_gp": 128}
# What 128 channels more add to the fourth block, which is as wide inside as what it is given: to the first
# 3 x 3 convolution, to the second and to the shortcut; which is new where the block kept its width.
CONCATENATED = {
    "cifar10": 9 * (256 * 256 - 128 * 128) + 128 + 9 * 128 * 128 + 257 * 128,
    "stl10": 9 * (384 * 384 - 256 * 256) + 128 + 9 * 128 * 512 + 128 * 512,
    "imagenet": 9 * (384 * 384 - 256 * 256) + 128 + 9 * 128 * 512 + 128 * 512,
    "wgan_gp": 9 * (256 * 256 - 128 * 128) + 128 + 9 * 128 * 128 + 257 * 128,
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_labels_add_to_a_resnets_parameters(name: str) -> None:
    with torch.device("meta"):
        plain = NETWORKS.build(f"resnet(architecture={name})")
        generator, discriminator = (
            parameters(make(SHAPES[name])) for make in (plain.generator, plain.discriminator)
        )
        added = {
            "projection": CLASSES * FEATURES[name],
            "concatenation": CLASSES * 128 + CONCATENATED[name],
            "auxiliary_classifier": (FEATURES[name] + 1) * CLASSES,
        }
        for kind in KINDS:
            network = built(f"resnet(architecture={name}, conditional={kind})")
            # A gain and a bias for each class in place of one of each.
            expected = generator + 2 * (CLASSES - 1) * NORMALIZED[name]
            assert parameters(network.generator(SHAPES[name])) == expected
            assert parameters(network.discriminator(SHAPES[name])) == discriminator + added[kind], kind


def test_the_mlps_parameters() -> None:
    network = built("mlp(conditional=true, width=16, depth=2, latent_dim=3)")
    hidden = 17 * 16
    assert parameters(network.generator((2,))) == CLASSES * 16 + (3 + 16 + 1) * 16 + hidden + 17 * 2
    assert parameters(network.discriminator((2,))) == 3 * 16 + hidden + 17 + CLASSES * 16


def test_the_last_batch_norm_of_a_resnet_is_the_same_for_all_classes() -> None:
    generator = built(SMALL[0]).generator((3, 16, 16))
    kinds = [type(m) for name, m in generator.named_modules() if name.rpartition(".")[2].startswith("norm")]
    inner = [ConditionalBatchNorm2d, nn.BatchNorm2d] * 6  # each and the one inside it
    assert kinds == [*inner, nn.BatchNorm2d]
    assert generator.norm.affine


# ---- functions by hand ----------------------------------------------------------------------------------


def test_a_projections_logits_by_hand() -> None:
    discriminator = built(SMALL[0]).discriminator((3, 16, 16))
    x = torch.randn(6, 3, 16, 16)
    h = discriminator.features(x)
    expected = h @ discriminator.dense.weight[0] + (discriminator.projection.weight[LABELS] * h).sum(1)
    torch.testing.assert_close(discriminator(x, LABELS), expected)


def test_a_concatenations_logits_by_hand() -> None:
    discriminator = built("resnet(conditional=concatenation, width=0.05)").discriminator((3, 16, 16))
    x = torch.randn(6, 3, 16, 16)
    h = discriminator.block3(discriminator.block2(discriminator.block1(x)))  # (B, 6, 4, 4)
    vector = discriminator.concatenation.weight[LABELS]  # 128 times the width: (B, 6)
    h = torch.cat([h, vector[:, :, None, None].repeat(1, 1, 4, 4)], 1)
    assert (vector.shape, discriminator.block4.conv1.in_channels) == ((6, 6), 12)
    expected = discriminator.block4(h).relu().sum((2, 3)) @ discriminator.dense.weight[0]
    torch.testing.assert_close(discriminator(x, LABELS), expected)


def test_a_classifier_tells_classes_apart_by_the_same_features() -> None:
    discriminator = built("resnet(architecture=wgan_gp, conditional=auxiliary_classifier, width=0.05)")
    discriminator = discriminator.discriminator((3, 16, 16))
    x = torch.randn(6, 3, 16, 16)
    h = discriminator.features(x)
    logits, class_logits = discriminator(x, LABELS)
    assert (logits.shape, class_logits.shape) == ((6,), (6, CLASSES))
    torch.testing.assert_close(logits, h @ discriminator.dense.weight[0] + discriminator.dense.bias)
    torch.testing.assert_close(class_logits, discriminator.classifier(h))
    assert torch.equal(discriminator(x, LABELS.flip(0))[0], logits)  # the logits are of all classes


@pytest.mark.parametrize("text", SMALL)
def test_samples_of_one_latent_differ_by_class(text: str) -> None:
    torch.manual_seed(0)
    network = built(text)
    generator = trained(network.generator(shape_of(text))).eval()
    with torch.no_grad():
        x = generator(torch.randn(1, network.latent_dim).repeat(6, 1), LABELS)
    assert torch.equal(x[4], x[5])
    assert all(not torch.allclose(x[i], x[j], atol=1e-4) for i in range(5) for j in range(i))


@pytest.mark.parametrize("text", [text for text in SMALL if "auxiliary" not in text])
def test_shuffled_labels_change_the_logits(text: str) -> None:
    torch.manual_seed(0)
    discriminator = built(text).discriminator(shape_of(text))
    x = torch.randn(6, *shape_of(text))
    with torch.no_grad():
        changed = discriminator(x, LABELS) != discriminator(x, LABELS.flip(0))
    assert changed.all()


# ---- what controls and measures them --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "layer"),
    list(zip(SMALL, ["projection", "concatenation", "classifier", "projection"], strict=True)),
)
def test_spectral_norm_divides_the_labels_weight_too(text: str, layer: str) -> None:
    torch.manual_seed(0)
    chosen = normalizer("spectral_norm(initial_iterations=200)")
    discriminator = chosen.attach(trained(built(text).discriminator(shape_of(text))))
    spectra = layer_spectra(discriminator)
    assert layer in spectra
    for name, spectrum in spectra.items():
        assert spectrum.effective[0].item() == pytest.approx(1, abs=3e-3), name


@pytest.mark.parametrize("text", SMALL)
def test_the_lipschitz_bound_holds_for_every_class(text: str) -> None:
    torch.manual_seed(0)
    discriminator = trained(built(text).discriminator(shape_of(text))).double()
    x = torch.randn(6, *shape_of(text), dtype=torch.float64)
    norms = {
        name.removeprefix("sigma/conv/"): value
        for name, value in sigma(discriminator, x, None, LABELS).items()
        if name.startswith("sigma/conv/")
    }
    assert norms.keys() == weight_layers(discriminator).keys() - {"classifier"}  # the logits' weights
    limit = bound(discriminator, norms)
    for scale in (0.1, 1, 10):
        assert gradient_norms(discriminator, scale * x, LABELS).max() < limit


def test_an_mlps_bound_is_that_of_its_last_two_vectors_together() -> None:
    discriminator = built("mlp(conditional=true, width=8, depth=1)").discriminator((2,)).double()
    hidden = discriminator.features.dense1
    with torch.no_grad():  # all units on, and both vectors along the strongest of them
        u, s, _ = torch.linalg.svd(hidden.weight)
        hidden.bias.fill_(100)
        discriminator.dense.weight.copy_(2 * u[:, :1].T)
        discriminator.projection.weight.zero_()[3] = 3 * u[:, 0]
    norms = sigma(discriminator, torch.zeros(1, 2, dtype=torch.float64), None, LABELS[:1])
    norms = {name.removeprefix("sigma/conv/"): x for name, x in norms.items() if "/conv/" in name}
    steepest = gradient_norms(discriminator, torch.zeros(1, 2, dtype=torch.float64), torch.tensor([3]))
    assert bound(discriminator, norms) == pytest.approx(steepest.item()) == pytest.approx(5 * s[0].item())


@pytest.mark.parametrize("text", SMALL)
@pytest.mark.parametrize("name", ALL)
def test_every_normalizer_takes_a_discriminator_of_labels(name: str, text: str) -> None:
    torch.manual_seed(0)
    chosen, loss = normalizer(name), LOSSES.build("hinge")
    discriminator = chosen.attach(built(text).discriminator(shape_of(text)))
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.01)
    for _ in range(2):
        real, fake = (torch.randn(6, *shape_of(text)) for _ in range(2))
        chosen.before_update(discriminator)
        (real_logits, class_loss), (fake_logits, _) = (judge(discriminator, x, LABELS) for x in (real, fake))
        batch = Batch(real, fake, LABELS, real_logits, fake_logits)
        total = loss.discriminator(real_logits, fake_logits) + class_loss
        optimizer.zero_grad()
        (total + chosen.penalty(discriminator, batch)).backward()
        optimizer.step()
        chosen.after_update(discriminator)
    assert all(p.grad is not None and p.isfinite().all() for p in discriminator.parameters())


@pytest.mark.parametrize("text", [SMALL[0], SMALL[3]])
def test_a_penaltys_points_have_the_labels_of_their_places(text: str) -> None:
    """Of the gradient penalty, where real and generated samples are the same, so that nothing is drawn."""
    torch.manual_seed(0)
    discriminator = trained(built(text).discriminator(shape_of(text)))
    x = torch.randn(6, *shape_of(text))

    def penalty(labels: Tensor) -> Tensor:
        return normalizer("gradient_penalty(weight=1, target=0)").penalty(discriminator, Batch(x, x, labels))

    expected = gradient_norms(discriminator, x, LABELS).square().mean()
    torch.testing.assert_close(penalty(LABELS), expected)
    assert not torch.allclose(penalty(LABELS.flip(0)), expected)


# ---- options --------------------------------------------------------------------------------------------


def test_the_classifiers_weights_are_options() -> None:
    kind = "conditional=auxiliary_classifier"
    assert NETWORKS.build(f"resnet({kind})").class_weights == (1.0, 0.1)
    weighted = NETWORKS.build(f"resnet({kind}, class_weight_d=2, class_weight_g=0)")
    assert weighted.class_weights == (2, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resnet(conditional=project)", "conditional is 'project'; did you mean 'projection'?"),
        ("resnet(conditional=true)", "conditional is True; known: auxiliary_classifier, concatenation, proj"),
        (
            "resnet(conditional=auxiliary_classifier, class_weight_g=-1)",
            "class_weight_g wants a finite number of at least 0, got -1",
        ),
        (
            "resnet(conditional=projection, class_weight_d=2)",
            "class_weight_d and class_weight_g want conditional=auxiliary_classifier",
        ),
        ("resnet(class_weight_g=1)", "class_weight_d and class_weight_g want conditional=auxiliary_class"),
        ("mlp(conditional=projection)", "conditional wants true or false, got 'projection'"),
        ("standard_cnn(conditional=projection)", "has no option 'conditional'"),
    ],
)
def test_a_bad_option_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        NETWORKS.build(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
