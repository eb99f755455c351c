"""What the charts of the offline page draw, in a real Chromium: against what the run folders hold."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from snlab.results import looks
from snlab.results.reading import collect
from snlab.tracking.run_folder import DIVERGED, Run
from tests.results.browser import chromium, needs_chromium, opened, path, shown
from tests.results.conftest import EXTRACTOR, LAYERS, Lab, digits_metrics

pytestmark = [needs_chromium, pytest.mark.slow]
__all__ = ["chromium", "path"]

FID = f"scores.0.fid/{EXTRACTOR}"
MASS = "ratio.0.ratio/log_mass_fake"
SVG = "{http://www.w3.org/2000/svg}"
SOFT = "#5b636b"  # the page's soft ink


def rough(normalizer: str, seed: int, step: int, progress: float) -> dict[str, Any]:
    """Measures that go up and down, with the speed of training and all that is logged of the ratio."""
    row = digits_metrics(normalizer, seed, step, progress)
    wave = np.cos(step / 15 + seed)
    row[f"fid/{EXTRACTOR}"] += 20 * wave
    row["lipschitz/gradient_max"] = 0.3 + 0.2 * wave
    row["ratio/log_mass_fake"] = -4 * progress + 0.2 * wave - 0.1
    row |= {f"sigma/power_iteration/{layer}": 0.9 for layer in LAYERS}
    row |= {f"ratio/{name}": 0.1 + 0.05 * wave for name in ("log_mass_real", "js_bound", "true_bias")}
    row |= {"ratio/accuracy_heldout": 0.7, "ratio/true_slope": 0.4, "ratio/true_rmse_real_tail": 3.0}
    row |= {"ratio/calibrated/log_mass_fake": 0.5, "ratio/calibrated/true_slope": 0.8}
    speed = 4.0 if step <= 100 else 2.0
    return row | {"time/generator_steps_per_second": speed * (1 + seed), "time/diagnostics_share": 0.2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two seeds of two normalizers; one of them diverged at update 100 of 200."""
    lab = Lab(tmp_path_factory.mktemp("charts") / "runs")
    for normalizer in ("none", "spectral_norm"):
        for seed in (0, 1):
            ended = (normalizer, seed) == ("none", 1)
            ending = {"outcome": DIVERGED, "until": 100} if ended else {}
            lab.write(normalizer, seed, metrics=rough, **ending)
    return collect(lab.root).runs


@pytest.fixture(scope="module")
def tab(path: Path, chromium: Any) -> Iterator[Any]:
    """The page as it opens, for tests that leave the view as it was."""
    with opened(chromium, path) as tab:
        yield tab


def logged(runs: list[Run], normalizer: str, name: str, seed: int) -> dict[int, float]:
    """What the run's own file has under a name, by update."""
    (run,) = (run for run in runs if (run.normalizer, run.seed) == (normalizer, seed))
    lines = map(json.loads, (run.folder / "metrics.jsonl").read_text().splitlines())
    return {row["generator_step"]: row[name] for row in lines if name in row}


DRAWN = """panel => {
    const { plot, drawn } = document.querySelector(`[data-panel="${CSS.escape(panel)}"]`).chart;
    const { x, y } = plot.scales;
    return {
        kind: y.distr, low: y.min, high: y.max, from: x.min, to: x.max, label: drawn.xLabel,
        lines: drawn.lines.map((line, i) => ({
            label: line.label, width: plot.series[i + 1].width, dash: plot.series[i + 1].dash ?? [],
            colour: plot.series[i + 1].stroke(),
            points: plot.data[0].map((at, k) => [at, plot.data[i + 1][k]]).filter(([, v]) => v != null),
        })),
    };
}"""


def drawn(tab: Any, panel: str) -> dict[str, Any]:
    """What the plotting library was given: its lines with their points, and the ends of its axes."""
    shown(tab, panel)
    found = tab.evaluate(DRAWN, panel)
    for line in found["lines"]:
        line["points"] = dict(line["points"])
    return dict(found)


def line(found: dict[str, Any], label: str, wanted: Callable[[Any], bool] = lambda _: True) -> dict[str, Any]:
    (only,) = (one for one in found["lines"] if one["label"] == label and wanted(one))
    return dict(only)


def near(points: dict[float, float], rel: float = 1e-5) -> Any:
    return pytest.approx(points, rel=rel, abs=1e-6)


