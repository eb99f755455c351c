"""What the paper's figures draw, against numbers worked out by hand from what the runs logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from snlab.core.errors import UserError
from snlab.results.looks import colour
from snlab.tracking.run_folder import DIVERGED, FAILED
from tests.results.figure_runs import (
    COLUMN,
    EXTRACTOR,
    critics,
    crosses,
    curves,
    dots,
    ending,
    entries,
    figure,
    write,
)

# ---- Figures 1 and 2 -------------------------------------------------------------------------------------


def scores_by_setting(lab: Any) -> None:
    """Weight clipping: A, two seeds; WGAN-GP: B; spectral norm: D, one of its seeds diverged, and F, both."""
    write(lab, "weight_clipping", "A", 0, metrics=ending(inception=4, fid=30))
    write(lab, "weight_clipping", "A", 1, metrics=ending(inception=6, fid=50))
    write(lab, "gradient_penalty(weight=10)", "B", loss="wasserstein", metrics=ending(inception=7, fid=20))
    write(lab, "spectral_norm", "D", 0, metrics=ending(inception=8, fid=10))
    for letter, seed in (("D", 1), ("F", 0), ("F", 1)):
        write(lab, "spectral_norm", letter, seed, outcome=DIVERGED, until=50, metrics=ending(inception=1))
    write(lab, "weight_norm", "C", outcome=FAILED, until=50, metrics=ending(inception=9, fid=1))
    write(lab, "orthonormal", "C", metrics=ending(inception=5, fid=40))


@pytest.mark.parametrize(
    ("number", "scale", "heights"), [(1, "linear", [5, 7, 5, 8]), (2, "log", [40, 20, 40, 10])]
)
def test_bars_are_the_means_of_the_seeds(number: int, scale: str, heights: list[float], lab: Any) -> None:

    scores_by_setting(lab)
    (band,) = figure(number, lab).subfigs
    (axes,) = band.axes
    assert axes.get_yscale() == scale
    # Eight methods of six settings, a slot apart: A of weight clipping is 0, B of WGAN-GP, the third, 15.
    bars = [bar for drawn in axes.containers for bar in drawn]
    assert [round(bar.get_x() + bar.get_width() / 2) for bar in bars] == [0, 2 * 7 + 1, 6 * 7 + 2, 7 * 7 + 3]
    assert [bar.get_height() for bar in bars] == heights
    colours = [
        colour(name) for name in ("weight_clipping", "gradient_penalty", "orthonormal", "spectral_norm")
    ]
    assert [
        f"#{''.join(f'{round(255 * c):02X}' for c in bar.get_facecolor()[:3])}" for bar in bars
    ] == colours
    of_clipping = [(0.0, 4.0), (0.0, 6.0)] if number == 1 else [(0.0, 30.0), (0.0, 50.0)]
    assert dots(axes)[:2] == of_clipping
    assert len(dots(axes)) == 5
    assert crosses(axes) == [52, 54, 54]
    assert [label.get_text() for label in axes.get_xticklabels()] == [*"ABCDEF"] * 8


def test_what_is_missing_is_said_in_its_place(lab: Any) -> None:
    scores_by_setting(lab)
    (axes,) = figure(1, lab).subfigs[0].axes
    told = [(round(text.get_position()[0], 1), text.get_text()) for text in axes.texts]
    absent = [(x, text) for x, text in told if text in ("not run", "no score")]
    assert absent == [
        (3.0, "not run"),  # weight clipping: B to F
        (9.5, "not run"),  # GAN-GP: all
        (14.0, "not run"), (17.5, "not run"),  # WGAN-GP: A, and C to F
        (23.5, "not run"), (30.5, "not run"),  # batch and layer norm
        (35.5, "not run"), (37.0, "no score"), (39.0, "not run"),  # weight norm: the failed run
        (42.5, "not run"), (46.0, "not run"),  # orthonormal: all but C
        (50.0, "not run"), (53.0, "not run"),  # spectral norm: A to C, and E; D and F diverged
    ]  # fmt: skip
    methods = [text.get_text().replace("\n", " ") for text in axes.texts if text.get_text()[0].isupper() or
               text.get_text() not in ("not run", "no score")]  # fmt: skip
    assert methods == [
        "weight clipping", "GAN-GP", "WGAN-GP", "batch norm", "layer norm", "weight norm", "orthonormal",
        "spectral norm",
    ]  # fmt: skip


def test_axes_name_the_extractor_unless_it_is_inceptions(lab: Any) -> None:
    scores_by_setting(lab)
    (axes,) = figure(1, lab).subfigs[0].axes
    assert axes.get_ylabel().replace("-\n", "-").replace("\n", " ") == "inception score (embedded-digits)"
    write(
        lab, "none", "A", dataset="photos",
        metrics=lambda *_: {"inception_score/inception-v3-compat": 3.0},
    )  # fmt: skip
    bands = figure(1, lab).subfigs
    assert [band.get_suptitle().split(",")[0] for band in bands] == ["digits", "photos"]
    network = "standard_cnn(last_width=2)"
    write(lab, "none", "C", network=network, metrics=ending(inception=3))  # over something else: left out
    write(
        lab, "none", "B", dataset="photos",
        metrics=lambda *_: {"inception_score/inception-v3-compat": 3.5},
    )  # fmt: skip
    first, second = figure(1, lab).subfigs
    assert [band.get_suptitle().split(",")[0] for band in (first, second)] == ["digits", "photos"]
    assert second.axes[0].get_ylabel() == "inception score"
    # What is not of the paper stands behind its eight methods.
    assert [bar.get_height() for drawn in second.axes[0].containers for bar in drawn] == [3.0, 3.5]
    assert second.axes[0].containers[0][0].get_center()[0] == pytest.approx(8 * 7)


def test_only_like_is_compared_with_like(lab: Any) -> None:
    """Another width, length or weights of the extractor: a panel of its own."""
    for letter, value in (("A", 3.0), ("B", 4.0)):
        write(lab, "spectral_norm", letter, metrics=ending(inception=value))
        write(lab, "spectral_norm", letter, metrics=ending(inception=value + 10), network="standard_cnn")
        write(lab, "spectral_norm", letter, 1, metrics=ending(inception=value + 20), digest="beef" * 16)
    bands = figure(1, lab).subfigs
    heights = {
        tuple(bar.get_height() for drawn in band.axes[0].containers for bar in drawn) for band in bands
    }
    assert heights == {(3.0, 4.0), (13.0, 14.0), (23.0, 24.0)}
    titles = [band.get_suptitle().replace("\n", " ") for band in bands]
    assert sum("network=standard_cnn(width=0.25)" in title for title in titles) == 2


def test_a_trial_that_two_folders_hold_counts_once(lab: Any) -> None:
    for value in (3.0, 5.0):  # the second folder repeats the first one's trial
        write(lab, "spectral_norm", "A", metrics=ending(inception=value))
    write(lab, "spectral_norm", "B", metrics=ending(inception=4))
    write(lab, "spectral_norm", "B", outcome=FAILED, until=20, metrics=ending(inception=9))
    (axes,) = figure(1, lab).subfigs[0].axes
    assert [bar.get_height() for drawn in axes.containers for bar in drawn] == [3.0, 4.0]
    assert len(dots(axes)) == 2


def test_a_column_holds_the_methods_in_lines_on_one_scale(lab: Any) -> None:
    scores_by_setting(lab)
    wide, narrow = figure(1, lab).subfigs[0].axes, figure(1, lab, COLUMN).subfigs[0].axes
    assert len(wide) == 1
    assert len(narrow) == 2
    assert len({axes.get_ylim() for axes in narrow}) == 1
    heights = [bar.get_height() for axes in narrow for drawn in axes.containers for bar in drawn]
    assert heights == [5, 7, 5, 8]


# ---- Figures 3 and 9 -------------------------------------------------------------------------------------


def spectra(fid: float, last: float) -> Callable[..., dict[str, Any]]:
    return lambda n, seed, step, p: {
        f"fid/{EXTRACTOR}": fid, "spectrum/conv1": [1.0, last], "spectrum/conv2": [1.0, last / 2, 0.0],
        "spectrum/dense": [1.0],
    }  # fmt: skip


def test_spectra_are_those_of_each_methods_best_setting(lab: Any) -> None:
    write(lab, "weight_clipping", "A", metrics=spectra(30, 0.1))
    write(lab, "weight_clipping", "E", metrics=spectra(20, 0.2))
    write(lab, "spectral_norm", "A", 0, metrics=spectra(1, 0.9))  # best of all, but the mean of both is not
    write(lab, "spectral_norm", "A", 1, metrics=spectra(41, 0.9))
    write(lab, "spectral_norm", "C", 0, metrics=spectra(10, 0.6))
    write(lab, "spectral_norm", "C", 1, metrics=spectra(12, 0.8))
    write(lab, "spectral_norm", "D", outcome=DIVERGED, metrics=spectra(0, 0.5))
    write(lab, "spectral_norm", "E", 0, metrics=spectra(2, 0.5))  # one of its seeds diverged
    write(lab, "spectral_norm", "E", 1, outcome=DIVERGED, until=50, metrics=spectra(2, 0.5))
    (band,) = figure(3, lab).subfigs
    assert [axes.get_title() for axes in band.axes] == ["conv1", "conv2"]
    assert entries(band) == ["weight clipping (E)", "weight norm: not run", "spectral norm (C)"]
    first, second = band.axes
    (clipping,) = curves(first, colour("weight_clipping"))
    assert clipping.get_xydata().tolist() == [[1, 1.0], [2, 0.2]]
    *seeds, mean = curves(second, colour("spectral_norm"))
    assert [seed.get_ydata().tolist() for seed in seeds] == [[1.0, 0.3, 0.0], [1.0, 0.4, 0.0]]
    np.testing.assert_allclose(mean.get_ydata(), [1.0, 0.35, 0.0])
    assert curves(first, colour("weight_norm")) == []


def test_a_method_that_never_finished_has_no_result(lab: Any) -> None:
    write(lab, "spectral_norm", "C", metrics=spectra(10, 0.5))
    write(lab, "weight_norm", "C", outcome=DIVERGED, until=50, metrics=spectra(10, 0.5))
    (band,) = figure(3, lab).subfigs
    assert entries(band) == ["weight clipping: not run", "weight norm: no result", "spectral norm (C)"]
    assert all(curves(axes, colour("weight_norm")) == [] for axes in band.axes)


def test_without_scores_a_single_setting_needs_no_choice(lab: Any) -> None:
    def unscored(*_: Any) -> dict[str, Any]:
        return {"spectrum/conv1": [1.0, 0.5]}

    write(lab, "spectral_norm", "C", metrics=unscored)
    assert "spectral norm (C)" in entries(figure(3, lab).subfigs[0])
    write(lab, "spectral_norm", "A", metrics=unscored)
    with pytest.raises(UserError, match="to choose between settings, fid/EXTRACTOR"):
        figure(3, lab)


def test_sigma_of_each_convolution_is_what_was_logged(lab: Any) -> None:
    def sigmas(n: str, seed: int, step: int, p: float) -> dict[str, Any]:
        return {
            f"sigma/exact/{layer}": 1 + seed + p * i for i, layer in enumerate(("conv1", "conv2", "dense"))
        }

    for seed in (0, 1):
        write(lab, "spectral_norm(iterations=1)", "C", seed, metrics=sigmas)
    write(lab, "spectral_norm", "D", metrics=sigmas)
    write(lab, "weight_norm", "C", metrics=sigmas)
    write(lab, "spectral_norm", "C", metrics=sigmas, network="standard_cnn(last_width=4)")
    (band,) = figure(9, lab).subfigs
    (axes,) = band.axes
    assert entries(band) == ["conv1", "conv2"]
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 6]
    progress = np.array([0, 20, 50, 100, 150, 200]) / 200
    expected = [
        1 + 0 * progress,
        2 + 0 * progress,
        1.5 + 0 * progress,
        1 + progress,
        2 + progress,
        1.5 + progress,
    ]
    assert len(drawn) == 6
    for line, values in zip(drawn, expected, strict=True):
        assert line.get_xdata().tolist() == [0, 20, 50, 100, 150, 200]
        np.testing.assert_allclose(line.get_ydata(), values)


def test_a_curve_ends_in_a_cross_where_its_run_diverged(lab: Any) -> None:
    sigma = {"sigma/exact/conv1": 1.5}
    write(lab, "spectral_norm", "C", 0, metrics=lambda *_: sigma)
    write(lab, "spectral_norm", "C", 1, outcome=DIVERGED, until=100, metrics=lambda *_: sigma)
    (band,) = figure(9, lab).subfigs
    (axes,) = band.axes
    assert crosses(axes) == [100]
    assert max(axes.lines, key=lambda line: line.get_linewidth()).get_xdata()[-1] == 100  # the mean
    assert entries(band) == ["conv1", "diverged"]


# ---- Figures 4 and 11 ------------------------------------------------------------------------------------


def test_score_against_width_with_a_band_over_seeds(lab: Any) -> None:
    scores = {"standard_cnn": (4.0, 6.0), "standard_cnn(last_width=2)": (5.0, 8.0)}
    for network, values in scores.items():
        for seed, value in enumerate(values):
            write(lab, "spectral_norm", "C", seed, network=network, metrics=ending(inception=value))
        write(lab, "orthonormal", "C", network=network, metrics=ending(inception=values[0] - 1))
    write(lab, "orthonormal", "C", 1, network="standard_cnn(last_width=2)", outcome=DIVERGED, until=50)
    write(lab, "weight_norm", "C", network="standard_cnn(last_width=2)", metrics=ending(inception=1))
    write(lab, "spectral_norm", "D", network="standard_cnn(last_width=2)", metrics=ending(inception=1))
    (band,) = figure(4, lab).subfigs
    (axes,) = band.axes
    blue = colour("spectral_norm")
    (mean,) = curves(axes, blue)
    assert mean.get_xydata().tolist() == [[1, 5.0], [2, 6.5]]
    assert dots(axes, blue) == [(1, 4.0), (1, 6.0), (2, 5.0), (2, 8.0)]
    (filled,) = axes.collections  # of orthonormal there is one seed, and so no band
    corners = {(x, round(y, 9)) for x, y in filled.get_paths()[0].vertices}
    stds = {1: 2**0.5, 2: 4.5**0.5}  # of 4 and 6, of 5 and 8, with n - 1
    assert corners == {(x, round(m + s * stds[x], 9)) for x, m in ((1, 5.0), (2, 6.5)) for s in (-1, 1)}
    (other,) = curves(axes, colour("orthonormal"))
    assert other.get_xydata().tolist() == [[1, 3.0], [2, 4.0]]
    assert crosses(axes) == [2]
    assert entries(band) == ["spectral norm", "orthonormal", "diverged"]


def test_score_against_n_dis(lab: Any) -> None:
    for n_dis, value in ((1, 3.0), (20, 5.0), (5, 4.0)):
        write(lab, "spectral_norm", "D", n_dis=n_dis, metrics=ending(inception=value))
    write(lab, "spectral_norm", "E", n_dis=2, metrics=ending(inception=9.0))
    (band,) = figure(11, lab).subfigs
    (axes,) = band.axes
    (mean,) = curves(axes, colour("spectral_norm"))
    assert mean.get_xydata().tolist() == [[1, 3.0], [5, 4.0], [20, 5.0]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "5", "20"]
    assert entries(band) == ["spectral norm", "weight norm: not run"]


# ---- Figure 10 -------------------------------------------------------------------------------------------


def test_seconds_of_100_updates(lab: Any) -> None:
    def rates(*values: float) -> Callable[..., dict[str, Any]]:
        of = dict(zip([20, 50, 100, 150, 200], values, strict=True))
        return lambda n, seed, step, p: {"time/generator_steps_per_second": of[step]} if step else {}

    write(lab, "weight_norm", "A", metrics=rates(1, 20, 25, 50, 25))  # the first is left out: 5, 4, 2, 4
    write(lab, "weight_norm", "F", metrics=rates(1, 10, 10, 10, 10))
    write(lab, "spectral_norm", "D", metrics=rates(1, 5, 5, 5, 5))
    write(lab, "none", "C", metrics=rates(9, 9, 9, 9, 9))  # n_dis 1
    write(lab, "gradient_penalty", "A", metrics=rates(9, 9, 9, 9, 9))  # not WGAN-GP
    write(lab, "none", "A", machine="another", metrics=rates(1, 2, 2, 2, 2))
    there, here = figure(10, lab).subfigs
    (axes,) = here.axes
    assert [label.get_text().replace("\n", " ") for label in axes.get_xticklabels()] == [
        "WGAN-GP", "weight norm", "spectral norm", "none (vanilla)",
    ]  # fmt: skip
    bars = [(bar.get_center()[0], bar.get_height()) for drawn in axes.containers for bar in drawn]
    assert bars == [(1, 7.0), (2, 20.0)]
    assert [y for _, y in dots(axes)] == [4.0, 10.0, 20.0]
    assert [text.get_position()[0] for text in axes.texts if text.get_text() == "not run"] == [0, 3]
    assert "another" in there.get_suptitle()
    assert [bar.get_height() for drawn in there.axes[0].containers for bar in drawn] == [50.0]


# ---- Figure 15 -------------------------------------------------------------------------------------------


def test_critic_loss_on_both_kinds_of_data_beside_the_score(lab: Any) -> None:
    for normalizer in ("gradient_penalty", "spectral_norm(gain=true)+gradient_penalty"):
        write(lab, normalizer, "A", loss="wasserstein", metrics=critics)
    write(lab, "gradient_penalty", "A", metrics=critics)  # another loss
    write(lab, "spectral_norm+gradient_penalty", "A", loss="wasserstein", metrics=critics)  # no gain
    (band,) = figure(15, lab).subfigs
    losses, scores = band.axes
    for name in ("gradient_penalty", "spectral_norm"):
        train, heldout = curves(losses, colour(name))
        assert (train.get_linestyle(), heldout.get_linestyle()) == ("-", "--")
        np.testing.assert_allclose(train.get_ydata(), -3 * train.get_xdata() / 200)
        np.testing.assert_allclose(heldout.get_ydata(), -2 * heldout.get_xdata() / 200)
        (score,) = curves(scores, colour(name))
        np.testing.assert_allclose(score.get_ydata(), 1 + 5 * score.get_xdata() / 200)
    assert entries(band) == [
        "WGAN-GP", "WGAN-GP, weight norm: not run", "WGAN-GP, spectral norm",
        "training data", "held-out data",
    ]  # fmt: skip
