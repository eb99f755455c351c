"""Labels on their way through what is measured: the probe's, the grid's, those of scored samples."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snlab.callbacks.fidelity import Fidelity, Modes, scored_images
from snlab.callbacks.probe import Probe, generate, generate_trained
from snlab.callbacks.ratio import Ratio
from snlab.callbacks.samples import Samples
from snlab.callbacks.sigma import Sigma
from snlab.core.random_streams import stream_seed
from snlab.data import DataSet, scale
from snlab.diagnostics.lipschitz import gradient_norms
from snlab.diagnostics.ratio import ratio
from snlab.gan import GAN
from snlab.training.build import build_data, build_gan
from snlab.training.measurements import MeasureOptions, measurements

MLP = "mlp(conditional=true, width=8)"


def dataset(n: int = 30, heldout: int = 12, classes: int = 3) -> DataSet:
    """Images that tell their labels: every pixel of class k is k."""
    labels = torch.arange(n) % classes
    images = labels.to(torch.uint8).view(-1, 1, 1, 1).repeat(1, 1, 8, 8)
    return DataSet("flat", images, images[:heldout], labels, labels[:heldout], classes=classes)


def gan_of(network: str, shape: list[int], classes: int) -> GAN:
    gan = build_gan(shape, network=network, classes=classes)
    for parameter in gan.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)  # as if trained: classes differ
    return gan


# ---- the probe ------------------------------------------------------------------------------------------


def test_an_unlabelled_probe_is_drawn_as_ever() -> None:
    """By hand: what earlier versions drew, in their order."""
    data = dataset()
    stream = torch.Generator().manual_seed(stream_seed(7, "probes"))
    expected = [
        scale(data.train[torch.randperm(30, generator=stream)[:12]]),
        scale(data.heldout[torch.randperm(12, generator=stream)[:12]]),
        torch.randn(12, 5, generator=stream),
        torch.rand(12, generator=stream),
    ]
    for labelled in (False, True):
        probe = Probe.draw(data, 5, 20, 7, labelled)
        for tensor, wanted in zip(
            (probe.train, probe.heldout, probe.latents, probe.epsilon), expected, strict=True
        ):
            assert torch.equal(tensor, wanted)
        assert (probe.train_labels is None) == (probe.heldout_labels is None) == (not labelled)


def test_a_probes_labels_are_its_samples() -> None:
    probe = Probe.draw(dataset(), 5, 10, 0, labelled=True).to(torch.device("cpu"))
    for samples, labels in ((probe.train, probe.train_labels), (probe.heldout, probe.heldout_labels)):
        assert labels is not None
        assert torch.equal(samples[:, 0, 0, 0], scale(labels.to(torch.uint8)))
        assert labels.unique().tolist() == [0, 1, 2]


def test_chunks_of_latents_keep_their_labels() -> None:
    gan = gan_of(MLP, [2], classes=3)
    z, labels = torch.randn(7, 2), torch.arange(7) % 3
    for make in (generate, generate_trained):
        torch.testing.assert_close(make(gan, z, labels, batch_size=3), gan.generator(z, labels))


# ---- what is measured of the discriminator --------------------------------------------------------------


@pytest.mark.parametrize("network", [MLP, "mlp(width=8)"])
def test_the_discriminator_is_measured_with_the_labels_that_it_is_given(network: str) -> None:
    data = build_data("mixture(kind=ring, size=200)").dataset
    torch.manual_seed(0)
    gan = gan_of(network, [2], classes=data.classes)
    probe = Probe.draw(data, 2, 40, 0, labelled=gan.classes > 0)
    measured = Ratio(probe).measure(None, gan)  # type: ignore[arg-type]
    f, labels = gan.discriminator.eval(), probe.heldout_labels
    with torch.no_grad():
        if labels is None:
            x = gan.generator(probe.latents)
            logits = f(probe.train), f(probe.heldout), f(x)
        else:
            x = gan.generator(probe.latents, labels)
            logits = f(probe.train, probe.train_labels), f(probe.heldout, labels), f(x, labels)
    of_ratio = {name: measured[name] for name in ratio(*logits)}
    assert of_ratio == pytest.approx(ratio(*logits), nan_ok=True)
    some = None if labels is None else labels[:64]
    weights = {"saturating": logits[2][:64].sigmoid(), "non_saturating": (-logits[2][:64]).sigmoid()}
    for kind, weight in weights.items():
        expected = (weight * gradient_norms(f, x[:64], some)).mean().item()
        assert measured[f"ratio/generator_gradient_{kind}"] == pytest.approx(expected, rel=1e-5)

    between = probe.epsilon[:, None] * probe.heldout + (1 - probe.epsilon[:, None]) * x
    norms = torch.cat([gradient_norms(f, points, labels) for points in (probe.heldout, x, between)])
    measured = Sigma(probe).measure(None, gan)  # type: ignore[arg-type]
    assert measured["lipschitz/gradient_mean"] == pytest.approx(norms.mean().item())
    assert measured["lipschitz/gradient_max"] == pytest.approx(norms.max().item())
    assert measured.keys() == Sigma(probe).logs(gan)


# ---- what is made of the generator ----------------------------------------------------------------------


class Told:
    """A logger that keeps what it is told."""

    def log_samples(self, *what: Any) -> None:
        self.samples, self.step, self.columns = what


class Painter(nn.Module):
    """A generator whose image is its latent, and its label."""

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        shade = z[:, 0] if labels is None else z[:, 0] + 10 * labels
        return shade.view(-1, 1, 1, 1).expand(-1, 1, 8, 8)


def shown(probe: Probe, classes: int) -> Told:
    logger = Told()
    module = SimpleNamespace(generator=Painter(), device=torch.device("cpu"))
    samples = Samples(probe, classes=classes)
    samples.steps = SimpleNamespace(now=3)  # type: ignore[assignment]
    samples.measure(SimpleNamespace(loggers=[logger]), module)  # type: ignore[arg-type]
    return logger


@pytest.mark.parametrize(("classes", "rows", "columns"), [(2, 8, 2), (10, 6, 10), (32, 4, 16)])
def test_a_grid_has_a_column_for_each_class_and_a_row_for_each_latent(
    classes: int, rows: int, columns: int
) -> None:
    probe = Probe.draw(dataset(300, 300, classes), 4, 100, 0, labelled=True)
    told = shown(probe, classes)
    assert (told.columns, told.step, len(told.samples)) == (columns, 3, rows * columns)
    shades = told.samples[:, 0, 0, 0].view(rows, columns)
    torch.testing.assert_close(shades, probe.latents[:rows, :1] + 10 * torch.arange(columns))


def test_a_grid_without_labels_is_of_one_latent_each() -> None:
    probe = Probe.draw(dataset(100, 100), 4, 100, 0)
    told = shown(probe, 0)
    assert told.columns is None
    assert torch.equal(told.samples[:, 0, 0, 0], probe.latents[:64, 0])


@pytest.mark.parametrize("network", ["resnet(conditional=projection, width=0.02)", "resnet(width=0.02)"])
def test_scored_images_have_the_training_datas_shares_of_labels(network: str) -> None:
    data = build_data("digits").dataset
    gan = build_gan([1, 16, 16], network=network, classes=data.classes)
    (fidelity,) = (m for m in measurements(MeasureOptions(), gan, data, 0) if isinstance(m, Fidelity))
    stream = torch.Generator().manual_seed(stream_seed(0, "fidelity"))
    latents = torch.randn(fidelity.protocol.n_generated, 128, generator=stream)
    assert torch.equal(fidelity.latents, latents)  # the same with labels and without
    if not gan.classes:
        assert fidelity.labels is None
        return
    assert fidelity.labels is not None
    assert data.train_labels is not None
    share = torch.bincount(fidelity.labels) / len(latents)
    torch.testing.assert_close(
        share, torch.bincount(data.train_labels) / len(data.train), atol=1.1 / len(latents), rtol=0
    )
    assert (fidelity.labels[:100].unique().tolist()) == list(range(10))  # mixed: any part has all
    images = scored_images(gan, fidelity.latents[:50], fidelity.labels[:50])
    assert images.shape == (50, 1, 16, 16)


def test_modes_are_counted_over_all_components() -> None:
    data = build_data("mixture(kind=ring, size=200)").dataset
    gan = build_gan([2], network=MLP, classes=data.classes)
    (modes,) = (m for m in measurements(MeasureOptions(), gan, data, 0) if isinstance(m, Modes))
    assert modes.labels is not None
    assert torch.bincount(modes.labels).sum() == 2500
    assert torch.bincount(modes.labels).min() > 200
    assert modes.measure(None, gan).keys() == modes.logs(gan)  # type: ignore[arg-type]
