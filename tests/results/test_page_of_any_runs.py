"""The offline page in a real Chromium, of whatever runs there are: hostile, none, many, on any screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snlab.results import looks
from snlab.results.reading import collect
from snlab.results.report import page, report, runs_of
from snlab.tracking.run_folder import DIVERGED, UNFINISHED, Run
from tests.results.browser import chromium, needs_chromium, opened, opening_seconds, shown
from tests.results.conftest import EXTRACTOR, LAYERS, Lab, fill, ring_modes

pytestmark = [needs_chromium, pytest.mark.slow]
__all__ = ["chromium"]

EVIL = (
    "</script><script>window.pwned=1</script><img src=x onerror='window.pwned=1'> \"'`& <!-- \u2028 😀 שלום"
)
LONG = "long " * 2_000


def made(lab: Any, out: Path) -> Path:
    found = runs_of(lab.root)
    report(found.runs, out, found.skipped)
    return out


def test_what_runs_say_is_shown_and_never_executed(lab: Any, tmp_path: Path, chromium: Any) -> None:
    folder = lab.write(EVIL, 0, name="<b>&quot;😀", network=EVIL, loss=EVIL, until=20, note="x" * 3_000)
    lab.write("javascript:alert(1)", 0, name="other", outcome=DIVERGED, until=20, machine=EVIL, note=LONG)
    summary = lab.root / "other" / "summary.json"
    summary.write_text(summary.read_text().replace("the loss is not finite", LONG.strip()))
    (lab.write(EVIL, 1, name="<i>broken<i>") / "config.yaml").write_text("a: [")
    path = made(lab, tmp_path / "a.html")
    with opened(chromium, path) as tab:
        for opener in tab.locator("#runs button.open").all():
            opener.click()
        text = tab.locator("main").text_content()
        for told in (EVIL, LONG.strip(), folder.name, "<i>broken<i>"):
            assert told in text
        assert tab.evaluate("window.pwned") is None
        assert tab.locator("main").locator("script, b, i, img[onerror]").count() == 0
        assert tab.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_link_can_do_no_harm(lab: Any, tmp_path: Path, chromium: Any) -> None:
    lab.write("none")
    path = made(lab, tmp_path / "a.html")
    view = "#theme=%3Cscript%3E&sort.0=<img>~up&zoom.scores.0=x_y&smooth=5&at.samples=nan&hide.seed=</script>"
    with opened(chromium, path, view) as tab:
        assert tab.locator("#comparison tbody tr").count() == 1


# ---- any folder ------------------------------------------------------------------------------------------


def test_an_empty_folder(lab: Any, tmp_path: Path, chromium: Any) -> None:
    lab.root.mkdir()
    with opened(chromium, made(lab, tmp_path / "a.html")) as tab:
        assert "No run is there yet." in tab.locator("main").text_content()


def test_one_run_in_progress_beside_a_broken_one(lab: Any, tmp_path: Path, chromium: Any) -> None:
    lab.write("spectral_norm", outcome=UNFINISHED, until=100)
    (lab.write("none", name="bad") / "config.yaml").unlink()
    with opened(chromium, made(lab, tmp_path / "a.html")) as tab:
        assert "1 run: spectral norm; on digits." in tab.locator("header").text_content()
        assert "1 left out of the scores: unfinished" in tab.locator("#comparison").text_content()
        skipped = tab.locator("#runs .skipped").text_content()
        assert "bad" in skipped
        assert "config.yaml is gone" in skipped
        shown(tab, f"scores.0.fid/{EXTRACTOR}")


def test_a_run_that_has_logged_nothing_yet(lab: Any, tmp_path: Path, chromium: Any) -> None:
    (lab.write("none", outcome=UNFINISHED, until=0) / "metrics.jsonl").unlink()
    with opened(chromium, made(lab, tmp_path / "a.html")) as tab:
        assert tab.locator("#runs tbody tr:not(.more)").count() == 1


def test_twelve_normalizers_of_which_one_diverged(lab: Any, tmp_path: Path, chromium: Any) -> None:
    names = ["none", "weight_norm", "gradient_penalty", "spectral_norm", "layer_norm", "batch_norm", "r1",
             "weight_clipping", "orthonormal", "lecam", "dragan", "frobenius_norm", "r2"]  # fmt: skip
    for name in names:
        lab.write(name, outcome=DIVERGED if name == "r2" else "finished", until=100 if name == "r2" else 200)
    palette = looks.palette(names)
    with opened(chromium, made(lab, tmp_path / "a.html")) as tab:
        entries = tab.locator(".legend .entry")
        assert entries.count() == len(names)
        drawn = entries.locator("line").evaluate_all(
            "ls => ls.map(l => [l.getAttribute('stroke'), l.getAttribute('stroke-dasharray')])"
        )
        assert len({tuple(look) for look in drawn}) == len(names)
        assert [colour for colour, _ in drawn] == [palette[n].colour for n in sorted(names, key=looks.order)]
        assert "1 diverged" in tab.locator("#comparison").text_content()


# ---- any screen ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets of which one has its density known, one normalizer with a long name."""
    lab = Lab(tmp_path_factory.mktemp("screens") / "runs")
    fill(lab)
    lab.write("gradient_penalty(weight=10, kind=one_sided, target=1)+spectral_norm(gain=true)", 0)
    np.save(lab.root / "mixture(kind=ring)-none-0/samples/modes.npy", ring_modes())
    return made(lab, lab.root.parent / "page.html")


