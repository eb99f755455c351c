from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch
import torch_fidelity
from torch import Tensor
from torch.utils.data import Dataset

from snlab.core import names
from snlab.core.errors import UserError
from snlab.data.dataset import DataSet
from snlab.metrics.extractors import Extractor, Features
from snlab.metrics.fidelity import fidelity, real_features
from snlab.metrics.frechet import Moments, frechet_distance
from snlab.metrics.protocols import PROTOCOLS

E = "embedded-digits"
EMBEDDED = PROTOCOLS["embedded"]


def of(x: Tensor, logits: Tensor | None = None) -> Features:
    return Features(x, x if logits is None else logits, E)


def scores(real: Features, fake: Features, **changes: object) -> dict[str, float]:
    protocol = replace(EMBEDDED, n_fake=len(fake), **changes)  # type: ignore[arg-type]
    return {name.removesuffix(f"/{E}"): value for name, value in fidelity(real, fake, protocol).items()}


# ---- against independent references ---------------------------------------------------------------------


def gaussians(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """n samples each, float64, of N(0, A A^T) and N(m, B B^T) with fixed A, B and m."""
    A, B, m = parameters()
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(n, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    return x @ A.T, y @ B.T + m


def parameters() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(99)
    A, B, m = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((6, 6), (6, 6), (6,)))
    return A, B, m


def closed_form(m1: np.ndarray, C1: np.ndarray, m2: np.ndarray, C2: np.ndarray) -> float:
    """Dowson & Landau 1982, by the symmetric square roots and not by the eigenvalues of the product."""
    root = scipy.linalg.sqrtm(C1)
    return float(((m1 - m2) ** 2).sum() + np.trace(C1 + C2 - 2 * scipy.linalg.sqrtm(root @ C2 @ root).real))


def test_frechet_distance_is_the_closed_form_of_the_samples_moments() -> None:
    x, y = gaussians(500, seed=0)
    moments = [m for s in (x.numpy(), y.numpy()) for m in (s.mean(axis=0), np.cov(s, rowvar=False))]
    assert scores(of(x), of(y))[names.FID] == pytest.approx(closed_form(*moments), rel=1e-9)
    assert scores(of(x.float()), of(y.float()))[names.FID] == pytest.approx(closed_form(*moments), rel=1e-6)


def test_frechet_distance_estimates_that_of_the_gaussians() -> None:
    A, B, m = parameters()
    C1, C2 = (A @ A.T).numpy(), (B @ B.T).numpy()
    truth = closed_form(np.zeros(6), C1, m.numpy(), C2)
    n, repeats = 20_000, 16
    found = [frechet_distance(*map(Moments.of, gaussians(n, seed))) for seed in range(repeats)]
    bias = (np.trace(C1) + np.trace(C2)) / n  # of the means' part; the covariances' is of the same order
    assert abs(np.mean(found) - truth) < 4 * np.std(found, ddof=1) / math.sqrt(repeats) + 2 * bias
    assert np.std(found, ddof=1) < 0.02 * truth


def test_inception_score_of_known_probabilities() -> None:
    certain = 50 * torch.eye(10).repeat(20, 1)  # each of 10 classes, equally often and without doubt
    assert scores(of(certain), of(certain))[names.INCEPTION_SCORE] == pytest.approx(10, rel=1e-9)
    x = torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    undecided = of(x, torch.zeros(200, 10))
    assert scores(of(x), undecided)[names.INCEPTION_SCORE] == pytest.approx(1, abs=1e-12)


def test_kid_is_the_unbiased_cubic_mmd() -> None:
    x, y = (s[:, :6] for s in gaussians(80, seed=1))
    k_xx, k_yy, k_xy = ((a @ b.T / 6 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    n = len(x)
    within = sum((k.sum() - k.diagonal().sum()) / (n * (n - 1)) for k in (k_xx, k_yy))
    assert scores(of(x), of(y))[names.KID] == pytest.approx(float(within - 2 * k_xy.mean()), rel=1e-9)


class Images(Dataset[Tensor]):
    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Tensor:
        return self.images[i]


def test_torch_fidelity_gives_the_same_from_the_images(extractor: Extractor, data: DataSet) -> None:
    real, fake = data.train[:600], noisy(data.train[600:1100], 15)
    changes = {"inception_splits": 5, "kid_subsets": 7, "kid_subset_size": 200}
    ours = scores(extractor.features(real), extractor.features(fake), **changes)
    theirs = torch_fidelity.calculate_metrics(
        input1=Images(fake),
        input2=Images(real),
        feature_extractor=E,
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        isc_splits=5,
        kid_subsets=7,
        kid_subset_size=200,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    assert ours == pytest.approx(
        {
            names.FID: theirs["frechet_inception_distance"],
            names.KID: theirs["kernel_inception_distance_mean"],
            names.INCEPTION_SCORE: theirs["inception_score_mean"],
            names.PRECISION: theirs["precision"],
            names.RECALL: theirs["recall"],
        },
        rel=1e-6,
    )


# ---- directions ------------------------------------------------------------------------------------------


def noisy(images: Tensor, std: float) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)) * std
    return (images.float() + noise).round().clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def halves(extractor: Extractor, data: DataSet) -> tuple[Features, Features, Tensor]:
    """Real features, those of other real images of the same kind, and which digits the latter are."""
    assert data.train_labels is not None
    features = extractor.features(data.train)
    return features[:718], features[718:1436], data.train_labels[718:1436]


def test_identical_sets(halves: tuple[Features, Features, Tensor]) -> None:
    real, _, _ = halves
    found = scores(real, of(real.features.clone(), real.logits))
    assert abs(found[names.FID]) < 1e-3
    assert found[names.KID] < 0  # unbiased, and the diagonal of the cross term is all similarity
    assert found[names.PRECISION] == 1
    assert found[names.RECALL] == 1


def test_mode_collapse_lowers_recall_and_raises_fid(halves: tuple[Features, Features, Tensor]) -> None:
    real, other, digit = halves
    few = torch.nonzero(digit < 3).flatten()
    few = few[torch.arange(len(other)) % len(few)]  # as many images, of three digits only
    whole, collapsed = scores(real, other), scores(real, of(other.features[few], other.logits[few]))
    assert collapsed[names.RECALL] < 0.5 * whole[names.RECALL]
    assert collapsed[names.PRECISION] > 0.8 * whole[names.PRECISION]
    assert collapsed[names.FID] > 5 * whole[names.FID]
    assert collapsed[names.KID] > whole[names.KID]
    assert collapsed[names.INCEPTION_SCORE] < 0.5 * whole[names.INCEPTION_SCORE]


def test_noise_lowers_precision_and_raises_fid(
    halves: tuple[Features, Features, Tensor], extractor: Extractor, data: DataSet
) -> None:
    real, other, _ = halves
    clean = scores(real, other)
    noise = scores(real, extractor.features(noisy(data.train[718:1436], 40)))
    assert noise[names.PRECISION] < 0.5 * clean[names.PRECISION]
    assert noise[names.FID] > 5 * clean[names.FID]
    assert noise[names.KID] > clean[names.KID]


# ---- behaviour -------------------------------------------------------------------------------------------


def test_the_same_every_time_silently_and_without_touching_random_states(
    halves: tuple[Features, Features, Tensor], capfd: pytest.CaptureFixture[str]
) -> None:
    real, other, _ = halves
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert scores(real, other, kid_subset_size=100) == scores(real, other, kid_subset_size=100)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert capfd.readouterr() == ("", "")


def test_the_real_side_s_moments_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Tensor] = []
    plain = Moments.of
    monkeypatch.setattr(Moments, "of", lambda x: calls.append(x) or plain(x))
    real = of(torch.randn(50, 4))
    for _ in range(3):
        scores(real, of(torch.randn(60, 4)))
    assert [len(x) for x in calls] == [50, 60, 60, 60]


def test_constant_fakes_have_scores() -> None:
    real = of(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)))
    found = scores(real, of(torch.full((50, 4), 3.0)))
    assert found[names.FID] == pytest.approx(
        float((real.features.mean(dim=0) - 3).square().sum() + real.features.var(dim=0).sum()), rel=1e-5
    )
    assert found[names.INCEPTION_SCORE] == pytest.approx(1, abs=1e-12)
    assert found[names.RECALL] == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_fakes_that_are_not_finite_score_nan(value: float) -> None:
    real, fake = of(torch.randn(50, 4)), torch.randn(50, 4)
    fake[7, 2] = value
    assert all(math.isnan(score) for score in scores(real, of(fake)).values())


