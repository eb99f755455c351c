from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snlab.core.errors import UserError
from snlab.results.figures import FIGURES, draw, picture
from snlab.results.figures.samples import last_sample
from snlab.results.figures.style import style
from snlab.results.looks import colour
from snlab.results.reading import collect
from snlab.tracking.run_folder import DIVERGED, Run


def figure(name: str, runs: list[Run]) -> Any:
    with style():
        return FIGURES[name](runs, 6.75)


def panels(name: str, runs: list[Run], row: int = 0) -> list[Any]:
    return figure(name, runs).subfigs[row].axes


def curves(axes: Any, normalizer: str) -> list[Any]:
    return [
        line
        for line in axes.lines
        if line.get_color() == colour(normalizer) and line.get_linestyle() != "None"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FIGURES))
def test_figures_are_drawn_and_not_blank(name: str, demo: list[Run], tmp_path: Path) -> None:
    from matplotlib.image import imread

    draw(name, demo, tmp_path / "made" / f"{name}.png")
    image = imread(tmp_path / "made" / f"{name}.png")
    assert image.shape[1] == 2025  # 6.75 inches
    assert image[..., :3].std() > 0.03
    assert np.all(image[:3, :, :3] == 1)  # a margin: nothing is cut off at the top
    assert FIGURES[name].__doc__


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_suffix_decides_the_format_and_bytes_repeat(
    suffix: str, start: bytes, demo: list[Run], tmp_path: Path
) -> None:
    out = tmp_path / f"figure.{suffix.upper()}"
    draw("fidelity", demo, out)
    assert out.read_bytes().startswith(start)
    assert out.read_bytes() == picture("fidelity", demo, suffix)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_mistakes_are_told_in_one_line(demo: list[Run], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'sigma'"):
        draw("sigmo", demo, tmp_path / "a.png")
    with pytest.raises(UserError, match=r"\.pdf, \.png, \.svg"):
        draw("sigma", demo, tmp_path / "a.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        draw("fidelity", demo, tmp_path / "file" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match="cannot write"):
        draw("fidelity", demo, tmp_path / "folder.png")


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("sigma", "sigma/exact/LAYER"), ("ratio", "ratio/saturation"), ("fidelity", "fid/EXTRACTOR"),
        ("spectrum", "spectrum/LAYER"), ("samples", "samples/STEP.png"),
    ],
)  # fmt: skip
def test_what_was_not_logged_is_named(name: str, missing: str, lab: Any) -> None:
    folder = lab.write("none", metrics=lambda *_: {"loss/discriminator": 1.0})
    for path in (folder / "samples").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=missing):
        picture(name, collect(lab.root).runs)


def test_fidelity_draws_every_seed_thin_and_their_mean_thick(demo: list[Run]) -> None:
    axes, strip = panels("fidelity", demo)
    thin, other, thick = curves(axes, "spectral_norm")
    assert thin.get_linewidth() < thick.get_linewidth() > other.get_linewidth()
    np.testing.assert_allclose(thick.get_ydata(), (thin.get_ydata() + other.get_ydata()) / 2)
    assert thick.get_ydata()[-1] == 31.0
    assert axes.get_yscale() == "log"
    dots = [
        line
        for line in strip.lines
        if line.get_marker() == "o" and line.get_color() == colour("spectral_norm")
    ]
    assert sorted(dots[0].get_ydata()) == [30.0, 32.0]


def test_a_diverged_run_is_crossed_at_its_last_step_and_the_mean_stops_there(demo: list[Run]) -> None:
    axes, strip = panels("fidelity", demo)
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [list(cross.get_xdata()) for cross in crosses] == [[100]]
    mean = max(curves(axes, "none"), key=lambda line: line.get_linewidth())
    assert mean.get_xdata()[-1] == 100
    assert sum(line.get_marker() == "x" for line in strip.lines) == 1


