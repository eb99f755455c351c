"""The offline page in a real Chromium: what a reader does with it, and what it shows then."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from snlab.results import looks
from snlab.results.reading import collect
from snlab.results.tables import make, render
from snlab.tracking.run_folder import Run
from tests.results.browser import chromium, needs_chromium, opened, path, pixels, shown, until
from tests.results.conftest import EXTRACTOR, Lab, fill, grid

pytestmark = [needs_chromium, pytest.mark.slow]
__all__ = ["chromium", "path"]

FID = f"scores.0.fid/{EXTRACTOR}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Four normalizers on two data sets, one diverged and one in progress, with images at two updates."""
    lab = Lab(tmp_path_factory.mktemp("browser") / "runs")
    fill(lab)
    for run in collect(lab.root).runs:
        if run.dataset == "digits":
            grid(run.folder / "samples", 50, 7 + run.seed)
    return collect(lab.root).runs


def logged(run: Run, name: str) -> dict[int, Any]:
    """What the run's own file has under a name, by update."""
    lines = map(json.loads, (run.folder / "metrics.jsonl").read_text().splitlines())
    return {row["generator_step"]: row[name] for row in lines if name in row}


def of(runs: list[Run], normalizer: str, dataset: str = "digits") -> list[Run]:
    return [run for run in runs if (run.normalizer, run.dataset) == (normalizer, dataset)]


def rows_of(tab: Any, table: int = 0) -> list[list[str]]:
    """The visible cells of a comparison table."""
    return tab.locator(f'[data-table="{table}"] tbody').first.evaluate(
        "body => [...body.rows].filter(r => !r.hidden).map(r => [...r.cells].map(c => c.textContent))"
    )


# ---- numbers ---------------------------------------------------------------------------------------------


def test_the_table_is_that_of_snlab_table(path: Path, runs: list[Run], chromium: Any) -> None:
    with opened(chromium, path) as tab:
        for place, table in enumerate(make("normalizers", runs)):
            printed = table.shown()
            element = tab.locator(f'[data-table="{place}"]')
            heads = element.locator("thead").first.locator("th").all_text_contents()
            assert heads == [column.title for column in printed.columns]
            plain = [[cell.full.replace("(", "").replace(")", "") for cell in row] for row in printed.rows]
            assert [[cell.replace(" *", "") for cell in row] for row in rows_of(tab, place)] == plain
            assert element.locator(".notes li").all_text_contents() == table.footnotes


def test_values_under_the_pointer_are_those_of_the_run_folders(
    path: Path, runs: list[Run], chromium: Any
) -> None:
    with opened(chromium, path) as tab:
        shown(tab, FID)
        box = tab.locator(f'[data-panel="{FID}"] .u-over').bounding_box()
        tab.mouse.move(box["x"] + 0.75 * box["width"] + 1, box["y"] + box["height"] / 2)  # update 150 of 200
        tip = tab.locator(f'[data-panel="{FID}"] .tip')
        assert tip.locator(".at").text_content() == "generator updates 150"
        names = tip.locator(".name").all_text_contents()
        numbers = [float(text) for text in tip.locator(".number").all_text_contents()]
        bands = tip.locator(".band").all_text_contents()
        assert bands[names.index("none")] == "n=1 of 2"  # the other diverged at update 100
        for normalizer in ("weight_norm", "gradient_penalty", "spectral_norm"):
            values = [logged(run, f"fid/{EXTRACTOR}")[150] for run in of(runs, normalizer)]
            i = names.index(looks.label(normalizer))
            assert numbers[i] == pytest.approx(np.mean(values), rel=1e-3)
            low, _, rest = bands[i].partition(" to ")
            assert float(low) == pytest.approx(min(values), rel=1e-3)
            assert float(rest.removesuffix(", n=2")) == pytest.approx(max(values), rel=1e-3)