def exported(tab: Any, panel: str) -> ElementTree.Element:
    """The panel as it is saved."""
    shown(tab, panel)
    menu = tab.locator(f'[data-panel="{panel}"] details.export')
    menu.locator("summary").click()
    with tab.expect_download() as found:
        menu.get_by_role("button", name="SVG").click()
    return ElementTree.fromstring(Path(found.value.path()).read_text(encoding="utf-8"))


def texts(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


# ---- curves ----------------------------------------------------------------------------------------------


def test_the_mean_goes_on_thinner_over_the_seeds_that_are_left(tab: Any, runs: list[Run]) -> None:
    name = f"fid/{EXTRACTOR}"
    left, ended = (logged(runs, "none", name, seed) for seed in (0, 1))
    found = drawn(tab, FID)
    whole, rest = (one for one in found["lines"] if one["label"] == "none")
    assert whole["points"] == near({step: (left[step] + ended[step]) / 2 for step in ended})
    # It begins where the other ends, and has the update of no seed that is not there any more.
    assert rest["points"] == near({100: (left[100] + ended[100]) / 2, 150: left[150], 200: left[200]})
    assert rest["width"] < whole["width"]
    tab.locator(f'[data-panel="{FID}"] .plot').focus()
    told = []
    for _ in range(6):
        tab.keyboard.press("ArrowRight")
        tip = tab.locator(f'[data-panel="{FID}"] .tip')
        names = tip.locator(".name").all_text_contents()
        assert sorted(names) == ["none", "spectral norm"]
        told.append(tip.locator(".band").all_text_contents()[names.index("none")])
    assert [text.rpartition("n=")[2] for text in told] == ["2"] * 4 + ["1 of 2"] * 2
    texts_of_svg = ElementTree.tostring(exported(tab, FID), encoding="unicode")
    assert 'stroke-width="1"' in texts_of_svg


def test_single_runs_are_drawn_on_demand(path: Path, runs: list[Run], chromium: Any) -> None:
    with opened(chromium, path) as tab:
        assert len(drawn(tab, FID)["lines"]) == 3
        tab.locator(".view > summary").click()
        tab.get_by_label("single runs").check()
        found = drawn(tab, FID)
        for normalizer in ("none", "spectral_norm"):
            for seed in (0, 1):
                own = line(found, f"{looks.label(normalizer)}, seed {seed}")
                assert own["points"] == near(logged(runs, normalizer, f"fid/{EXTRACTOR}", seed))


def test_smoothing_is_a_moving_average_without_a_bias(path: Path, runs: list[Run], chromium: Any) -> None:
    def smooth(values: dict[int, float], weight: float) -> np.ndarray:
        """Kingma and Ba 2015, section 3, as a weighted mean of all values so far."""
        seen = np.array([*values.values()])
        means = []
        for i in range(len(seen)):
            weights = weight ** np.arange(i, -1, -1)
            means.append(float(weights @ seen[: i + 1] / weights.sum()))
        return np.array(means)

    seeds = [logged(runs, "spectral_norm", f"fid/{EXTRACTOR}", seed) for seed in (0, 1)]
    with opened(chromium, path, "#smooth=0.6") as tab:
        found = drawn(tab, FID)
    thick = line(found, "spectral norm", lambda one: one["width"] == 2)
    mean = np.mean([smooth(values, 0.6) for values in seeds], axis=0)
    assert thick["points"] == near(dict(zip(seeds[0], mean, strict=True)))
    pale = line(found, "spectral norm", lambda one: one["width"] == 1)
    assert pale["points"] == near({step: (seeds[0][step] + seeds[1][step]) / 2 for step in seeds[0]})


def test_wall_time_is_that_of_the_logged_speed(path: Path, runs: list[Run], chromium: Any) -> None:
    """Update 100 after 25 s of training at 4 a second, 200 after 75 s; a fifth more goes to measuring."""
    with opened(chromium, path, "#x=time") as tab:
        found = drawn(tab, FID)
    seconds = [np.interp([0, 20, 50, 100, 150, 200], [0, 100, 200], [0, 25, 75]) / (1 + seed) / 0.8
               for seed in (0, 1)]  # fmt: skip
    assert found["label"] == "wall time (s)"
    assert [*line(found, "spectral norm")["points"]] == pytest.approx(np.mean(seconds, axis=0), abs=2e-3)
    assert found["to"] == pytest.approx(75 / 0.8)
    rest = line(found, "none", lambda one: one["width"] == 1)
    assert [*rest["points"]][1:] == pytest.approx(
        seconds[0][4:], abs=2e-3
    )  # the seed that is left has its own


def test_axes_are_logarithmic_linear_or_as_fits(path: Path, chromium: Any) -> None:
    panels = (FID, f"scores.0.recall/{EXTRACTOR}", MASS)
    for fragment, kinds in (("", [3, 1, 1]), ("#axis=log", [3, 3, 4]), ("#axis=linear", [1, 1, 1])):
        with opened(chromium, path, fragment) as tab:
            assert [drawn(tab, panel)["kind"] for panel in panels] == kinds
    with opened(chromium, path) as tab:
        tab.locator(f'[data-panel="{FID}"]').get_by_role("button", name="log").click()
        assert drawn(tab, FID)["kind"] == 1
        svg = exported(tab, FID)
        ticks = [float(text) for text in texts(svg) if text.replace(".", "").isdigit()]
        assert {0.0, 100.0, 200.0, 300.0} <= {*ticks}


def test_a_zoom_fits_the_values_axis_too(path: Path, runs: list[Run], chromium: Any) -> None:
    name = f"fid/{EXTRACTOR}"
    values = [
        logged(runs, normalizer, name, seed)[step]
        for normalizer, seed in (("none", 0), ("spectral_norm", 0), ("spectral_norm", 1))
        for step in (150, 200)
    ]
    low, high = min(values), max(values)
    gap = max((high / low) ** 0.06, 1.02)
    with opened(chromium, path, "#zoom.scores.0=140_200") as tab:
        found = drawn(tab, FID)
    assert (found["from"], found["to"]) == (140, 200)
    assert (found["low"], found["high"]) == pytest.approx((low / gap, high * gap), rel=1e-4)


def test_the_optimum_is_drawn_on_the_screen_and_in_a_saved_figure(tab: Any) -> None:
    dark_share = """([panel, wanted]) => {
        const { plot } = document.querySelector(`[data-panel="${CSS.escape(panel)}"]`).chart;
        const { left, width } = plot.bbox;
        const at = Math.round(plot.valToPos(0, "y", true)) - 1;
        const { data } = plot.ctx.getImageData(left, at, width, 2);
        const rgb = [1, 3, 5].map((i) => parseInt(wanted.slice(i, i + 2), 16));
        let found = 0;
        for (let i = 0; i < data.length; i += 4)
            found += rgb.every((c, k) => Math.abs(data[i + k] - c) < 60);
        return found / width;
    }"""
    shown(tab, MASS)
    assert tab.evaluate(dark_share, [MASS, SOFT]) > 0.25  # it is dotted
    lines = [element.get("stroke-dasharray") for element in exported(tab, MASS).iter(f"{SVG}line")]
    assert lines.count("2 3") == 1
    lines = [element.get("stroke-dasharray") for element in exported(tab, FID).iter(f"{SVG}line")]
    assert lines.count("2 3") == 0


def test_a_cross_stands_where_a_run_diverged(tab: Any, runs: list[Run]) -> None:
    tips = """([panel, x, y, wanted]) => {
        const { plot } = document.querySelector(`[data-panel="${CSS.escape(panel)}"]`).chart;
        const [left, top] = [plot.valToPos(x, "x", true), plot.valToPos(y, "y", true)];
        const rgb = [1, 3, 5].map((i) => parseInt(wanted.slice(i, i + 2), 16));
        const { data } = plot.ctx.getImageData(Math.floor(left) - 3, Math.floor(top) - 3, 7, 7);
        return [0, 6, 42, 48].filter((at) => rgb.every((c, k) => Math.abs(data[4 * at + k] - c) < 50)).length;
    }"""
    value = logged(runs, "none", f"fid/{EXTRACTOR}", 1)[100]
    shown(tab, FID)
    assert tab.evaluate(tips, [FID, 100, value, looks.colour("none")]) >= 3
    paths = [element.get("d") or "" for element in exported(tab, FID).iter(f"{SVG}path")]
    assert len([d for d in paths if d.endswith("l8 8m0 -8l-8 8")]) == 1


# ---- layers ----------------------------------------------------------------------------------------------


def test_the_kinds_of_sigma_are_chosen(path: Path, chromium: Any) -> None:
    panel = "sigma.0.spectral_norm"
    with opened(chromium, path) as tab:
        boxes = tab.locator("#sigma .options")
        both = {*LAYERS, *(f"{layer}, raw weight" for layer in LAYERS)}
        assert {one["label"] for one in drawn(tab, panel)["lines"]} == both
        boxes.get_by_label("raw weight").uncheck()
        assert {one["label"] for one in drawn(tab, panel)["lines"]} == {*LAYERS}
        boxes.get_by_label("estimated in training").check()
        boxes.get_by_label("exact", exact=True).uncheck()
        found = drawn(tab, panel)
        assert {one["label"] for one in found["lines"]} == {f"{x}, estimated in training" for x in LAYERS}
        assert found["lines"][0]["points"][200] == pytest.approx(0.9)
        boxes.get_by_label("as a map on its input").check()
        assert len(drawn(tab, panel)["lines"]) == 2 * len(LAYERS)


def test_the_bound_and_the_gradients_have_one_axis(tab: Any) -> None:
    bound, gradient = (drawn(tab, f"lipschitz.0.lipschitz/{name}") for name in ("product", "gradient_max"))
    assert (bound["low"], bound["high"]) == (gradient["low"], gradient["high"])
    assert bound["low"] < 0.2  # the least gradient is near 0.1
    assert bound["high"] > 12  # the bound


# ---- density ratio ---------------------------------------------------------------------------------------


def test_every_measure_of_the_ratio_has_its_panel_and_its_optimum(tab: Any) -> None:
    assert tab.locator('#other [data-panel*="ratio/"]').count() == 0
    optima = {"log_mass_real": 1, "js_bound": 1, "true_bias": 1, "true_slope": 1, "accuracy_heldout": 0}
    for name, count in optima.items():
        svg = exported(tab, f"ratio.0.ratio/{name}")
        lines = [element.get("stroke-dasharray") for element in svg.iter(f"{SVG}line")]
        assert lines.count("2 3") == count, name
        assert not any("ratio/" in text or "_" in text for text in texts(svg)[-8:] if "fid" not in text)
    twin = "ratio.0.ratio/calibrated/log_mass_fake"
    assert tab.locator(f'[data-panel="{twin}"]').count() == 0
    tab.locator("#ratio").get_by_text("3 further panels").click()
    assert line(drawn(tab, twin), "spectral norm")["points"][200] == 0.5
    title = tab.locator(f'[data-panel="{twin}"] .title').text_content()
    assert title == "calibrated log mass on fakes (nats)"


# ---- what is saved ---------------------------------------------------------------------------------------

OUTSIDE = """() => [...document.querySelectorAll("figure.panel")].flatMap(({ chart }) => {
    const svg = chart.vector({ width: 480, height: 300 });
    document.body.append(svg);
    const frame = svg.getBoundingClientRect();
    const cut = [...svg.querySelectorAll("text")].filter((text) => {
        const box = text.getBoundingClientRect();
        return box.left < frame.left - 0.5 || box.right > frame.right + 0.5 || box.top < frame.top - 0.5
            || box.bottom > frame.bottom + 0.5;
    });
    svg.remove();
    return cut.map((text) => `${chart.id}: ${text.textContent}`);
})"""


def test_no_text_of_a_saved_figure_is_cut(path: Path, chromium: Any) -> None:
    with opened(chromium, path) as tab:
        tab.evaluate("document.querySelectorAll('details.folded').forEach((d) => { d.open = true; })")
        tab.wait_for_timeout(100)
        assert tab.locator("figure.panel").count() == 30
        assert tab.evaluate(OUTSIDE) == []


def test_a_saved_figure_says_what_it_is(tab: Any) -> None:
    svg = exported(tab, "sigma.0.spectral_norm")
    assert {"exact", "raw weight", "conv1", "dense"} <= {*texts(svg)}
    dashes = {element.get("stroke-dasharray") for element in svg.iter(f"{SVG}path")}
    assert "10 7.5" in dashes  # the mark in the key
    turned = [element.text for element in svg.iter(f"{SVG}text") if "rotate" in element.get("transform", "")]
    assert turned == ["σ"]
    turned = [
        element.text
        for element in exported(tab, MASS).iter(f"{SVG}text")
        if "rotate" in element.get("transform", "")
    ]
    assert turned == ["log mass on fakes (nats)"]


def test_a_panels_data_are_those_of_its_lines(tab: Any, runs: list[Run]) -> None:
    shown(tab, MASS)
    menu = tab.locator(f'[data-panel="{MASS}"] details.export')
    menu.locator("summary").click()
    with tab.expect_download() as found:
        menu.get_by_role("button", name="CSV").click()
    rows = [*csv.DictReader(io.StringIO(Path(found.value.path()).read_text(encoding="utf-8")))]
    own = {int(r["generator_step"]): float(r["value"]) for r in rows
       if (r["normalizer"], r["seed"]) == ("none", "1")}  # fmt: skip
    assert own == near(logged(runs, "none", "ratio/log_mass_fake", 1))