def test_fidelity_shows_good_samples_where_there_is_no_fid(demo: list[Run]) -> None:
    for row, words in ((1, "high-quality"), (2, "modes covered")):
        axes, _ = panels("fidelity", demo, row=row)
        assert words in axes.get_ylabel()
        assert axes.get_yscale() == "linear"


def test_scores_of_other_extractor_weights_get_panels_of_their_own(lab: Any) -> None:
    lab.write("none", 0, digest="a" * 64)
    lab.write("none", 1, digest="b" * 64)
    made = figure("fidelity", collect(lab.root).runs)
    assert [row.axes[0].get_ylabel() for row in made.subfigs] == [
        "FID (embedded-digits @aaaaaaa)", "FID (embedded-digits @bbbbbbb)",
    ]  # fmt: skip
    assert [len(curves(row.axes[0], "none")) for row in made.subfigs] == [1, 1]


def test_sigma_has_a_panel_a_normalizer_on_one_log_scale(demo: list[Run]) -> None:
    axes = panels("sigma", demo)
    assert [a.get_title() for a in axes] == ["none", "weight norm", "gradient penalty", "spectral norm"]
    assert len({a.get_ylim() for a in axes}) == 1
    assert axes[0].get_yscale() == "log"
    solid = [line for line in axes[3].lines if line.get_linestyle() == "-" and line.get_zorder() == 3]
    assert len(solid) == 8  # four layers, two seeds
    run = next(r for r in demo if r.normalizer == "spectral_norm" and r.dataset == "digits")
    np.testing.assert_allclose(solid[0].get_ydata(), run.series("sigma/exact/conv1")[1])


def test_more_normalizers_than_columns_go_on_below(lab: Any) -> None:
    for weight in range(6):
        lab.write(f"gradient_penalty(weight={weight})", until=20)
    assert len(panels("sigma", collect(lab.root).runs)) == 6
    assert len(panels("samples", collect(lab.root).runs)) == 6


def test_ratio_panels_hold_what_was_logged(demo: list[Run]) -> None:
    digits, ring = (panels("ratio", demo, row) for row in (0, 1))
    assert len(digits) == 6
    assert len(ring) == 8
    assert "saturation" in digits[0].get_title(loc="left")
    assert max(curves(digits[0], "none")[0].get_ydata()) == pytest.approx(0.9)


def test_a_spike_does_not_flatten_the_rest(lab: Any) -> None:
    lab.write("none", metrics=lambda n, s, step, p: {"ratio/log_mass_fake": 1e3 if step == 50 else 1.0})
    (axes,) = panels("ratio", collect(lab.root).runs)
    assert axes.get_yscale() == "symlog"


def test_spectrum_is_the_last_of_each_layer_and_leaves_out_single_values(demo: list[Run]) -> None:
    axes = panels("spectrum", demo)
    assert [a.get_title() for a in axes] == ["conv1", "conv2", "conv3"]  # dense has one singular value
    run = next(r for r in demo if r.normalizer == "weight_norm" and r.dataset == "digits")
    np.testing.assert_allclose(
        curves(axes[0], "weight_norm")[0].get_ydata(), run.series("spectrum/conv1")[1][-1]
    )


def test_samples_shows_the_newest_of_the_first_finished_seed(lab: Any) -> None:
    lab.write("none", 0, outcome=DIVERGED, until=100)
    folder = lab.write("none", 1)
    (folder / "samples" / "000050.png").write_bytes(b"older, and not read")
    (axes,) = panels("samples", collect(lab.root).runs)
    assert any(text.get_text() == "seed 1, update 200" for text in axes.texts)
    assert axes.images[0].get_array().shape[:2] == (64, 64)
    assert last_sample(Run.read(folder)) == folder / "samples" / "000200.png"


def test_points_are_scattered_on_one_scale_that_a_lost_generator_does_not_blow_up(lab: Any) -> None:
    for normalizer in ("none", "weight_norm", "spectral_norm"):
        folder = lab.write(normalizer, dataset="mixture(kind=ring)")
        if normalizer == "none":
            lost = np.full((10, 2), 1e6, dtype=np.float32)
            lost[0] = np.nan
            np.save(folder / "samples" / "000200.npy", lost)
    axes = panels("samples", collect(lab.root).runs)
    assert len({a.get_xlim() for a in axes}) == 1
    assert 1 < axes[0].get_xlim()[1] < 3
    assert len(axes[2].collections[0].get_offsets()) == 400