def test_the_interval_is_students(path: Path, runs: list[Run], chromium: Any) -> None:
    from scipy import stats

    with opened(chromium, path, "#band=interval") as tab:
        shown(tab, FID)
        tab.locator(f'[data-panel="{FID}"] .plot').focus()
        for _ in range(5):
            tab.keyboard.press("ArrowRight")
        tip = tab.locator(f'[data-panel="{FID}"] .tip')
        i = tip.locator(".name").all_text_contents().index("spectral norm")
        values = [logged(run, f"fid/{EXTRACTOR}")[150] for run in of(runs, "spectral_norm")]
        low, high = stats.t.interval(0.95, 1, np.mean(values), stats.sem(values))
        told_low, _, rest = tip.locator(".band").all_text_contents()[i].partition(" to ")
        assert float(told_low.replace("−", "-")) == pytest.approx(low, rel=1e-3)
        assert float(rest.removesuffix(", n=2")) == pytest.approx(high, rel=1e-3)


def saved(tab: Any, panel: str, kind: str) -> bytes:
    """What the panel's menu saves."""
    shown(tab, panel)
    menu = tab.locator(f'[data-panel="{panel}"] details.export')
    menu.locator("summary").click()
    with tab.expect_download() as found:
        menu.get_by_role("button", name=kind).click()
    return Path(found.value.path()).read_bytes()


def test_a_panels_csv_is_what_the_runs_logged(path: Path, runs: list[Run], chromium: Any) -> None:
    with opened(chromium, path) as tab:
        rows = [*csv.DictReader(io.StringIO(saved(tab, FID, "CSV").decode()))]
    wanted = {
        (run.folder.name, step): value
        for run in runs if run.dataset == "digits"
        for step, value in logged(run, f"fid/{EXTRACTOR}").items()
    }  # fmt: skip
    found = {(row["run"], int(row["generator_step"])): float(row["value"]) for row in rows}
    assert found == pytest.approx(wanted, rel=1e-6)
    assert len(rows) == len(wanted)
    assert {row["normalizer"] for row in rows} == {run.normalizer for run in runs}


def test_the_tables_csv_is_that_of_snlab_table(path: Path, runs: list[Run], chromium: Any) -> None:
    with opened(chromium, path) as tab:
        with tab.expect_download() as found:
            tab.locator('[data-table="0"]').get_by_role("button", name="CSV").click()
        ours = [*csv.reader(io.StringIO(Path(found.value.path()).read_text(encoding="utf-8")))]
    theirs = [*csv.reader(io.StringIO(render(make("normalizers", runs)[0], "csv")))]
    assert ours[0] == theirs[0]
    for own, other in zip(ours[1:], theirs[1:], strict=True):
        assert [_number(text) for text in own] == [_number(text) for text in other]


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def test_a_panel_is_saved_as_svg_and_png(path: Path, chromium: Any) -> None:
    with opened(chromium, path) as tab:
        svg = ElementTree.fromstring(saved(tab, FID, "SVG").decode())
        png = saved(tab, FID, "PNG")
    name = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in svg.iter(f"{name}text")]
    assert f"FID ({EXTRACTOR}), digits, seeds 0 and 1" in texts
    assert {"none", "weight norm", "gradient penalty", "spectral norm", "generator updates"} <= {*texts}
    strokes = [element.get("stroke") for element in svg.iter(f"{name}path")]
    assert {looks.colour(n) for n in ("none", "weight_norm", "spectral_norm")} <= {*strokes}
    assert png.startswith(b"\x89PNG")
    width, height = (int.from_bytes(png[at : at + 4]) for at in (16, 20))
    assert (width, height >= 3 * 300) == (3 * 480, True)


# ---- what a reader does ----------------------------------------------------------------------------------


def test_a_click_on_a_columns_head_sorts_by_its_numbers(path: Path, runs: list[Run], chromium: Any) -> None:
    fids = {
        looks.label(n): np.mean([
            logged(r, f"fid/{EXTRACTOR}")[200] for r in of(runs, n) if r.outcome == "finished"
        ])
        for n in ("none", "weight_norm", "gradient_penalty", "spectral_norm")
    }  # fmt: skip
    ascending = sorted(fids, key=lambda name: fids[name])
    with opened(chromium, path) as tab:
        before = [row[0] for row in rows_of(tab)]
        head = tab.locator('[data-table="0"] thead').first.get_by_role("button", name="FID")
        for order, way in ((ascending, "ascending"), (ascending[::-1], "descending"), (before, "none")):
            head.click()
            assert [row[0] for row in rows_of(tab)] == order
            assert head.locator("..").get_attribute("aria-sort") == way


