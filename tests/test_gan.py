"""The training step against the algorithm written out in plain torch."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer
from torch import nn

from snlab import GAN
from snlab.core.errors import UserError
from snlab.core.random_streams import stream_seed
from snlab.data import DATASETS, DataSet
from snlab.data.module import DataModule
from snlab.gan import Adam
from snlab.losses import LOSSES, Loss
from snlab.networks import NETWORKS
from snlab.nn.layers import raw_weight, weight_layers
from snlab.normalizers import normalizer
from snlab.training.build import build_gan
from tests.trainers import quiet

STEPS = 3


def train(gan: GAN, steps: int, dataset: str = "digits") -> Trainer:
    trainer = quiet(steps)
    data = DataModule(DATASETS.build(dataset))
    trainer.fit(gan, data)
    return trainer


# ---- the algorithm by hand ------------------------------------------------------------------------------


class ByHand:
    """A discriminator of two dense layers with LeakyReLU(0.1) between, its normalization written out."""

    def __init__(self, parameters: list[torch.Tensor], kind: str, us: list[torch.Tensor]) -> None:
        self.parameters = [p.clone().requires_grad_() for p in parameters]  # weight, bias, weight, bias
        self.kind = kind
        self.us = us
        self.vs = [torch.zeros(p.shape[1], dtype=torch.float64) for p in parameters[::2]]

    def power_iteration(self) -> None:
        """Algorithm 1, steps 1: v = Wᵀu / ‖Wᵀu‖, u = Wv / ‖Wv‖."""
        for i, weight in enumerate(self.parameters[::2]):
            with torch.no_grad():
                v = weight.T @ self.us[i]
                self.vs[i] = v / (v @ v).sqrt()
                u = weight @ self.vs[i]
                self.us[i] = u / (u @ u).sqrt()

    def weights(self) -> list[torch.Tensor]:
        raw = self.parameters[::2]
        if self.kind == "spectral":  # steps 2: W / (uᵀ W v)
            return [w / (u @ (w @ v)) for w, u, v in zip(raw, self.us, self.vs, strict=True)]
        if self.kind == "weight":
            return [w / w.square().sum(1, keepdim=True).sqrt() for w in raw]
        return raw

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        first, last = self.weights()
        h = F.leaky_relu(x @ first.T + self.parameters[1], 0.1)
        return (h @ last.T + self.parameters[3]).squeeze(1)


def train_by_hand(generator: nn.Module, f: ByHand, n_dis: int, batch: int, penalty_weight: float) -> None:
    """STEPS generator updates on a ring, standard loss, the random numbers of seed 0's streams."""
    data = DATASETS.build("mixture(kind=ring)").train.double()
    streams = {
        name: torch.Generator().manual_seed(stream_seed(0, name)) for name in ("data", "latents", "penalty")
    }
    f_adam = torch.optim.Adam(f.parameters, lr=1e-3, betas=(0.5, 0.9))
    g_adam = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))

    def generated() -> torch.Tensor:
        return generator(torch.randn(batch, 2, generator=streams["latents"]).double())

    for _ in range(STEPS):
        for _ in range(n_dis):
            real = data[torch.randint(len(data), (batch,), generator=streams["data"])]
            fake = generated().detach()
            if f.kind == "spectral":
                f.power_iteration()
            loss = F.softplus(-f(real)).mean() + F.softplus(f(fake)).mean()
            if penalty_weight:
                epsilon = torch.rand(batch, generator=streams["penalty"], dtype=torch.float64)[:, None]
                between = (epsilon * real + (1 - epsilon) * fake).requires_grad_()
                (gradient,) = torch.autograd.grad(f(between).sum(), between, create_graph=True)
                loss = loss + penalty_weight * ((gradient.norm(dim=1) - 1) ** 2).mean()
            f_adam.zero_grad()
            loss.backward()
            f_adam.step()
        g_adam.zero_grad()
        F.softplus(-f(generated())).mean().backward()
        g_adam.step()


@pytest.mark.parametrize("n_dis", [1, 3])
@pytest.mark.parametrize(
    ("name", "kind", "penalty_weight"),
    [
        ("none", "none", 0.0),
        ("weight_norm", "weight", 0.0),
        ("spectral_norm", "spectral", 0.0),
        ("gradient_penalty", "none", 10.0),
        ("spectral_norm+gradient_penalty(weight=2)", "spectral", 2.0),
    ],
)
def test_the_step_is_the_algorithm(name, kind, penalty_weight, n_dis, monkeypatch):
    torch.manual_seed(0)
    architecture = NETWORKS.build("mlp(width=16, depth=1)")
    generator = architecture.generator((2,)).double()
    discriminator = architecture.discriminator((2,)).double()
    start = [p.detach().clone() for p in discriminator.parameters()]
    own_generator = copy.deepcopy(generator)
    gan = GAN(
        generator,
        discriminator,
        normalizer(name),
        LOSSES.build("standard"),
        latent_dim=2,
        n_dis=n_dis,
        batch_size=8,
        adam=Adam(lr=1e-3, beta1=0.5, beta2=0.9),
    )
    layers = list(weight_layers(gan.discriminator).values())
    us = [layer.parametrizations.weight[0].u.clone() for layer in layers] if kind == "spectral" else []
    f = ByHand(start, kind, us)
    # The module draws float32, as in training; here both sides go on with the same numbers in float64.
    sample, latents = DataSet.sample, GAN.latents
    monkeypatch.setattr(DataSet, "sample", lambda *args: (sample(*args)[0].double(), None))
    monkeypatch.setattr(GAN, "latents", lambda *args: latents(*args).double())
    train(gan, STEPS, "mixture(kind=ring)")
    train_by_hand(own_generator, f, n_dis, 8, penalty_weight)
    ours = [p for layer in layers for p in (raw_weight(layer), layer.bias)]
    for got, wanted in zip(ours, f.parameters, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)
    for got, wanted in zip(gan.generator.parameters(), own_generator.parameters(), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)