def test_drawing_leaves_matplotlib_as_it_was(demo: list[Run]) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    picture("fidelity", demo)
    assert dict(matplotlib.rcParams) == before
    assert io.BytesIO(picture("fidelity", demo, dpi=20)).read(4) == b"\x89PNG"


# ---- many normalizers, many settings, any name -----------------------------------------------------------


def test_a_dollar_sign_and_an_underscore_are_what_they_are(lab: Any, tmp_path: Path) -> None:
    """matplotlib would read mathematics between dollars, and hide a legend's entry after an underscore."""
    names = ["batch$norm_{x$", "$", r"$\frac{$", {"class_path": "m._Clip", "init_args": {"unit": "$"}}]
    for i, normalizer in enumerate(names):
        lab.write(normalizer, 0, name=str(i), until=50, loss="$x^{$", metrics=odd_layers)
    lab.write("none", 0, name="other", until=50, loss="hinge", metrics=odd_layers)
    runs = collect(lab.root).runs
    for name in FIGURES:
        draw(name, runs, tmp_path / f"{name}.svg")
    labels = [
        text.get_text() for band in figure("fidelity", runs).subfigs for text in band.legends[0].get_texts()
    ]
    assert {"batch$norm_{x$", "$", r"$\frac{$"} <= set(labels)
    assert " _Clip(unit='$')" in labels


def odd_layers(normalizer: str, seed: int, step: int, progress: float) -> dict[str, Any]:
    return {
        "fid/$E": 10.0, "sigma/exact/_conv$1": 1.0, "sigma/raw/_conv$1": 1.0, "spectrum/_conv$1": [1.0, 0.5],
        "ratio/saturation": 1.0,
    }  # fmt: skip


def sweep_of_settings(lab: Any) -> list[Run]:
    for n_dis, lr in ((1, 1e-4), (1, 2e-4), (5, 1e-4), (5, 1e-3), (5, 1e-5), (2, 1e-3)):
        for normalizer in ("none", "weight_norm", "gradient_penalty", "spectral_norm"):
            lab.write(normalizer, 0, name=f"{normalizer}{n_dis}{lr}", until=50, n_dis=n_dis, adam={"lr": lr})
    return list(collect(lab.root).runs)


def test_settings_have_panels_and_normalizers_have_colours(lab: Any) -> None:
    """24 curves are 4 colours in 6 panels, one legend for all, and every panel says its setting."""
    runs = sweep_of_settings(lab)
    made = figure("fidelity", runs)
    (band,) = made.subfigs
    panels = [axes for axes in band.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == [
        "adam.lr=1e-05, n_dis=5", "adam.lr=0.0001, n_dis=1", "adam.lr=0.0001, n_dis=5",
        "adam.lr=0.0002, n_dis=1", "adam.lr=0.001, n_dis=2", "adam.lr=0.001, n_dis=5",
    ]  # fmt: skip
    assert len({axes.get_ylim() for axes in panels}) == 1
    for axes in panels:
        for normalizer in ("none", "weight_norm", "gradient_penalty", "spectral_norm"):
            assert len(curves(axes, normalizer)) == 1
    (legend,) = band.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "none", "weight norm", "gradient penalty", "spectral norm",
    ]  # fmt: skip
    for name in ("sigma", "ratio", "spectrum", "samples"):
        titles = [band.get_suptitle() for band in figure(name, runs).subfigs]
        assert [title.splitlines()[1] for title in titles][:2] == [
            "adam.lr=1e-05, n_dis=5",
            "adam.lr=0.0001, n_dis=1",
        ]
        assert len(titles) == 6


