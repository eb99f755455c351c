from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snlab.core.errors import UserError
from snlab.results.collect import collect
from snlab.results.colours import colour
from snlab.results.figures import FIGURES, draw, picture
from snlab.results.figures.samples import last_sample
from snlab.results.figures.style import style
from snlab.tracking.run_folder import DIVERGED, Run


def figure(name: str, runs: list[Run]) -> Any:
    with style():
        return FIGURES[name](runs)


def panels(name: str, runs: list[Run], row: int = 0) -> list[Any]:
    return figure(name, runs).subfigs[row].axes


def curves(axes: Any, normalizer: str) -> list[Any]:
    return [
        line
        for line in axes.lines
        if line.get_color() == colour(normalizer) and line.get_linestyle() != "None"
    ]


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_figures_are_drawn_and_not_blank(name: str, demo: list[Run], tmp_path: Path) -> None:
    from matplotlib.image import imread

    draw(name, demo, tmp_path / "made" / f"{name}.png")
    image = imread(tmp_path / "made" / f"{name}.png")
    assert image.shape[1] == 2000
    assert image[..., :3].std() > 0.03
    assert np.all(image[:3, :, :3] == 1)  # a margin: nothing is cut off at the top
    assert FIGURES[name].__doc__


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
        picture(name, collect(lab.root))


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
    axes, _ = panels("fidelity", demo, row=1)
    assert "high-quality" in axes.get_ylabel()
    assert axes.get_yscale() == "linear"


def test_scores_of_other_extractor_weights_get_panels_of_their_own(lab: Any) -> None:
    lab.write("none", 0, digest="a" * 64)
    lab.write("none", 1, digest="b" * 64)
    made = figure("fidelity", collect(lab.root))
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
    assert len(panels("sigma", collect(lab.root))) == 6
    assert len(panels("samples", collect(lab.root))) == 6


def test_ratio_panels_hold_what_was_logged(demo: list[Run]) -> None:
    digits, ring = (panels("ratio", demo, row) for row in (0, 1))
    assert len(digits) == 6
    assert len(ring) == 8
    assert "saturation" in digits[0].get_title(loc="left")
    assert max(curves(digits[0], "none")[0].get_ydata()) == pytest.approx(0.9)


def test_a_spike_does_not_flatten_the_rest(lab: Any) -> None:
    lab.write("none", metrics=lambda n, s, step, p: {"ratio/log_mass_fake": 1e3 if step == 50 else 1.0})
    (axes,) = panels("ratio", collect(lab.root))
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
    (axes,) = panels("samples", collect(lab.root))
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
    axes = panels("samples", collect(lab.root))
    assert len({a.get_xlim() for a in axes}) == 1
    assert 1 < axes[0].get_xlim()[1] < 3
    assert len(axes[2].collections[0].get_offsets()) == 400


def test_drawing_leaves_matplotlib_as_it_was(demo: list[Run]) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    picture("fidelity", demo)
    assert dict(matplotlib.rcParams) == before
    assert io.BytesIO(picture("fidelity", demo, dpi=20)).read(4) == b"\x89PNG"