# ---- what is counted, what is scheduled, what is averaged -----------------------------------------------


@pytest.mark.parametrize("n_dis", [1, 4])
def test_global_step_counts_generator_updates(n_dis):
    gan = build_gan([2], network="mlp(width=8)", n_dis=n_dis, batch_size=4)
    trainer = train(gan, 7, "mixture(kind=ring)")
    assert trainer.global_step == 7
    generator_optimizer, discriminator_optimizer = trainer.optimizers
    assert {state["step"].item() for state in generator_optimizer.state.values()} == {7}
    assert {state["step"].item() for state in discriminator_optimizer.state.values()} == {7 * n_dis}


def test_linear_decay_reaches_zero_at_the_end():
    rates = []

    class Watch(GAN):
        def on_train_batch_end(self, *_: object) -> None:
            rates.append([o.param_groups[0]["lr"] for o in self.trainer.optimizers])

    architecture = NETWORKS.build("mlp(width=8)")
    gan = Watch(
        architecture.generator((2,)),
        architecture.discriminator((2,)),
        normalizer("none"),
        LOSSES.build("hinge"),
        2,
        batch_size=4,
        adam=Adam(lr=1.0),
        generator_adam=Adam(lr=0.5),
        decay_from=4,
    )
    train(gan, 8, "mixture(kind=ring)")
    factors = [1, 1, 1, 1, 0.75, 0.5, 0.25, 0]
    assert rates == [[pytest.approx(0.5 * f), pytest.approx(1.0 * f)] for f in factors]


def test_the_moving_average_is_one():
    gan = build_gan([2], network="mlp(width=8)", batch_size=4, ema_decay=0.5)
    seen = []
    expected = copy.deepcopy(gan.ema.module.state_dict())
    original = gan.ema.update
    gan.ema.update = lambda g: (seen.append(copy.deepcopy(g.state_dict())), original(g))[1]
    train(gan, 4, "mixture(kind=ring)")
    for key, value in gan.ema.module.state_dict().items():
        for state in seen:
            expected[key] = 0.5 * expected[key] + 0.5 * state[key]
        torch.testing.assert_close(value, expected[key])
    z = torch.randn(3, 2)
    torch.testing.assert_close(gan.generate(z), gan.ema.module(z))


def test_the_discriminators_update_leaves_no_gradient_in_the_generator(monkeypatch):
    gan = build_gan([2], network="mlp(width=8)", batch_size=4, n_dis=2)
    backwards = []
    original = GAN.manual_backward

    def watched(self, loss):
        original(self, loss)
        backwards.append(
            (
                [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in self.generator.parameters()],
                [p.requires_grad for p in self.discriminator.parameters()],
            )
        )

    monkeypatch.setattr(GAN, "manual_backward", watched)
    train(gan, 1, "mixture(kind=ring)")
    assert not any(backwards[0][0])
    assert not any(backwards[1][0])
    assert any(backwards[2][0])
    assert not any(backwards[2][1])  # the generator's update computes none for the discriminator
    assert all(p.requires_grad for p in gan.discriminator.parameters())


def test_mean_losses_are_means_since_the_last_call():
    seen = {"discriminator": [], "generator": []}

    def watched(side):
        function = getattr(LOSSES.build("standard"), side)

        def loss(*logits):
            value = function(*logits)
            seen[side].append(value.item())
            return value

        return loss

    gan = build_gan([2], network="mlp(width=8)", batch_size=4, n_dis=2, normalizer="gradient_penalty")
    gan.loss = Loss(watched("discriminator"), watched("generator"))
    train(gan, 5, "mixture(kind=ring)")
    losses = gan.mean_losses()
    assert losses["loss/discriminator"] == pytest.approx(sum(seen["discriminator"]) / 10)
    assert losses["loss/generator"] == pytest.approx(sum(seen["generator"]) / 5)
    assert losses["loss/penalty"] > 0
    assert gan.mean_losses() == dict.fromkeys(losses, 0.0)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"n_dis": 0}, "n_dis is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"generator_batch_size": 0}, "generator_batch_size is 0"),
        ({"decay_from": -1}, "decay_from is -1"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0"),
    ],
)
def test_refuses_what_means_nothing(options, what):
    with pytest.raises(UserError, match=what):
        build_gan([2], network="mlp", **options)


@pytest.mark.parametrize("options", [{"lr": 0.0}, {"beta1": 1.0}, {"beta2": -0.1}])
def test_adam_refuses_what_means_nothing(options):
    with pytest.raises(UserError, match=next(iter(options))):
        Adam(**options)


def test_losses_of_several_processes_go_on_in_one():
    """A run saved by two processes and gone on with by one has the means of what both had summed."""
    gan = build_gan([1, 16, 16], network="standard_cnn(width=0.125)")
    gan.on_load_checkpoint({"loss_totals": torch.tensor([[1.0, 0.0, 4.0, 2.0], [3.0, 2.0, 0.0, 2.0]])})
    assert gan.mean_losses() == {"loss/discriminator": 1.0, "loss/penalty": 0.5, "loss/generator": 1.0}
    saved: dict = {}
    gan.on_save_checkpoint(saved)
    assert torch.equal(saved["loss_totals"], torch.zeros(1, 4))


def test_batches_are_shared_evenly():
    gan = build_gan([1, 16, 16], network="standard_cnn(width=0.125)", batch_size=6, generator_batch_size=4)
    gan.check_sharding(2)
    with pytest.raises(UserError, match="generator_batch_size is 4; 3 devices want a multiple of 3"):
        gan.check_sharding(3)
