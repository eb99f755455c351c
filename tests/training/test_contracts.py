"""What is the user's own is tried out before it trains, and trying out leaves no trace."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from snlab.core.errors import UserError
from snlab.data import DataSet
from snlab.losses import LOSSES, Loss
from snlab.networks import MLP, NETWORKS, Network
from snlab.normalizers import NORMALIZERS, Normalizer, normalizer
from snlab.training.contracts import check_dataset, check_loss, check_network, check_normalizer

VECTORS = torch.zeros(8, 2)
IMAGES = torch.zeros(8, 1, 16, 16)


def told(check, *arguments) -> str:
    with pytest.raises(UserError) as error:
        check(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- data sets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "heldout", "said"),
    [
        (VECTORS.double(), VECTORS.double(), "train is float64; float32 is wanted"),
        (IMAGES.double(), IMAGES.double(), "train is float64; uint8 or float32 is wanted"),
        (VECTORS.to(torch.uint8), VECTORS.to(torch.uint8), "train is uint8; float32 is wanted"),
        (IMAGES[:, 0], IMAGES[:, 0], "train has shape (8, 16, 16); images (N, C, H, W) or vectors (N, d)"),
        (VECTORS, VECTORS[:0], "heldout has no samples"),
        (VECTORS, VECTORS[:, :1], "train is float32 (8, 2) and heldout float32 (8, 1)"),
        (IMAGES, IMAGES.to(torch.uint8), "train is float32 (8, 1, 16, 16) and heldout uint8 (8, 1, 16, 16)"),
        (VECTORS, VECTORS.log() * 0, "heldout has values that are NaN"),
        (VECTORS.log(), VECTORS, "train has values that are infinite"),
        (IMAGES + 2, IMAGES, "train has values from 2 to 2; images are within [-1, 1]"),
        (np.zeros((8, 2)), VECTORS, "train is a ndarray; a tensor is wanted"),
    ],
)
def test_a_data_set_that_training_cannot_read_is_told(train, heldout, said):
    assert told(check_dataset, DataSet("mine", train, heldout), "data set mine").startswith(
        f"data set mine: {said}"
    )


def test_a_fault_in_one_sample_of_many_is_found():
    vectors = torch.zeros(10_001, 3)
    vectors[-1, 1] = float("nan")
    assert "train has values that are NaN" in told(
        check_dataset, DataSet("mine", vectors, VECTORS[:, [0, 0, 0]]), "x"
    )


@pytest.mark.parametrize("samples", [VECTORS + 7, IMAGES + 1, IMAGES - 1, (IMAGES + 255).to(torch.uint8)])
def test_a_good_data_set_passes(samples):
    check_dataset(DataSet("mine", samples, samples[:1]), "data set mine")


# ---- networks -------------------------------------------------------------------------------------------


class Own(Network):
    """Dense layers for vectors; each option breaks one promise."""

    def __init__(self, latent_dim=4, generator=None, discriminator=None, conditional=False) -> None:
        self.latent_dim, self.conditional = latent_dim, conditional
        self.modules = generator, discriminator

    def generator(self, sample_shape):
        return nn.Linear(4, *sample_shape) if self.modules[0] is None else self.modules[0]

    def discriminator(self, sample_shape):
        if self.modules[1] is not None:
            return self.modules[1]
        return nn.Sequential(nn.Linear(*sample_shape, 1), nn.Flatten(0))


class Doing(nn.Module):
    """A module that does what it is given."""

    def __init__(self, do) -> None:
        super().__init__()
        self.do = do

    def forward(self, *inputs):
        return self.do(*inputs)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (Own(latent_dim=4.0), "latent_dim is 4.0; a whole number of at least 1 is wanted"),
        (Own(latent_dim=True), "latent_dim is True; a whole number of at least 1 is wanted"),
        (Own(latent_dim=5), "its generator, on latents (4, 5), fails: RuntimeError: mat1 and mat2"),
        (Own(generator=lambda z: z), "generator returns a function; a torch.nn.Module is wanted"),
        (Own(generator=nn.Linear(4, 3)), "what its generator gives has shape (4, 3); (4, 2) is wanted"),
        (
            Own(generator=Doing(lambda z: z[:, :2].double())),
            "what its generator gives is float64; float32",
        ),
        (Own(generator=Doing(lambda z: z[:, :2].log())), "what its generator gives has values that are NaN"),
        (Own(discriminator=nn.Linear(2, 1)), "what its discriminator gives has shape (4, 1); (4,) is wanted"),
        (Own(discriminator=Doing(lambda x: (x, x))), "what its discriminator gives is a tuple; a tensor is"),
        (Own(discriminator=Doing(lambda x: x[:, 0] / 0)), "what its discriminator gives has values that are"),
        (
            Own(conditional=True),
            "its generator, on latents (4, 4), fails: TypeError: Linear.forward() takes 2 positional",
        ),
        (
            Own(
                conditional=True,
                generator=Doing(lambda z, y: z[:, :2]),
                discriminator=Doing(lambda x, y: (x[:, 0], x)),
            ),
            "the class logits of its discriminator has shape (4, 2); (4, 3) is wanted",
        ),
    ],
)
def test_a_network_that_breaks_its_contract_is_told(network, said):
    assert told(check_network, network, "network Own", (2,), 3).startswith(f"network Own: {said}")


def test_a_generator_of_images_stays_within_their_range():
    wide = Own(
        generator=Doing(lambda z: 3 * torch.ones(len(z), 1, 2, 2)),
        discriminator=Doing(lambda x: x.sum((1, 2, 3))),
    )
    said = told(check_network, wide, "network Own", (1, 2, 2))
    assert said == "network Own: what its generator gives has values from 3 to 3; images are within [-1, 1]"


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mlp(width=8)", (2,)),
        ("mlp(width=8, conditional=true)", (2,)),
        ("flow(width=8, couplings=2)", (2,)),
        ("standard_cnn(width=0.125)", (1, 16, 16)),
        ("resnet(width=0.0625, width_d=0.0625, conditional=auxiliary_classifier)", (3, 32, 32)),
    ],
)
def test_networks_of_ours_pass(name, shape):
    network = NETWORKS.build(name)
    network.classes = 3
    check_network(network, f"network {name}", shape, 3)


# ---- losses ---------------------------------------------------------------------------------------------


def real_side(real, fake):
    return fake.mean() - real.mean()


def fake_side(fake, real):
    return -fake.mean()


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (
            Loss(lambda r, f: r - f, fake_side),
            "discriminator(real_logits, fake_logits) has shape (4,); ()",
        ),
        (
            Loss(real_side, lambda f, r: float(-f.mean())),
            "generator(fake_logits, real_logits) is a float; a",
        ),
        (
            Loss(real_side, lambda f, r: f.mean().double()),
            "generator(fake_logits, real_logits) is float64; ",
        ),
        (
            Loss(real_side, lambda f, r: (f * 0).log().mean()),
            "generator(fake_logits, real_logits) has values",
        ),
        (Loss(real_side, lambda f: f.mean()), "generator(fake_logits, real_logits) fails: TypeError: "),
        (
            Loss(real_side, lambda f, r: (f - r).mean()),
            "generator(fake_logits, real_logits) fails: TypeError: ",
        ),
        (
            Loss(real_side, lambda f, r: f.detach().mean()),
            "generator(fake_logits, real_logits) has no gradient",
        ),
        (Loss(lambda r, f: r.mean(), fake_side), "discriminator(real_logits, fake_logits) has no gradient"),
        (
            Loss(real_side, lambda f, r: (f - f.detach()).square().sum().sqrt()),
            "the gradient of generator(fake_logits, real_logits) has values that are NaN",
        ),
    ],
)
def test_a_loss_that_breaks_its_contract_is_told(loss, said):
    assert told(check_loss, loss, "loss mine").startswith(f"loss mine: {said}")


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_of_ours_passes(name):
    check_loss(LOSSES.build(name), name)


# ---- normalizers ----------------------------------------------------------------------------------------


class NoModule(Normalizer):
    def attach(self, discriminator):
        discriminator.attached = True


class Penalizes(Normalizer):
    def __init__(self, penalty) -> None:
        self.its = penalty

    def penalty(self, discriminator, batch):
        return self.its(discriminator, batch)


class Fails(Normalizer):
    def after_update(self, discriminator):
        raise KeyError("no such\nlayer")


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (NoModule(), "attach returns a NoneType; a torch.nn.Module is wanted"),
        (Penalizes(lambda d, b: 0.0), "penalty is a float; a tensor is wanted"),
        (Penalizes(lambda d, b: b.real_logits), "penalty has shape (4,); () is wanted"),
        (Penalizes(lambda d, b: d(b.real).mean() / 0), "penalty has values that are infinite"),
        (Penalizes(lambda d, b: d.missing), "penalty fails: AttributeError: 'Sequential' object has no"),
        (Fails(), "after_update fails: KeyError: 'no such\\nlayer'"),
    ],
)
def test_a_normalizer_that_breaks_its_contract_is_told(own, said):
    parts = [(normalizer("spectral_norm"), None), (own, "normalizer Own")]
    assert told(check_normalizer, parts, Own(), (2,)).startswith(f"normalizer Own: {said}")


@pytest.mark.parametrize("name", NORMALIZERS.names())
def test_every_normalizer_of_ours_passes(name):
    check_normalizer([(normalizer(name), name)], MLP(width=8, depth=1), (2,))


# ---- without a trace ------------------------------------------------------------------------------------


class Counts(Penalizes):
    """Keeps a state, and draws from every stream that there is."""

    def __init__(self) -> None:
        super().__init__(lambda d, b: d(b.real).square().mean() * torch.rand(()))
        self.updates = 0

    def before_update(self, discriminator):
        self.updates += 1 + 0 * random.randrange(3) + 0 * np.random.randint(3)  # noqa: NPY002


def test_trying_out_draws_no_number_of_the_runs_and_changes_no_state():
    torch.manual_seed(3)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    generator = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2), nn.Dropout())
    kept = {key: value.clone() for key, value in generator.state_dict().items()}
    own, network = Counts(), Own(generator=generator)
    torch.manual_seed(3)
    check_network(network, "network Own", (2,))
    check_loss(LOSSES.build("hinge"), "loss hinge")
    check_normalizer([(own, "normalizer Counts")], network, (2,))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2])  # noqa: NPY002
    assert own.updates == 0
    assert generator.training
    assert all(torch.equal(value, kept[key]) for key, value in generator.state_dict().items())
