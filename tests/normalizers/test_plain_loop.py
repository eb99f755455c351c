"""snlab in code that knows nothing of it: one line, and diagnostics that say what the harness says."""

from __future__ import annotations

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from snlab import SpectralNorm
from snlab.callbacks.probe import Probe
from snlab.callbacks.ratio import Ratio
from snlab.callbacks.sigma import Sigma
from snlab.diagnostics.ratio import ratio
from snlab.diagnostics.sigma import sigma, spectrum


class Theirs(nn.Module):
    """Somebody's discriminator."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 4, 2, 1), nn.ReLU()
        )
        self.head = nn.Linear(8 * 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))[:, 0]


def test_one_line_in_a_plain_loop():
    torch.manual_seed(0)
    discriminator = Theirs()
    SpectralNorm().attach(discriminator)  # the one line
    generator = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8)))
    d_adam = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.9))
    g_adam = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.9))
    for _ in range(200):
        real, fake = torch.rand(16, 1, 8, 8), generator(torch.randn(16, 4))
        d_loss = nn.functional.softplus(-discriminator(real)).mean()
        d_loss = d_loss + nn.functional.softplus(discriminator(fake.detach())).mean()
        d_adam.zero_grad()
        d_loss.backward()
        d_adam.step()
        g_loss = nn.functional.softplus(-discriminator(fake)).mean()
        g_adam.zero_grad()
        g_loss.backward()
        g_adam.step()

    discriminator.eval()  # where u and v stand still
    values = sigma(discriminator, torch.rand(1, 1, 8, 8))
    for layer, module in (
        ("body.0", discriminator.body[0]),
        ("body.2", discriminator.body[2]),
        ("head", discriminator.head),
    ):
        exact = torch.linalg.svdvals(module.weight.detach().flatten(1).double())
        assert values[f"sigma/exact/{layer}"] == pytest.approx(exact[0].item(), rel=1e-6)
        assert 0.999 <= values[f"sigma/exact/{layer}"] <= 1.1
        raw = torch.linalg.svdvals(module.parametrizations.weight.original.detach().flatten(1).double())
        assert values[f"sigma/raw/{layer}"] == pytest.approx(raw[0].item(), rel=1e-6)
        assert values[f"sigma/exact/{layer}"] == pytest.approx(
            values[f"sigma/raw/{layer}"] / values[f"sigma/power_iteration/{layer}"], rel=1e-5
        )
        scaled = spectrum(discriminator)[f"spectrum/{layer}"]
        assert scaled == pytest.approx((exact / exact[0]).square().tolist(), rel=1e-5, abs=1e-9)


def test_the_harness_gives_the_numbers_of_the_plain_functions(fit):
    """What a run logged last is what the functions say of its discriminator, loaded into plain torch."""
    from snlab.data import DATASETS
    from snlab.data.scaling import scale
    from snlab.networks import NETWORKS

    run = fit("--generator_steps", "4", "--measure.every", "4", "--measure.fidelity", "none")
    state = torch.load(run.folder / "checkpoints/step-00000004.ckpt", weights_only=True)["state_dict"]

    network = NETWORKS.build("standard_cnn(width=0.125)")
    discriminator, generator = network.discriminator((1, 16, 16)), network.generator((1, 16, 16))
    SpectralNorm().attach(discriminator)
    for module, name in ((discriminator, "discriminator."), (generator, "generator.")):
        module.load_state_dict({k.removeprefix(name): v for k, v in state.items() if k.startswith(name)})
        module.eval()
    data = DATASETS.build("digits")
    probe = Probe.draw(data, network.latent_dim, size=32, seed=0)
    known = {tuple(row) for row in scale(data.heldout).flatten(1).tolist()}
    assert all(tuple(row) in known for row in probe.heldout.flatten(1).tolist())
    with torch.no_grad():
        logits = [discriminator(x) for x in (probe.train, probe.heldout, generator(probe.latents))]
    expected = {**ratio(*logits), **sigma(discriminator, probe.heldout)}
    assert len(expected) > 40
    for name, value in expected.items():
        assert run.last(name) == pytest.approx(value, rel=1e-4, abs=1e-6), name


class Foreign(LightningModule):
    """Somebody's LightningModule: automatic optimisation, an ordinary loader, a discriminator."""

    def __init__(self) -> None:
        super().__init__()
        self.discriminator = SpectralNorm().attach(Theirs())
        self.generator = nn.Sequential(nn.Linear(4, 64), nn.Unflatten(1, (1, 8, 8)))

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        fake = self.generator(torch.randn(len(batch[0]), 4))
        return nn.functional.softplus(self.discriminator(fake) - self.discriminator(batch[0])).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def test_callbacks_on_a_foreign_module():
    seen: dict[str, float] = {}

    from pytorch_lightning.loggers import Logger

    class Keep(Logger):
        name, version = "keep", "0"

        def log_metrics(self, metrics, step=None):
            seen.update(metrics)

        def log_hyperparams(self, params):
            pass

    images = torch.rand(32, 1, 8, 8)
    probe = Probe(images[:8], images[8:16], torch.randn(8, 4), torch.rand(8))
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=Keep(),
        callbacks=[Sigma(probe, every=2), Ratio(probe, every=2)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = Foreign()
    trainer.fit(module, DataLoader(TensorDataset(images), batch_size=8))
    exact = torch.linalg.svdvals(module.discriminator.eval().head.weight.detach())[0].item()
    assert seen["sigma/exact/head"] == pytest.approx(exact, rel=1e-5)
    assert "ratio/drift" in seen
    assert "lipschitz/product" in seen
    assert not any(isinstance(value, list) for value in seen.values())