@pytest.mark.filterwarnings("error")
def test_enormous_fakes_raise_nothing() -> None:
    fake = torch.randn(50, 4) * 1e38
    assert len(scores(of(torch.randn(50, 4)), of(fake))) == 5


def test_only_the_protocol_s_metrics_and_counts() -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake = (of(torch.randn(100, 4, generator=generator)) for _ in range(2))
    protocol = replace(EMBEDDED, metrics=(names.FID, names.INCEPTION_SCORE), n_fake=40, n_inception=90)
    found = fidelity(real, fake, protocol)
    assert list(found) == [f"fid/{E}", f"inception_score/{E}"]
    assert found[f"fid/{E}"] == frechet_distance(real.moments, fake[:40].moments)
    assert found[f"inception_score/{E}"] == scores(real, fake[:90])[names.INCEPTION_SCORE]


def test_features_of_two_extractors_are_refused() -> None:
    x = torch.randn(10, 4)
    with pytest.raises(ValueError, match="'embedded-digits' and 'embedded-photos' cannot be compared"):
        fidelity(Features(x, x, E), Features(x, x, "embedded-photos"))


def test_too_few_images_are_a_user_error() -> None:
    with pytest.raises(UserError, match="wants 2000 generated images, not 10"):
        fidelity(of(torch.randn(10, 4)), of(torch.randn(10, 4)))


def test_real_features_draw_the_same_images_from_all_labels(extractor: Extractor, data: DataSet) -> None:
    assert data.train_labels is not None
    order = data.train_labels.argsort()
    by_label = data.train[order]
    protocol = replace(EMBEDDED, n_real=200)
    drawn = real_features(extractor, by_label, protocol)
    assert len(drawn) == 200
    assert torch.equal(drawn.features, real_features(extractor, by_label, protocol).features)
    assert len(drawn.logits.argmax(dim=1).unique()) == 10
    assert len(real_features(extractor, by_label[:50], protocol)) == 50
