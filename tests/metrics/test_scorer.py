from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import torch
from torch import Tensor

from snlab.core import names
from snlab.core.errors import UserError
from snlab.metrics.fidelity import fidelity, real_features
from snlab.metrics.protocols import PROTOCOLS
from snlab.metrics.scorer import Scorer
from tests.metrics.fakes import noise, pixels

SMALL = replace(PROTOCOLS["embedded"], n_real=1300, n_fake=1200)


def images(n: int = 1500, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(60, 200, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)


def latents(n: int = 1200, seed: int = 1) -> Tensor:
    return torch.randn(n, 64, generator=torch.Generator().manual_seed(seed))


def test_the_scores_are_those_of_all_images_at_once(tmp_path: Path) -> None:
    labels = torch.arange(1200) % 3
    found = Scorer(pixels(), SMALL, images(), tmp_path).scores(noise, latents(), labels)
    real = real_features(pixels(), images(), SMALL)
    assert found == fidelity(real, pixels().features(noise(latents(), labels)), SMALL)
    assert found != Scorer(pixels(), SMALL, images(), tmp_path).scores(noise, latents())


def test_real_images_are_looked_at_once_whichever_process_asks(tmp_path: Path) -> None:
    seen: list[int] = []
    first = Scorer(pixels(seen), SMALL, images(), tmp_path)
    scores = first.scores(noise, latents())
    assert sum(seen) == 1300 + 1200
    assert first.scores(noise, latents()) == scores
    assert Scorer(pixels(seen), SMALL, images(), tmp_path).scores(noise, latents()) == scores
    assert sum(seen) == 1300 + 3 * 1200
    assert max(seen) <= 250


@pytest.mark.parametrize("change", ["image", "order", "count", "weights", "threads"])
def test_statistics_of_anything_else_are_others(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = torch.device("cpu")
    data, extractor, protocol = images(1300), pixels(), SMALL
    plain = Scorer(extractor, protocol, data, tmp_path).real(cpu)
    if change == "image":
        data = data.clone()
        data[700, 0, 3, 3] += 1
    elif change == "order":
        data = data.flip(0)
    elif change == "count":
        data = data[:-1]
    elif change == "weights":
        extractor = pixels(digest="d2")
    else:
        monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    other = Scorer(extractor, protocol, data, tmp_path).real(cpu)
    assert len(list(tmp_path.glob("*.pt"))) == 2
    assert torch.equal(plain.features, other.features) == (change in ("weights", "threads"))


def test_damaged_statistics_are_computed_again(tmp_path: Path) -> None:
    seen: list[int] = []
    scores = Scorer(pixels(seen), SMALL, images(), tmp_path).scores(noise, latents())
    (path,) = tmp_path.glob("*.pt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert Scorer(pixels(seen), SMALL, images(), tmp_path).scores(noise, latents()) == scores
    assert sum(seen) == 2 * (1300 + 1200)


def test_done_counts_every_image_that_is_looked_at(tmp_path: Path) -> None:
    counts: list[float] = []
    Scorer(pixels(), SMALL, images(), tmp_path).scores(noise, latents(), done=counts.append)
    assert sum(counts) == 1300 + 1200


def test_the_paper_s_inception_score_is_a_mean_and_std_over_ten_parts(tmp_path: Path) -> None:
    """By the definition in NumPy: exp of the mean KL divergence, of each tenth of the images, shuffled."""
    protocol = replace(PROTOCOLS["miyato2018"], n_real=1300, n_fake=500, n_inception=1200)
    scorer = Scorer(pixels(), protocol, images(), tmp_path)
    found = scorer.scores(noise, latents())
    assert list(found) == ["fid/pixels", "inception_score/pixels", "inception_score_std/pixels"]
    logits = pixels().features(noise(latents())).logits.double().numpy()
    shuffled = logits[np.random.RandomState(2020).permutation(1200)]
    parts = []
    for part in np.split(scipy.special.softmax(shuffled, axis=1), 10):
        kl = part * (np.log(part) - np.log(part.mean(axis=0, keepdims=True)))
        parts.append(np.exp(kl.sum(axis=1).mean()))
    assert found["inception_score/pixels"] == pytest.approx(np.mean(parts), rel=1e-6)
    assert found["inception_score_std/pixels"] == pytest.approx(np.std(parts), rel=1e-4)
    only_fid = replace(protocol, metrics=(names.FID,), n_inception=None)
    alone = Scorer(pixels(), only_fid, images(), tmp_path).scores(noise, latents()[:500])
    assert alone == {"fid/pixels": found["fid/pixels"]}


def test_fewer_real_images_than_the_protocol_wants_are_refused() -> None:
    with pytest.raises(UserError, match="protocol 'miyato2018' wants 10000 real training images, not 1500"):
        Scorer(pixels(), PROTOCOLS["miyato2018"], images())
