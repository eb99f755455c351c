"""The sentences on a page: every number in them is computed here from what the runs logged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snlab.papers.claims import claims
from snlab.results.reading import collect
from snlab.tracking.run_folder import DIVERGED, FINISHED, KILLED, UNFINISHED
from tests.results.figure_runs import ending, write


def said(figure: str, lab: Any) -> str:
    return "\n\n".join(claims(figure, collect(lab.root).runs))


def test_which_methods_still_train_at_the_aggressive_settings(lab: Any) -> None:
    for letter, fid in (("A", 4.0), ("D", 7.5), ("F", 9.0)):
        write(lab, "spectral_norm", letter, 0, metrics=ending(fid=fid))
        write(lab, "spectral_norm", letter, 1, metrics=ending(fid=fid + 1))
    write(lab, "weight_norm", "A", metrics=ending(fid=5.0))
    write(lab, "weight_norm", "D", metrics=ending(fid=50.0))
    write(lab, "weight_norm", "E", outcome=DIVERGED, until=100, metrics=ending(fid=50.0))
    text = said("figure2", lab)
    assert "| spectral norm | 4.50 (2) | not run | not run | 8.00 (2) | not run | 9.50 (2) |" in text
    assert "| weight norm | 5.00 | not run | not run | 50.00 | 1 diverged | not run |" in text
    assert (
        "At D, E and F, spectral norm (D) stayed within 2 times the lowest Fréchet distance of all (4.5); "
        "weight norm (D, E) did so at none of these." in text
    )


def test_the_same_is_said_of_inception_scores(lab: Any) -> None:
    for letter, score in (("C", 6.0), ("E", 4.9)):
        write(lab, "spectral_norm", letter, metrics=ending(inception=score))
    for normalizer, score in (("weight_norm", 4.7), ("none", 4.8)):
        write(lab, normalizer, "D", metrics=ending(inception=score))
    text = said("figure1", lab)
    assert "| none | not run | not run | not run | 4.80 | not run | not run |" in text
    assert (
        "At D, E and F, spectral norm (E) and none (D) stayed above 80% of the highest inception score of "
        "all (6); weight norm (D) did so at none of these." in text
    )


@pytest.mark.parametrize("outcome", [UNFINISHED, KILLED, FINISHED])
def test_of_a_setting_without_a_result_nothing_is_said(outcome: str, lab: Any) -> None:
    write(lab, "spectral_norm", "D", metrics=ending(fid=4.0))
    scores = ending(fid=9.0) if outcome != FINISHED else lambda *_: {"loss/discriminator": 1.0}
    write(lab, "weight_norm", "D", outcome=outcome, metrics=scores, until=200 if outcome == FINISHED else 100)
    assert "weight norm (" not in said("figure2", lab)


def test_a_distance_below_zero_is_no_reason_to_leave_out_the_best(lab: Any) -> None:
    write(lab, "spectral_norm", "D", metrics=ending(fid=-0.01))
    write(lab, "weight_norm", "D", metrics=ending(fid=0.5))
    assert "spectral norm (D) stayed within 2 times" in said("figure2", lab)


def test_effective_ranks_say_layer_by_layer_whether_spectra_are_as_in_the_paper(lab: Any) -> None:
    def ranks(first: float, second: float) -> Any:
        return lambda n, seed, step, p: {
            "fid/embedded-digits": 5.0, "spectrum/conv1": [1.0, 0.5], "spectrum/conv2": [1.0, 0.2],
            "effective_rank/conv1": first + seed, "effective_rank/conv2": second,
            "effective_rank/fc": 99.0,
        }  # fmt: skip

    for seed in (0, 1):
        write(lab, "spectral_norm", "C", seed, metrics=ranks(10.0, 12.0))
    write(lab, "weight_clipping", "C", metrics=ranks(1.0, 3.0))
    text = said("figure3", lab)
    assert "| layer | weight clipping (at C) | spectral norm (at C) |" in text
    assert f"| conv1 | 1.0 | {np.mean([10, 11]):.1f} (2) |" in text
    assert "below spectral norm's in 2 of 2 convolutions under weight clipping: as the paper's" in text
    write(lab, "weight_norm", "C", metrics=ranks(10.6, 11.9))  # in the mean below spectral norm's
    assert (
        "in 2 of 2 convolutions under weight clipping and in 1 of 2 convolutions under weight norm: in part "
        "as the paper's" in said("figure3", lab)
    )


def test_how_far_sigma_is_from_one_after_the_warm_up(lab: Any) -> None:
    def sigmas(late: float) -> Any:
        return lambda n, seed, step, p: {
            "sigma/exact/conv1": 1.3 if p < 0.2 else 1.05,
            "sigma/exact/conv2": 1.02 if p < 1 else late, "sigma/exact/dense": 1.0,
            "spectrum/conv2": [1.0, 0.5 if p < 0.2 else 0.93, 0.1],
        }  # fmt: skip

    write(lab, "spectral_norm", "C", metrics=sigmas(0.95))
    text = said("figure9", lab)
    assert "| conv1 | 1.300 | 1.050 to 1.050 | 100.0% |" in text
    assert "| conv2 | 1.020 | 0.950 to 1.020 | 100.0% |" in text
    assert "From update 40 on σ is to stay within 1 ± 0.1: that of every layer does." in text
    assert "| dense | 1.000 | 1.000 to 1.000 | 100.0% |" in text
    assert "this share" not in text
    write(lab, "spectral_norm", "C", 1, metrics=sigmas(1.2))
    text = said("figure9", lab)
    assert "0.950 to 1.200" in text
    assert "within 1 ± 0.1: conv2 strays further." in text
    assert "in the median this share is 0.93 in conv2." in text


def test_where_a_score_is_best_and_how_much_less_it_is_at_the_end(lab: Any) -> None:
    for n_dis, spectral, weight in ((1, 4.0, 3.0), (5, 5.0, 2.0), (20, 6.0, 1.5)):
        write(lab, "spectral_norm", "D", n_dis=n_dis, metrics=ending(inception=spectral))
        write(lab, "weight_norm", "D", n_dis=n_dis, metrics=ending(inception=weight))
    text = said("figure11", lab)
    assert "spectral norm is best at n_dis 20 (6, n=1); weight norm is best at n_dis 1 (3, n=1)" in text
    assert text.endswith(", 50.0% less at 20.")


def test_what_updates_cost_as_multiples_of_those_without_a_normalizer(lab: Any) -> None:
    def rate(value: float) -> Any:
        return lambda *_: {"time/generator_steps_per_second": value}

    for normalizer, value in (("none", 10.0), ("weight_norm", 8.0), ("spectral_norm", 6.4)):
        write(lab, normalizer, "A", metrics=rate(value))
    write(lab, "none", "D", outcome=UNFINISHED, until=100, metrics=rate(1.0))  # of an unknown machine
    text = said("figure10", lab)
    assert "(10 s, medians), 1.25 under weight norm and 1.56 under spectral norm." in text
    assert "Spectral norm takes 125% of weight norm's time" in text
    assert "unknown machine" not in text


def test_of_a_figure_without_a_claim_nothing_is_said(lab: Any) -> None:
    write(lab, "spectral_norm", "C")
    assert claims("figure15", collect(lab.root).runs) == []
    for figure in ("figure1", "figure2", "figure3", "figure4", "figure9", "figure10", "figure11"):
        assert claims(figure, []) == []
