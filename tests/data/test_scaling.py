"""From bytes to what networks see: the two scalings, and the noise that makes a density of grey levels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from snlab.callbacks.probe import Probe
from snlab.core.errors import UserError
from snlab.data import DataSet, scale, to_uint8
from snlab.data.scaling import dequantise
from snlab.tracking.identity import identity
from snlab.training.build import build_data, canonical

EVERY = torch.arange(256, dtype=torch.uint8)
N = 100_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grey(value: int, **options: object) -> DataSet:
    images = torch.full((8, 1, 4, 4), value, dtype=torch.uint8)
    return replace(DataSet("grey", images, images), **options)  # type: ignore[arg-type]


def test_the_released_scaling_is_that_of_the_paper_s_code():
    assert scale(EVERY, "released").tolist() == [x / 128 - 1 for x in range(256)]
    assert scale(EVERY, "symmetric").double().sub(torch.arange(256).double() / 127.5 - 1).abs().max() < 1e-7


@pytest.mark.parametrize("scaling", ["symmetric", "released"])
def test_generated_images_are_made_bytes_alike_whatever_the_scaling(scaling):
    """The generator's tanh spans [-1, 1]; of released-scaled bytes none is further off than one level."""
    back = to_uint8(scale(EVERY, scaling))
    assert (back.int() - EVERY.int()).abs().max() <= (0 if scaling == "symmetric" else 1)


@pytest.mark.parametrize(
    ("scaling", "low", "high"),
    [("symmetric", 99.5 / 127.5 - 1, 100.5 / 127.5 - 1), ("released", 100 / 128 - 1, 101 / 128 - 1)],
)
def test_noise_is_uniform_over_one_grey_level(scaling, low, high):
    x = scale(torch.full((N,), 100, dtype=torch.uint8), scaling)
    unit = (dequantise(x, scaling, generator()).double() - low) / (high - low)
    assert -1e-4 < unit.min() < 1e-3
    assert 1 - 1e-3 < unit.max() < 1 + 1e-4
    gap = (unit.sort().values - (torch.arange(N) + 0.5) / N).abs().max()
    assert gap < 1.95 / N**0.5  # Kolmogorov-Smirnov, at 1 in 1,000


def test_it_is_drawn_anew_for_each_pixel_and_each_time():
    data = grey(100, noise=True)
    stream = generator()
    first, second = (data.sample(8, stream)[0] for _ in range(2))
    assert len(torch.cat([first, second]).unique()) > 250  # of 256
    assert torch.equal(first, data.sample(8, generator())[0])


def test_without_noise_the_same_images_are_drawn():
    images = torch.arange(100, dtype=torch.uint8).reshape(100, 1, 1, 1)
    data = DataSet("levels", images, images[:1])
    noisy = replace(data, noise=True).sample(50, generator())[0]
    assert torch.equal(to_uint8(noisy), to_uint8(data.sample(50, generator())[0]))


def test_what_is_measured_is_without_noise():
    probe = Probe.draw(grey(100, noise=True, scaling="released"), latent_dim=2, size=8, seed=0)
    for points in (probe.train, probe.heldout):
        assert points.unique().tolist() == [100 / 128 - 1]


# ---- by option ------------------------------------------------------------------------------------------


def test_the_options_reach_the_data_and_loading_keeps_them():
    data = build_data("digits", scaling="released", noise=True).dataset
    for one in (data, data.loaded(), data.to("cpu")):
        assert (one.scaling, one.noise) == ("released", True)
    default = build_data("digits").dataset
    assert (default.scaling, default.noise) == ("symmetric", False)
    loading = replace(default, load=lambda: grey(1), scaling="released", noise=True)
    assert (loading.loaded().scaling, loading.loaded().noise) == ("released", True)


def test_a_data_set_s_own_stand_unless_others_are_asked_for():
    own = grey(3, scaling="released", noise=True)
    assert (build_data(own).dataset.scaling, build_data(own).dataset.noise) == ("released", True)
    asked = build_data(grey(3), scaling="released").dataset
    assert (asked.scaling, asked.noise) == ("released", False)


def test_vectors_have_neither():
    for options in ({"noise": True}, {"scaling": "released"}):
        with pytest.raises(UserError, match="mixture has none in bytes"):
            build_data("mixture", **options)


def test_at_their_defaults_they_are_no_part_of_a_run_s_identity():
    model = {"normalizer": "none", "loss": "hinge", "network": "mlp"}

    def of(**data: object) -> str:
        return identity(canonical({"trainer": {}, "model": model, "data": {"dataset": "digits", **data}}))

    older = of()
    assert of(scaling="symmetric", noise=False) == older
    assert len({older, of(scaling="released", noise=False), of(scaling="symmetric", noise=True)}) == 3