def test_a_click_in_the_legend_hides_a_normalizer_in_every_panel(path: Path, chromium: Any) -> None:
    panels = [FID, "ratio.0.ratio/drift", "spectra.0.conv1", "scores.1.modes/covered"]
    blue = looks.colour("spectral_norm")
    with opened(chromium, path) as tab:

        def count() -> list[int]:
            for panel in panels:
                shown(tab, panel)
            return [pixels(tab, panel, blue) for panel in panels]

        assert min(count()) > 50
        tab.locator('.legend [data-normalizer="spectral_norm"]').click()
        assert count() == [0, 0, 0, 0]
        assert "spectral norm" not in [row[0] for row in rows_of(tab)]
        assert not tab.locator('.tile[data-normalizer="spectral_norm"]').first.is_visible()
        assert not tab.locator('[data-panel="sigma.0.spectral_norm"]').is_visible()
        tab.locator('.legend [data-normalizer="spectral_norm"]').click()
        assert min(count()) > 50


def test_the_filter_and_a_link_with_a_view(path: Path, chromium: Any) -> None:
    with opened(chromium, path) as tab:
        tab.locator(".filter > summary").click()
        tab.locator('[data-facet="seed"]').get_by_label("1", exact=True).uncheck()
        tab.locator('[data-facet="dataset"]').get_by_label("mixture(kind=ring)").uncheck()
        assert tab.locator(".filter > summary").text_content() == "Filter (4 of 12 runs)"
        tab.keyboard.press("Escape")
        tab.locator('[data-table="0"] thead').first.get_by_role("button", name="FID").click()
        until(tab, "location.hash.includes('sort.0')")
        link = tab.evaluate("location.hash")
    with opened(chromium, path, link) as tab:
        assert tab.locator(".filter > summary").text_content() == "Filter (4 of 12 runs)"
        assert not tab.locator('#scores [data-comparison="1"]').is_visible()
        assert rows_of(tab)[0][0] == "spectral norm"
        visible = tab.locator("#runs tbody tr:not(.more)").evaluate_all(
            "rows => rows.filter(r => !r.hidden).length"
        )
        assert visible == 4
        csv_rows = [*csv.DictReader(io.StringIO(saved(tab, FID, "CSV").decode()))]
        assert {row["seed"] for row in csv_rows} == {"0"}


def test_the_slider_moves_samples_of_all_normalizers(path: Path, runs: list[Run], chromium: Any) -> None:
    def files(tab: Any) -> dict[str, bytes]:
        tiles = tab.locator('#samples [data-comparison="0"] .tile')
        sources = tiles.evaluate_all("ts => ts.map(t => [t.dataset.normalizer, t.querySelector('img').src])")
        return {name: base64.b64decode(source.partition(",")[2]) for name, source in sources}

    def saved_at(step: int) -> dict[str, bytes]:
        return {
            run.normalizer: (run.folder / f"samples/{step:06d}.png").read_bytes()
            for run in runs if (run.dataset, run.seed) == ("digits", 0)
        }  # fmt: skip

    with opened(chromium, path) as tab:
        assert files(tab) == saved_at(200)
        tab.locator('[data-slider="at.samples"] input').focus()
        tab.keyboard.press("Home")
        assert files(tab) == saved_at(50)
        until(tab, "location.hash.includes('at.samples=50')")


