from __future__ import annotations

from typing import Any

import pytest

from snlab.results.findings import findings
from snlab.results.reading import collect
from snlab.tracking.run_folder import DIVERGED, UNFINISHED, Run

FID = "fid/embedded-digits"


def write_scores(lab: Any, values: dict[str, list[float]]) -> list[Run]:
    for normalizer, fids in values.items():
        for seed, fid in enumerate(fids):
            lab.write(normalizer, seed, metrics=lambda *_, fid=fid: {FID: fid})
    return collect(lab.root).runs


def test_sentences_agree_with_the_numbers(demo: list[Run]) -> None:
    samples, discriminator, *ring = findings(demo)
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
    assert len(ring) == 4  # high-quality samples, modes covered, the ratio, σ
    assert all(text.startswith("On mixture (kind=ring), ") for text in ring)
    assert all(text.endswith(".") for text in findings(demo))


def test_sigma_is_told_with_what_the_layers_do_as_maps(demo: list[Run]) -> None:
    _, discriminator, *_ = findings(demo)
    assert "σ of the discriminator's weights as matrices" in discriminator
    norms = "the largest norm of a layer and the bound from all were"
    assert f"{norms} 1.500 and 12.0 ± 0 under spectral norm" in discriminator


def test_both_measures_of_the_ratio_and_of_the_modes_are_told_or_none(lab: Any) -> None:
    truth = {"none": (31.3, 0.66), "spectral_norm": (5.08, 0.12)}
    for normalizer, (error, correlation) in truth.items():
        metrics = {
            "ratio/true_rmse": error, "ratio/true_correlation": correlation,
            "modes/covered": 8.0, "modes/high_quality": 0.9 if normalizer == "none" else 0.7,
        }  # fmt: skip
        lab.write(normalizer, 0, "mixture(kind=ring)", metrics=lambda *_, metrics=metrics: metrics)
    quality, covered, ratio, _ = findings(collect(lab.root).runs)
    assert "none 31.3, 0.660; spectral norm 5.08, 0.120" in ratio
    assert "neither of which ranks" in ratio
    assert "training without a normalizer gives the highest mean share of high-quality samples" in quality
    assert "tie for the highest mean number of modes covered" in covered
    lab.write("weight_norm", 0, "mixture(kind=ring)", metrics=lambda *_: {"ratio/true_rmse": 1.0})
    assert "weight norm" not in next(s for s in findings(collect(lab.root).runs) if "true log q/p" in s)


def test_a_clear_difference_is_called_one(lab: Any) -> None:
    text, _ = findings(write_scores(lab, {"none": [50, 51, 52], "weight_norm": [30, 31, 32]}))
    assert "weight norm gives the lowest" in text
    assert "intervals do not overlap" in text
    assert "no ranking" not in text


def test_one_seed_is_called_too_few(lab: Any) -> None:
    text, _ = findings(write_scores(lab, {"none": [50], "weight_norm": [30]}))
    assert "30.0 with one seed, against 50.0 with one seed for training without a normalizer" in text
    assert "one seed is too few for a ranking" in text


def test_who_diverged_is_not_ranked(lab: Any) -> None:
    """Its finished runs may have the lower number: nobody else is then called lowest."""
    write_scores(lab, {"none": [10, 11], "weight_norm": [30, 31]})
    lab.write("none", 2, outcome=DIVERGED)
    text, _ = findings(collect(lab.root).runs)
    assert "of those that never diverged, only weight norm has a mean FID" in text
    assert "lowest" not in text
    assert "1 of 3 runs without a normalizer diverged, which counts as the worst score" in text
    write_scores(lab, {"spectral_norm": [20, 21]})
    text, _ = findings(collect(lab.root).runs)
    assert "spectral norm gives the lowest" in text
    assert "for weight norm" in text


