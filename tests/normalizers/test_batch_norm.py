from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from snlab.data import DATASETS
from snlab.data.module import DataModule
from snlab.nn.evaluation import evaluating
from snlab.normalizers import normalizer
from snlab.training.build import build_gan
from tests.trainers import quiet


def convolutions(text: str = "batch_norm") -> nn.Module:
    torch.manual_seed(0)
    return normalizer(text).attach(
        nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 9, 1), nn.Flatten(0)
        )
    )


def samples(seed: int, mean: float, n: int = 16) -> Tensor:
    return torch.randn(n, 2, 5, 5, generator=torch.Generator().manual_seed(seed)) + mean


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel over the batch and the image."""
    variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
    return mean, variance


@pytest.mark.parametrize("seed_and_mean", [(1, 0.0), (2, 5.0)])
def test_real_and_fake_are_each_scaled_by_their_own_batch(seed_and_mean):
    module = convolutions()
    seen = []
    module[1].batch_norm.register_forward_hook(lambda _, args, out: seen.append(out.detach().clone()))
    module(samples(3, -4.0))
    module(samples(*seed_and_mean))
    for scaled in seen:
        mean, variance = moments(scaled)
        torch.testing.assert_close(mean, torch.zeros(4), rtol=0, atol=1e-5)
        torch.testing.assert_close(variance, torch.ones(4), rtol=0, atol=1e-3)


def test_it_is_torchs_own_in_output_running_averages_and_evaluation():
    module = convolutions()
    reference = nn.Sequential(
        module[0], nn.BatchNorm2d(4), nn.ReLU(), module[2], module[3], module[4]
    )  # its gain stays 1
    for seed, mean in ((1, 0.0), (2, 3.0), (3, -1.0)):
        torch.testing.assert_close(module(samples(seed, mean)), reference(samples(seed, mean)))
    inserted = module[1].batch_norm
    for name, value in reference[1].named_buffers():
        torch.testing.assert_close(inserted.get_buffer(name), value)
    state = copy.deepcopy(module.state_dict())
    with evaluating(module, reference):
        torch.testing.assert_close(module(samples(4, 1.0)), reference(samples(4, 1.0)))
        alone = module(samples(4, 1.0)[:1])  # by the running averages, so that one sample is enough
        torch.testing.assert_close(alone, module(samples(4, 1.0))[:1])
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Linear(3, 4), (16, 3)), (nn.Conv3d(1, 4, 2), (8, 1, 3, 3, 3))]
)
def test_vectors_and_volumes(layer, shape):
    torch.manual_seed(0)
    module = normalizer("batch_norm").attach(nn.Sequential(layer, nn.Hardtanh(-1e9, 1e9)))
    y = module(3 * torch.randn(shape) + 2).transpose(0, 1).flatten(1)
    variance, mean = torch.var_mean(y, 1, correction=0)
    torch.testing.assert_close(mean, torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(variance, torch.ones(4), rtol=0, atol=1e-2)


def test_a_run_passes_real_and_fake_apart():
    """One generator update: n_dis times real and fake, then the generator's batch, each by its own."""
    gan = build_gan(
        [2],
        normalizer="batch_norm",
        network="mlp(width=5)",
        n_dis=2,
        batch_size=6,
        generator_batch_size=10,
    )
    seen: list[Tensor] = []
    gan.discriminator.activation1.batch_norm.register_forward_hook(
        lambda layer, args, out: seen.append(out.detach().clone())
    )
    trainer = quiet(1)
    trainer.fit(gan, DataModule(DATASETS.build("mixture(kind=ring)")))
    assert [len(scaled) for scaled in seen] == [6, 6, 6, 6, 10]
    assert all(scaled.mean(0).abs().max() < 0.05 for scaled in seen)  # the bias has hardly moved from 0
    assert gan.discriminator.activation1.batch_norm.num_batches_tracked == 5
