from __future__ import annotations

from typing import Any

import pytest

from snlab.results.collect import collect
from snlab.results.findings import findings
from snlab.tracking.run_folder import DIVERGED, UNFINISHED, Run

FID = "fid/embedded-digits"


def write_scores(lab: Any, values: dict[str, list[float]]) -> list[Run]:
    for normalizer, fids in values.items():
        for seed, fid in enumerate(fids):
            lab.write(normalizer, seed, metrics=lambda *_, fid=fid: {FID: fid})
    return collect(lab.root)


def test_two_sentences_agree_with_the_numbers(demo: list[Run]) -> None:
    samples, discriminator = findings(demo)
    assert samples.startswith(
        "On digits, spectral norm gives the lowest mean FID (embedded-digits) after 200 generator updates, "
        "31.0 ± 1.4 against 51.0 ± 1.4 for gradient penalty (2 seeds each)"
    )
    assert (
        "better in 2 of 2 shared seeds, but the seeds' 95 % intervals overlap, so this is no ranking"
        in samples
    )
    assert "1 of 2 runs without a normalizer diverged, which counts as the worst score" in samples
    assert "between 1.000 and 1.009 under spectral norm" in discriminator
    assert "between 1.600 and 8.050 without a normalizer" in discriminator
    assert "22.5 % under spectral norm, 90.0 % without a normalizer" in discriminator
    assert all(text.endswith(".") for text in (samples, discriminator))


def test_a_clear_difference_is_called_one(lab: Any) -> None:
    text, _ = findings(write_scores(lab, {"none": [50, 51, 52], "weight_norm": [30, 31, 32]}))
    assert "weight norm gives the lowest" in text
    assert "intervals do not overlap" in text
    assert "no ranking" not in text


def test_one_seed_is_called_too_few(lab: Any) -> None:
    text, _ = findings(write_scores(lab, {"none": [50], "weight_norm": [30]}))
    assert "30.0 with one seed, against 50.0 with one seed for training without a normalizer" in text
    assert "one seed is too few for a ranking" in text


def test_a_diverged_run_counts_as_the_worst_score(lab: Any) -> None:
    write_scores(lab, {"none": [10, 11], "weight_norm": [30, 31]})
    lab.write("none", 2, outcome=DIVERGED)
    text, _ = findings(collect(lab.root))
    assert "weight norm gives the lowest" in text
    assert "1 of 3 runs without a normalizer diverged, which counts as the worst score" in text


def test_where_more_is_better_more_wins(lab: Any) -> None:
    for normalizer in ("none", "spectral_norm"):
        lab.write(normalizer, 0, "mixture(kind=ring)")
    text, other = findings(collect(lab.root))
    assert "spectral norm gives the highest mean share of high-quality samples" in text
    assert "0.880 with one seed, against 0.220" in text
    assert "mixture (kind=ring)" in other


@pytest.mark.parametrize("normalizer", ["none", "weight_norm", "spectral_norm+gradient_penalty(weight=1)"])
def test_one_normalizer_alone_is_compared_with_nothing(normalizer: str, lab: Any) -> None:
    lab.write(normalizer, 0)
    samples, discriminator = findings(collect(lab.root))
    assert "only" in samples
    assert "against" not in samples
    assert discriminator.count("between") == 1


def test_nothing_logged_is_said(lab: Any) -> None:
    lab.write("none", 0, outcome=UNFINISHED, metrics=lambda *_: {"loss/discriminator": 1.0})
    assert all("nothing can be said" in text for text in findings(collect(lab.root)))
