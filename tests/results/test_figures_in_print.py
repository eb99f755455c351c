"""Figures in print: sizes, text and fonts; and what is said where one cannot be drawn."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snlab.cli import main
from snlab.core.errors import UserError
from snlab.core.resources import sweeps
from snlab.results.figures import FIGURES, PAPER, draw, picture
from snlab.results.figures.style import style
from snlab.results.reading import collect
from snlab.tracking.run_folder import DIVERGED, Run
from tests.results.figure_runs import COLUMN, PAGE, entries, figure, runs_for_all, write


def check_print(make: Callable[[list[Run], float], Any], runs: list[Run], width: float, name: str) -> None:
    """Nothing is cut or lies over a title or a legend, and all text is of 7 to 9 points."""
    import matplotlib.text

    with style():
        made = make(runs, width)
        made.set_dpi(100)
        made.draw_without_rendering()  # which makes the layout
        assert made.get_figwidth() == width
        drawn = made.get_tightbbox().padded(-0.01)  # inches
        assert drawn.x0 >= 0, name
        assert drawn.y0 >= 0, name
        assert drawn.x1 <= made.get_figwidth(), name
        assert drawn.y1 <= made.get_figheight(), name
        for text in made.findobj(matplotlib.text.Text):
            assert not text.get_text() or 7 <= text.get_fontsize() <= 9, (name, text)
        for band in made.subfigs:
            for axes in band.axes:
                box = axes.get_tightbbox()
                assert axes.get_window_extent().height > 45, name  # of 100 an inch
                assert not band._suptitle.get_window_extent().overlaps(box), name
                assert not any(legend.get_window_extent().overlaps(box) for legend in band.legends), name


@pytest.mark.slow
@pytest.mark.parametrize("width", [COLUMN, PAGE])
def test_a_papers_figures_are_of_print_size(width: float, lab: Any) -> None:
    runs_for_all(lab)
    runs = collect(lab.root).runs
    for name, make in PAPER.items():
        check_print(make, runs, width, name)


@pytest.mark.slow
@pytest.mark.parametrize("width", [COLUMN, PAGE])
def test_all_other_figures_are_of_print_size_too(width: float, lab: Any) -> None:
    """Of images and of points; of names, and a setting, that take more than a line."""
    long = "gradient_penalty(kind=one_sided, target=1.5, weight=2.5)+spectral_norm"
    lab.write(long, 0, loss="hinge", batch_size=32)
    lab.write("none", 0, loss="wasserstein")
    lab.write("none", 0, "mixture(kind=ring)")
    lab.write(long, 1, "mixture(kind=ring)", outcome=DIVERGED, until=100)
    runs = collect(lab.root).runs
    for name, make in FIGURES.items():
        check_print(make, runs, width, name)


@pytest.mark.slow
def test_fonts_are_embedded_and_bytes_repeat(lab: Any, tmp_path: Path) -> None:
    runs_for_all(lab)
    runs = collect(lab.root).runs
    for name in ("sigma", "miyato2018/figure1"):
        draw(name, runs, tmp_path / "figure.pdf")
        content = (tmp_path / "figure.pdf").read_bytes()
        assert b"/FontFile2" in content, name  # TrueType, in the file
        assert b"/Type3" not in content, name
    assert content == picture(name, runs, "pdf")


def test_the_width_is_a_columns_a_pages_or_inches(lab: Any, tmp_path: Path) -> None:
    from matplotlib.image import imread

    write(lab, "spectral_norm", "C", metrics=lambda *_: {"sigma/exact/conv1": 1.0})
    runs = collect(lab.root).runs
    for width, pixels in ((None, 975), ("column", 975), ("page", 2025), ("4.5", 1350)):
        draw("miyato2018/figure9", runs, tmp_path / "figure.png", width)
        assert imread(tmp_path / "figure.png").shape[1] == pixels
    for wrong in ("colum", "0", "nan", "400"):
        with pytest.raises(UserError, match=rf"--width {wrong}: column \(3.25 in\), page \(6.75 in\) or"):
            draw("miyato2018/figure9", runs, tmp_path / "other.png", wrong)
        with pytest.raises(UserError, match=rf"--width {wrong}: column"):
            draw("sigma", runs, tmp_path / "other.png", wrong)
    with pytest.raises(UserError, match="unknown figure 'miyato2018/figure5'; miyato2018 has figure1, "):
        draw("miyato2018/figure5", runs, tmp_path / "other.png")
    assert not (tmp_path / "other.png").exists()


def test_a_figure_that_no_page_holds_is_told_in_one_line(
    lab: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n_dis in range(1, 7):
        lab.write("none", 0, n_dis=n_dis, name=str(n_dis), metrics=lambda *_: {"sigma/exact/conv1": 1.0})
    out = tmp_path / "sigma.svg"
    words = ["figure", "sigma", "--runs", str(lab.root), "--out", str(out), "--width"]
    for width, told in (("column", True), ("page", False)):
        if not told:
            lab.root.joinpath("6").rename(tmp_path / "6")
            lab.root.joinpath("5").rename(tmp_path / "5")
        assert main([*words, width]) == 0
        (height,) = re.findall(r'height="([\d.]+)pt"', out.read_text(encoding="utf-8")[:2000])
        inches = float(height) / 72
        assert (inches > 9) == told
        said = capsys.readouterr().err
        assert said.count("\n") == told
        assert said.startswith(f"{out} is {inches:.1f} inches high, and a page holds 9: " if told else "")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("figure1", "inception_score/EXTRACTOR"), ("figure2", "fid/EXTRACTOR"), ("figure3", "spectrum/LAYER"),
        ("figure4", "last_width"), ("figure9", "setting C (lr 0.0002, betas 0.5 and 0.999, n_dis 1)"),
        ("figure10", "time/generator_steps_per_second"), ("figure11", "setting D (lr 0.001"),
        ("figure15", "loss/discriminator_heldout"),
    ],
)  # fmt: skip
def test_what_a_figure_misses_is_one_line_with_the_sweep_that_makes_it(
    name: str, wanted: str, lab: Any
) -> None:
    write(lab, "none", "B", metrics=lambda *_: {"loss/discriminator": 1.0})
    write(lab, "none", "B", 1, metrics=lambda *_: {"loss/discriminator": 1.0})
    with pytest.raises(UserError) as told:
        picture(f"miyato2018/{name}", collect(lab.root).runs)
    message = str(told.value)
    assert message.startswith(f"miyato2018/{name} wants ")
    assert wanted in message
    assert "\n" not in message
    assert "of these 2 runs none is one" in message
    named = message.split("snlab sweep ")[1].replace(" or ", ", ").split(", ")
    assert named
    assert {*named} <= {*sweeps()}


def test_the_command_draws_or_says_what_is_missing(
    lab: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(lab, "spectral_norm", "C", metrics=lambda *_: {"sigma/exact/conv1": 1.0})
    out, runs = tmp_path / "made" / "figure.svg", ["--runs", str(lab.root)]
    assert main(["figure", "miyato2018/figure9", *runs, "--out", str(out), "--width", "page"]) == 0
    assert b'width="486pt"' in out.read_bytes()  # 6.75 inches
    other = tmp_path / "other" / "figure.svg"
    assert main(["figure", "miyato2018/figure4", *runs, "--out", str(other)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("snlab: miyato2018/figure4 wants runs of spectral_norm and orthonormal")
    assert told.count("\n") == 1
    assert not other.parent.exists()


def test_more_panels_than_a_figure_holds_are_counted(lab: Any) -> None:
    for i in range(10):
        write(lab, "spectral_norm", "C", batch_size=i + 1, metrics=lambda *_: {"sigma/exact/conv1": 1.0})
    bands = figure(9, lab).subfigs
    assert len(bands) == 8
    assert "(the first 8 of 10 are shown)" in bands[-1].get_suptitle().replace("\n", " ")


def test_a_damaged_run_is_not_drawn(lab: Any) -> None:
    write(lab, "spectral_norm", "C", metrics=lambda *_: {"sigma/exact/conv1": 1.0})
    folder = write(lab, "spectral_norm", "C", 1, metrics=lambda *_: {"sigma/exact/conv1": 2.0})
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:3]))
    (band,) = figure(9, lab).subfigs
    assert [line.get_ydata()[-1] for line in band.axes[0].lines if len(line.get_xdata()) > 2] == [1.0]


def test_a_dollar_sign_and_an_underscore_are_what_they_are(lab: Any) -> None:
    """matplotlib would read mathematics between dollars, and hide a legend's entry after an underscore."""

    def odd(*_: Any) -> dict[str, Any]:
        return {"sigma/exact/_conv$1": 1.0, "sigma/exact/_conv$2": 1.0, "inception_score/$E$": 2.0}

    write(lab, "spectral_norm", "C", metrics=odd)
    write(lab, "$x^{$", "A", metrics=odd)
    runs = collect(lab.root).runs
    assert picture("miyato2018/figure1", runs, "svg").startswith(b"<?xml")
    assert picture("miyato2018/figure9", runs, "svg").startswith(b"<?xml")
    assert entries(figure(9, lab).subfigs[0]) == [" _conv$1", " _conv$2"]