# What reaches beyond the right edge, but for what scrolls on its own.
OUTSIDE = """() => [...document.querySelectorAll("main *")].filter((e) => {
    const scrolls = e.parentElement.closest(".wide, .legend, nav, pre, svg, .boxes");
    return !scrolls && e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1;
}).map((e) => e.outerHTML.slice(0, 80))"""
# Heads of which two parts lie over one another.
OVERLAPS = """() => [...document.querySelectorAll("figcaption, .bar, h3, header")].filter((head) => {
    const boxes = [...head.children].map((e) => e.getBoundingClientRect()).filter((b) => b.width);
    const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
    return boxes.some((a, i) => boxes.slice(i + 1).some((b) => meet(a, b)));
}).map((e) => e.textContent)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_or_overlaps(demo_page: Path, chromium: Any, width: int, scheme: str) -> None:
    screen = {"width": width, "height": 844}
    with opened(chromium, demo_page, viewport=screen, color_scheme=scheme) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        assert tab.evaluate(OUTSIDE) == []
        assert tab.evaluate(OVERLAPS) == []
        back = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 25, 28)"}[scheme]
        canvas = tab.locator('[data-comparison="1"] .tile canvas').first
        corner = canvas.evaluate("c => [...c.getContext('2d').getImageData(0, 0, 1, 1).data.slice(0, 3)]")
        assert (sum(corner) > 600) == (scheme == "light")
        shown(tab, f"scores.0.fid/{EXTRACTOR}")
        assert tab.locator(f'[data-panel="scores.0.fid/{EXTRACTOR}"] canvas').bounding_box()["width"] >= 300
        tab.locator(".menus .filter > summary").click()
        box = tab.locator(".filter .popover").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_print_has_every_figure_and_no_controls(demo_page: Path, chromium: Any) -> None:
    with opened(chromium, demo_page, color_scheme="dark") as tab:
        panels = tab.locator("figure.panel").count()
        tab.emulate_media(media="print", color_scheme="light")
        tab.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert tab.locator("figure.panel > .printed > svg").count() == panels
        assert tab.locator("figure.panel > .printed > svg").first.is_visible()
        backs = tab.locator("figure.panel > .printed > svg > rect").evaluate_all(
            "rs => rs.map(r => r.getAttribute('fill'))"
        )
        assert {*backs} == {"#ffffff"}
        for control in (".bar", ".options", ".tools", ".plot", "input", ".copy"):
            assert all(not element.is_visible() for element in tab.locator(control).all())
        tab.set_viewport_size({"width": 688, "height": 900})  # A4 within its margins
        assert tab.evaluate(OUTSIDE) == []
        assert all(image.is_visible() for image in tab.locator(".gallery img").all())
        tab.evaluate("dispatchEvent(new Event('afterprint'))")
        assert tab.locator(".printed > svg").count() == 0
        assert tab.pdf(format="A4").startswith(b"%PDF")


# ---- many runs -------------------------------------------------------------------------------------------

KINDS = ("exact", "raw", "power_iteration", "conv")
RATIOS = ("saturation", "generalisation_gap", "log_mass_fake", "drift", "calibration_error")
NAMES = [
    *(f"sigma/{kind}/{layer}{i}" for kind in KINDS for layer in LAYERS for i in (1, 2)),
    *(f"ratio/{name}" for name in RATIOS), *(f"more/{i}" for i in range(25)),
    "lipschitz/product", "lipschitz/gradient_max", f"fid/{EXTRACTOR}",
]  # fmt: skip


def test_a_page_of_a_hundred_long_runs_opens_at_once(
    lab: Any, tmp_path: Path, chromium: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 runs of 10,000 measurements of 65 names, ten normalizers of ten seeds, with their samples."""
    once = dict.fromkeys(NAMES, 1.0)
    for i in range(100):
        spec = f"spectral_norm(scale={1 + i // 10})"
        lab.write(spec, i % 10, name=f"run{i}", until=20, metrics=lambda *_: once)
    rng = np.random.default_rng(0)
    steps, noise = np.arange(1, 10_001), np.exp(0.1 * rng.standard_normal(20_000))

    def long(run: Run, name: str) -> Any:
        start = int(rng.integers(10_000))
        return (steps, noise[start : start + 10_000]) if name in NAMES else None

    monkeypatch.setattr("snlab.results.page.series.finite", long)
    path = tmp_path / "report.html"
    text = page(collect(lab.root).runs)
    path.write_text(text, encoding="utf-8")
    assert len(text) < 15e6
    assert 0.02 < opening_seconds(chromium, path) < 1.5  # which leaves the browser half a second of its own
    with opened(chromium, path) as tab:
        shown(tab, f"scores.0.fid/{EXTRACTOR}")
        told = tab.locator("#notes").text_content()
    assert "curves of up to 10000 measurements are shown at up to 71 of them" in told
    assert "no extreme is lost" in told