@pytest.mark.parametrize("name", ["fidelity", "ratio"])
def test_the_legend_lies_beside_the_panels_however_many_there_are(name: str, lab: Any) -> None:
    for weight in range(24):
        lab.write(f"gradient_penalty(weight={weight}, kind=one_sided)", 0, until=50)
    made = figure(name, collect(lab.root).runs)
    with style():
        made.savefig(io.BytesIO(), dpi=100)  # the layout is made in drawing
    (band,) = made.subfigs
    box = band.legends[0].get_window_extent()
    assert len(band.legends[0].get_texts()) == 24
    for axes in band.axes:
        assert not box.overlaps(axes.get_window_extent())
        assert axes.get_window_extent().height > 60  # dots, at 100 an inch


def test_more_settings_than_a_figure_holds_are_counted(lab: Any) -> None:
    for i in range(11):
        lab.write("none", 0, name=str(i), until=20, n_dis=i + 1)
    runs = collect(lab.root).runs
    assert "the first 8 of 11 settings" in figure("fidelity", runs).subfigs[0].get_suptitle()
    bands = figure("ratio", runs).subfigs
    assert len(bands) == 8
    assert "the first 8 of 11 settings" in bands[-1].get_suptitle()


def test_panels_of_zeros_begin_at_zero(lab: Any) -> None:
    lab.write(
        "none",
        0,
        metrics=lambda *_: {"ratio/saturation": 0.0, "ratio/drift": 0.25, "ratio/log_mass_fake": -1},
    )
    saturation, mass, drift = panels("ratio", collect(lab.root).runs)
    assert saturation.get_ylim() == (0, 1)
    assert drift.get_ylim()[0] == 0
    assert mass.get_ylim()[0] < -1


def test_a_damaged_run_is_not_drawn(lab: Any) -> None:
    lab.write("none", 0)
    folder = lab.write("none", 1)
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:3]))
    axes, _ = panels("fidelity", collect(lab.root).runs)
    assert len(curves(axes, "none")) == 1


def test_real_data_and_modes_stand_beside_the_samples(lab: Any) -> None:
    from matplotlib.image import imsave

    centres = np.array([[np.cos(a), np.sin(a)] for a in np.arange(8) * np.pi / 4], dtype=np.float32)
    for normalizer in ("none", "spectral_norm"):
        folder = lab.write(normalizer, 0, "mixture(kind=ring)") / "samples"
        np.save(folder / "real.npy", centres * 1.1)
        np.save(folder / "modes.npy", centres)
    far = np.full((4, 2), 0.5, dtype=np.float32)
    far[0] = 50
    np.save(folder / "000200.npy", far)
    real, none, spectral = panels("samples", collect(lab.root).runs)
    assert real.get_title() == "real data\n"
    np.testing.assert_allclose(real.collections[0].get_offsets(), centres * 1.1)
    for axes in (real, none, spectral):
        (cross,) = [line for line in axes.lines if line.get_marker() == "+"]
        np.testing.assert_allclose(cross.get_xydata(), centres)
        assert axes.get_xlim() == real.get_xlim()
    assert any("25% outside" in text.get_text() for text in spectral.texts)
    folder = lab.write("none", 0) / "samples"
    imsave(folder / "real.png", np.zeros((8, 8)), cmap="gray")
    runs = [run for run in collect(lab.root).runs if run.dataset == "digits"]
    real, _ = panels("samples", runs)
    assert real.get_title() == "real data\n"


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\x00\x00", b"no picture"])
def test_a_damaged_picture_blocks_nothing(content: bytes, lab: Any) -> None:
    for name in ("none", "spectral_norm"):
        folder = lab.write(name, 0)
    (folder / "samples/000200.png").write_bytes(content)
    ring = lab.write("none", 0, "mixture(kind=ring)")
    (ring / "samples/real.npy").write_bytes(content)
    (ring / "samples/modes.npy").write_bytes(content)
    runs = collect(lab.root).runs
    assert [axes.get_title() for axes in panels("samples", runs)] == ["none\n"]
    assert [axes.get_title() for axes in panels("samples", runs, row=1)] == ["none\n"]
