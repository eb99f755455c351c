"""Data drawn from distributions of known density."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from snlab.core.errors import UserError
from snlab.data import DATASETS, DataSet, Modal

NAMES = [
    *("gaussian(dim=3, std=0.5)", "line(dim=4)", "sphere(dim=2, intrinsic=1)", "swiss_roll(dim=3)"),
    *("digits_mixture", "digits_mixture(images=true)"),
]


@pytest.fixture(scope="module", params=NAMES)
def data(request: pytest.FixtureRequest) -> DataSet:
    return DATASETS.build(request.param)


def with_options(name: str, options: str) -> DataSet:
    bare, _, given = name.rstrip(")").partition("(")
    return DATASETS.build(f"{bare}({', '.join(filter(None, (given, options)))})")


def test_it_has_as_many_samples_as_is_said(data: DataSet) -> None:
    assert (len(data.train), len(data.heldout)) == (20_000, 5_000)
    assert data.train.dtype == data.heldout.dtype == torch.float32
    assert data.train.isfinite().all()


def test_training_and_heldout_samples_have_the_same_density(data: DataSet) -> None:
    log_probs = [data.density.log_prob(x[:4000].double()).numpy() for x in (data.train, data.heldout)]
    assert stats.ks_2samp(*log_probs).pvalue > 1e-4
    assert not torch.isin(data.heldout.flatten(1)[:, 0], data.train.flatten(1)[:, 0]).all()


@pytest.mark.parametrize("name", [*NAMES, "mixture(heldout=5000)"])
def test_the_number_of_the_ones_changes_nothing_in_the_others(name: str) -> None:
    size, heldout = ("size=70", "heldout=30") if "heldout" not in name else ("size=70", "")
    few, same = with_options(name, size), with_options(name, "")
    assert len(few.train) == 70
    assert torch.equal(few.heldout, same.heldout)
    if heldout:
        few = with_options(name, heldout)
        assert torch.equal(few.train, same.train)
        assert len(few.heldout) == 30
    other = with_options(name, "seed=1")
    assert not torch.equal(other.train[:10], same.train[:10])
    assert not torch.equal(other.heldout[:10], same.heldout[:10])


def test_a_mixture_s_own_heldout_samples_leave_its_others_alone() -> None:
    usual, own = DATASETS.build("mixture(size=400)"), DATASETS.build("mixture(size=400, heldout=100)")
    assert torch.equal(usual.train, own.train)
    assert not torch.equal(usual.heldout, own.heldout)
    was = "mixture(dim=2, kind=ring, modes=none, scale=none, seed=0, size=20000, std=none)"
    assert DATASETS.canonical("mixture") == was  # so older runs are called


def test_noise_is_all_that_leaves_the_manifold() -> None:
    epsilon, n = 0.01, 20_000
    line = DATASETS.build(f"line(dim=8, epsilon={epsilon})").train
    assert line[:, 1:].double().std().item() == pytest.approx(epsilon, rel=5 / math.sqrt(2 * 7 * n))
    assert abs(line[:, 0].double().var().item() - (1 / 3 + epsilon**2)) < 0.01  # uniform on [-1, 1]
    sphere = DATASETS.build(f"sphere(dim=8, epsilon={epsilon})").train.double()
    off = sphere[:, :3].norm(dim=1) - 1
    assert off.std().item() == pytest.approx(epsilon, rel=0.03)
    assert (sphere[:, :3].mean(0).abs() < 5 / math.sqrt(3 * n)).all()
    roll = DATASETS.build("swiss_roll(epsilon=0.001)").train.double()
    norm = roll[:, :2].norm(dim=1)
    angle = torch.atan2(roll[:, 1], roll[:, 0])
    turns = norm * 2.25 - angle / (2 * math.pi)  # of an Archimedean spiral a whole number
    assert (turns - turns.round()).abs().max() < 0.02


def test_digits_look_like_digits() -> None:
    """A classifier of real digits tells what the drawn ones are; here the nearest of the real means."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    means = torch.stack([torch.from_numpy(images[labels == digit]).mean(0) / 8 - 1 for digit in range(10)])
    data = DATASETS.build("digits_mixture(images=true)")
    assert data.sample_shape == (1, 8, 8)
    nearest = torch.cdist(data.heldout.flatten(1).double(), means).argmin(1)
    right = (nearest == data.heldout_labels).double().mean().item()
    real = torch.cdist(torch.from_numpy(images) / 8 - 1, means).argmin(1)
    as_real = (real == torch.from_numpy(labels)).double().mean().item()
    assert as_real > 0.85
    assert abs(right - as_real) < 0.05
    shares = torch.bincount(data.train_labels) / len(data.train)
    assert (shares - 0.1).abs().max() < 0.02


def test_only_round_modes_have_centres() -> None:
    assert isinstance(DATASETS.build("gaussian").density, Modal)
    assert isinstance(DATASETS.build("mixture").density, Modal)
    assert not isinstance(DATASETS.build("line").density, Modal)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("line(dim=0)", "dim wants a whole number from 1 to 512, got 0"),
        ("line(dim=1)", "dim wants a whole number of at least 2, got 1"),
        ("sphere(dim=2)", "dim wants a whole number from 3 to 512, got 2"),
        ("sphere(intrinsic=3)", "intrinsic wants a whole number from 1 to 2, got 3"),
        ("swiss_roll(dim=513)", "dim wants a whole number from 3 to 512, got 513"),
        ("swiss_roll(epsilon=0)", "epsilon wants a finite number above 0, got 0"),
        ("line(length=-1)", "length wants a finite number above 0, got -1"),
        ("gaussian(size=3)", "size wants a whole number of at least 4, got 3"),
        ("gaussian(heldout=none)", "heldout wants a whole number of at least 4, got None"),
        ("digits_mixture(images=1)", "images wants true or false, got 1"),
        ("mixture(heldout=2)", "heldout wants a whole number of at least 4, got 2"),
        ("swis_roll", "unknown data set 'swis_roll'; did you mean 'swiss_roll'?"),
    ],
)
def test_a_bad_option_is_told_in_one_line(name: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        DATASETS.build(name)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
