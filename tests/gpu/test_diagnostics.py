"""What is measured on a GPU is what is measured on a CPU."""

from __future__ import annotations

import copy

import pytest
import torch

from snlab.callbacks.probe import Probe
from snlab.data import DATASETS
from snlab.diagnostics.lipschitz import lipschitz
from snlab.diagnostics.ratio import ratio
from snlab.diagnostics.sigma import sigma, spectrum
from snlab.metrics.embedded import embedded_extractor
from snlab.training.build import build_gan

pytestmark = pytest.mark.gpu

CUDA = torch.device("cuda")


@pytest.mark.parametrize("normalizer", ["none", "spectral_norm", "weight_norm"])
def test_a_discriminators_numbers(normalizer):
    """In float64: in float32, a GPU's convolutions round their inputs to 10 bits (TF32) by default."""
    dataset = DATASETS.build("digits")
    gan = build_gan([1, 16, 16], normalizer=normalizer, network="standard_cnn(width=0.25)")
    probe = Probe.draw(dataset, gan.latent_dim, 64, 0)
    measured = []
    for device in (torch.device("cpu"), CUDA):
        here = copy.deepcopy(gan.discriminator).double().to(device)
        train, heldout = probe.train.double().to(device), probe.heldout.double().to(device)
        sigmas = sigma(here, heldout)
        fake, epsilon = heldout.flip(0), probe.epsilon.double().to(device)
        with torch.no_grad():
            logits = [here.eval()(x) for x in (train, heldout, fake)]
        measured.append(
            {**sigmas, **spectrum(here), **lipschitz(here, heldout, fake, epsilon, sigmas), **ratio(*logits)}
        )
    assert measured[0].keys() == measured[1].keys()
    for name, value in measured[0].items():
        assert measured[1][name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_the_norm_of_a_convolution_is_measured_in_full_float32():
    gan = build_gan([1, 16, 16], network="standard_cnn(width=0.25)")
    sample = torch.zeros(1, 1, 16, 16)
    wanted = sigma(copy.deepcopy(gan.discriminator).double(), sample.double())
    got = sigma(gan.discriminator.to(CUDA), sample.to(CUDA))
    for name, value in wanted.items():
        assert got[name] == pytest.approx(value, rel=1e-5), name


def test_the_features_of_images():
    """To the 10 bits that a GPU's convolutions keep of their inputs."""
    data = DATASETS.build("digits")
    extractor = embedded_extractor(
        "digits", data.train, data.train_labels, data.classes, data.heldout, data.heldout_labels
    )
    wanted, got = (extractor.features(data.heldout[:64].to(device)).features for device in ("cpu", CUDA))
    assert got.device.type == "cuda"
    assert (got.cpu() - wanted).norm() < 2e-3 * wanted.norm()