def test_where_every_normalizer_has_diverged_runs_nothing_is_ranked(lab: Any) -> None:
    write_scores(lab, {"none": [10], "weight_norm": [30]})
    for normalizer in ("none", "weight_norm"):
        lab.write(normalizer, 1, outcome=DIVERGED)
    text, _ = findings(collect(lab.root).runs)
    assert text == (
        "On digits, 1 of 2 runs without a normalizer and 1 of 2 runs under weight norm diverged, "
        "so nothing is ranked."
    )


def test_the_sigma_of_diverged_runs_is_not_told_as_that_of_the_normalizer(lab: Any) -> None:
    lab.write("none", 0, outcome=DIVERGED)
    lab.write("spectral_norm", 0)
    *_, text = findings(collect(lab.root).runs)
    assert "between" in text
    assert "8.050" not in text
    assert "no run without a normalizer finished" in text


def test_a_tie_is_called_one(lab: Any) -> None:
    text, _ = findings(
        write_scores(lab, {"none": [8.0, 8.0], "spectral_norm": [8.0, 8.0], "weight_norm": [9.0, 9.0]})
    )
    assert "training without a normalizer and spectral norm tie for the lowest mean FID" in text
    assert "8.00 ± 0 over 2 seeds each, before weight norm with 9.00 ± 0 over 2 seeds" in text
    assert "gives the lowest" not in text


def test_runs_of_other_lengths_and_settings_are_not_ranked_against_each_other(lab: Any) -> None:
    for until, normalizer, fid in (
        (200, "none", 50.0),
        (200, "spectral_norm", 45.0),
        (400, "spectral_norm", 30.0),
    ):
        lab.write(
            normalizer, 0, name=f"{until}{normalizer}", until=until, metrics=lambda *_, fid=fid: {FID: fid}
        )  # fmt: skip
    text, *others = findings(collect(lab.root).runs)
    assert text.startswith("On digits with generator_steps=200, spectral norm gives the lowest mean FID")
    assert "45.0 with one seed, against 50.0" in text
    assert not any("30.0" in sentence for sentence in (text, *others))
    assert any("different lengths (200 and 400 generator updates)" in sentence for sentence in others)
    lab.write("none", 1, name="other", loss="hinge")
    assert "no two normalizers" not in findings(collect(lab.root).runs)[0]


def test_where_no_setting_has_two_normalizers_none_is_ranked(lab: Any) -> None:
    lab.write("none", 0, loss="hinge")
    lab.write("spectral_norm", 0)
    text, *_ = findings(collect(lab.root).runs)
    assert text == "On digits, no two normalizers were run under one setting, so none is ranked."


def test_other_versions_are_said(lab: Any) -> None:
    lab.write("none", 0)
    assert not any("versions" in text for text in findings(collect(lab.root).runs))
    lab.write("spectral_norm", 0, torch="2.14.0")
    assert any(
        "different versions (torch 2.11.0 and 2.14.0)" in text for text in findings(collect(lab.root).runs)
    )


def test_where_more_is_better_more_wins(lab: Any) -> None:
    for normalizer in ("none", "spectral_norm"):
        lab.write(normalizer, 0, "mixture(kind=ring)")
    text, *others = findings(collect(lab.root).runs)
    assert "spectral norm gives the highest mean share of high-quality samples" in text
    assert "0.880 with one seed, against 0.220" in text
    assert all("mixture (kind=ring)" in other for other in others)


@pytest.mark.parametrize("normalizer", ["none", "weight_norm", "spectral_norm+gradient_penalty(weight=1)"])
def test_one_normalizer_alone_is_compared_with_nothing(normalizer: str, lab: Any) -> None:
    lab.write(normalizer, 0)
    samples, discriminator = findings(collect(lab.root).runs)
    assert "only" in samples
    assert "against" not in samples
    assert discriminator.count("between") == 1


def test_nothing_logged_is_said(lab: Any) -> None:
    lab.write("none", 0, outcome=UNFINISHED, metrics=lambda *_: {"loss/discriminator": 1.0})
    assert all("nothing can be said" in text for text in findings(collect(lab.root).runs))