def test_the_slider_moves_spectra(path: Path, runs: list[Run], chromium: Any) -> None:
    panel = "spectra.0.conv2"
    with opened(chromium, path, "#hide.normalizer=none") as tab:
        shown(tab, panel)
        steps = tab.locator('[data-slider="at.spectra"] output')
        assert steps.text_content() == "update 200"
        tab.locator('[data-slider="at.spectra"] input').focus()
        tab.keyboard.press("Home")
        assert steps.text_content() == "update 0"
        rows = [*csv.DictReader(io.StringIO(saved(tab, panel, "CSV").decode()))]
        tab.locator(f'[data-panel="{panel}"] .plot').focus()
        for _ in range(3):
            tab.keyboard.press("ArrowRight")
        tip = tab.locator(f'[data-panel="{panel}"] .tip')
        told = dict(zip(tip.locator(".name").all_text_contents(), tip.locator(".number").all_text_contents(),
                        strict=True))  # fmt: skip
    for run in of(runs, "weight_norm"):
        spectrum = logged(run, "spectrum/conv2")[0]
        assert float(told["weight norm"]) == pytest.approx(spectrum[2], rel=1e-3)
        found = [float(r["squared_over_largest"]) for r in rows
                 if r["run"] == run.folder.name and r["generator_step"] == "0"]  # fmt: skip
        assert found == pytest.approx(spectrum, rel=1e-6)


def test_a_zoom_holds_for_the_whole_row(path: Path, chromium: Any) -> None:
    other = f"scores.0.kid/{EXTRACTOR}"
    with opened(chromium, path) as tab:
        shown(tab, other)
        shown(tab, FID)
        before = tab.locator(f'[data-panel="{other}"] canvas').evaluate("canvas => canvas.toDataURL()")
        box = tab.locator(f'[data-panel="{FID}"] .u-over').bounding_box()
        tab.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 50)
        tab.mouse.down()
        tab.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 60, steps=4)
        tab.mouse.up()
        until(tab, "location.hash.includes('zoom.scores.0')")
        low, high = tab.evaluate("new URLSearchParams(location.hash.slice(1)).get('zoom.scores.0')").split(
            "_"
        )
        assert (float(low), float(high)) == pytest.approx((50, 150), abs=2)
        assert (
            tab.locator(f'[data-panel="{other}"] canvas').evaluate("canvas => canvas.toDataURL()") != before
        )
        tab.locator('#scores [data-comparison="0"] .reset').click()
        after = tab.locator(f'[data-panel="{other}"] canvas').evaluate("canvas => canvas.toDataURL()")
        assert after == before


def test_sigma_by_layer_and_columns_of_choice(path: Path, chromium: Any) -> None:
    with opened(chromium, path) as tab:
        titles = tab.locator('#sigma [data-comparison="0"] figcaption .title')
        assert titles.all_text_contents() == ["none", "weight norm", "gradient penalty", "spectral norm"]
        tab.locator("#sigma select").select_option("layer")
        assert titles.all_text_contents() == ["conv1", "conv2", "conv3", "dense"]
        menu = tab.locator('[data-table="0"] details.columns')
        menu.locator("summary").click()
        menu.get_by_label(f"FID ({EXTRACTOR})").uncheck()
        menu.get_by_label(f"precision ({EXTRACTOR})").check()
        heads = tab.locator('[data-table="0"] thead').first.locator("th").all_text_contents()
        assert f"FID ({EXTRACTOR})" not in heads
        assert f"precision ({EXTRACTOR})" in heads


def test_a_run_says_how_it_is_repeated(path: Path, runs: list[Run], chromium: Any) -> None:
    run = of(runs, "none")[1]
    with opened(chromium, path) as tab:
        tab.locator("#runs button.open").get_by_text(run.folder.name, exact=True).click()
        told = tab.locator("#runs tr.more:not([hidden])").text_content()
    for text in (str(run.folder), "OMP_NUM_THREADS=1 snlab fit --config", "--again",
                 "diverged: the loss is not finite, 100 of 200", "12.5 s",
                 "torch 2.11.0", "x86_64 CPU", "seed_everything: 1"):  # fmt: skip
        assert text in told


def test_the_keyboard_reaches_everything(path: Path, chromium: Any) -> None:
    with opened(chromium, path) as tab:
        reached = set()
        for _ in range(60):
            tab.keyboard.press("Tab")
            reached.add(tab.evaluate(
                "(e => e.closest('[data-panel]')?.dataset.panel ?? e.dataset.normalizer ?? e.textContent)"
                "(document.activeElement)"
            ))  # fmt: skip
    assert {"Filter", "View", "spectral_norm", FID, "Columns"} <= reached
