"""The offline page's tables in a real Chromium: of several settings, on any screen, under any filter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from snlab.results import looks
from snlab.results.reading import collect
from snlab.results.report import report
from snlab.tracking.run_folder import DIVERGED, Run
from tests.results.browser import chromium, needs_chromium, opened, shown
from tests.results.conftest import Lab

pytestmark = [needs_chromium, pytest.mark.slow]
__all__ = ["chromium"]

DATASET = "fashion_mnist(size=16)"
SMALL = {"adam": {"lr": 1e-3, "beta1": 0.5, "beta2": 0.9}, "n_dis": 5, "batch_size": 32}
SETTINGS = [
    "adam.beta2=0.9, adam.lr=0.001, batch_size=32, n_dis=5",
    "adam.beta2=0.999, adam.lr=0.0002, batch_size=64, n_dis=1",
]
NAMED = ["spectral_norm(scale=2)", "spectral_norm(scale=3)", "r2"]
WANDB = "https://wandb.example/lab/gans/runs/c0ffee"
TIMES = {"begun": "2026-11-26T09:25:03+00:00", "ended": "2026-11-26T10:42:10+01:00", "commit": "5e" * 20}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two settings; one normalizer of which a seed, and one of which every run diverged; a run twice."""
    lab = Lab(tmp_path_factory.mktemp("tables") / "runs")
    for normalizer, seed, setting in (
        ("spectral_norm(scale=2)", 0, {}), ("spectral_norm(scale=3)", 0, {}), ("weight_norm", 0, {}),
        ("weight_norm", 1, {}), ("gradient_penalty", 0, {}), ("gradient_penalty", 0, SMALL), ("none", 0, {}),
        ("r2", 0, {}),
    ):  # fmt: skip
        diverged = (normalizer, seed) in (("weight_norm", 1), ("none", 0))
        lab.write(
            normalizer, seed, DATASET, outcome=DIVERGED if diverged else "finished",
            until=100 if diverged else 200, name=_name(normalizer, seed, setting), **setting,
        )  # fmt: skip
    known = lab.root / _name("gradient_penalty", 0, {})
    shutil.copytree(known, lab.root / "a-copy")
    summary = json.loads((known / "summary.json").read_text())
    (known / "summary.json").write_text(json.dumps(summary | TIMES))
    (known / "wandb").mkdir()
    (known / "wandb/url").write_text(WANDB)
    return collect(lab.root).runs


def _name(normalizer: str, seed: int, setting: dict[str, Any]) -> str:
    return f"fashion_mnist_size=16-{normalizer}-seed{seed}-{'beef' if setting else 'c0de'}0123456789"


@pytest.fixture(scope="module")
def path(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    report(runs, out)
    return out


def texts(tab: Any, table: str) -> list[list[str]]:
    """The cells of a table's rows that are shown, those of headings and of details left out."""
    return tab.locator(f"{table} tbody").first.evaluate(
        "body => [...body.rows].filter(r => !r.hidden && !r.matches('.section, .more'))"
        ".map(r => [...r.cells].map(c => c.textContent))"
    )


# Of the words of elements, what does not lie within the part of their table that is seen.
UNSEEN = """elements => elements.flatMap((element) => {
    const seen = element.closest(".wide").getBoundingClientRect();
    const words = document.createRange();
    words.selectNodeContents(element);
    return [...words.getClientRects()].filter((r) => r.left < seen.left - 1 || r.right > seen.right + 1);
}).length"""
# Whether nothing lies over an element's first words.
ON_TOP = """(element) => {
    element.scrollIntoView({ block: "center" });
    const { x, y } = element.getBoundingClientRect();
    return element.contains(document.elementFromPoint(x + 9, y + 9));
}"""
SCROLL = "wide => { wide.scrollLeft = wide.scrollWidth; }"


# ---- several settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [390, 1300])
def test_a_settings_heading_is_read_whole_wherever_the_table_is_scrolled(
    path: Path, chromium: Any, width: int
) -> None:
    with opened(chromium, path, viewport={"width": width, "height": 800}) as tab:
        heads = tab.locator("#comparison tr.section th")
        assert heads.all_text_contents() == SETTINGS
        for _ in range(2):
            assert heads.evaluate_all(UNSEEN) == 0
            tab.locator("#comparison .wide").first.evaluate(SCROLL)


def test_sorted_rows_say_their_setting(path: Path, chromium: Any) -> None:
    with opened(chromium, path) as tab:
        name = tab.locator("#comparison thead").first.get_by_role("button", name="normalizer")
        name.click()
        heads = [row[0] for row in texts(tab, "#comparison")]
        assert heads[:2] == [f"gradient penalty{setting}" for setting in SETTINGS]
        assert tab.locator("#comparison tr.section").count() == 0
        tab.locator("#comparison .columns > summary").click()
        tab.locator("#comparison .columns").get_by_label("setting").check()
        assert [row[:2] for row in texts(tab, "#comparison")[:2]] == [
            ["gradient penalty", setting] for setting in SETTINGS
        ]


def test_where_configurations_differ_is_what_they_hold(path: Path, runs: list[Run], chromium: Any) -> None:
    def of(run: Run) -> list[str]:
        model = run.config["model"]
        adam = model["adam"]
        return [f"{adam['beta2']}", f"{adam['lr']}", f"{model['batch_size']}", f"{model['n_dis']}"]

    with opened(chromium, path) as tab:
        heads = tab.locator("#differences thead th").all_text_contents()
        keys = ["adam.beta2", "adam.lr", "batch_size", "n_dis", "normalizer"]
        assert heads == ["runs", *(f"model.{key}" for key in keys)]
        found = texts(tab, "#differences")
        assert sorted(row[1:] for row in found) == sorted({(*of(r), r.normalizer): [*of(r), r.normalizer]
                                                           for r in runs}.values())  # fmt: skip
        tab.locator('.legend [data-normalizer="none"]').click()
        assert len(texts(tab, "#differences")) == len(found) - 1


# ---- on any screen ---------------------------------------------------------------------------------------


def test_on_a_phone_rows_keep_their_heads_and_a_runs_details_are_read_whole(
    path: Path, chromium: Any
) -> None:
    with opened(chromium, path, viewport={"width": 390, "height": 844}) as tab:
        tab.locator("#runs button.open").first.click()
        for table in ("#comparison", "#runs"):
            tab.locator(f"{table} .wide").first.evaluate(SCROLL)
            assert tab.locator(f"{table} .wide").first.evaluate("wide => wide.scrollLeft") > 100
            rows = tab.locator(f"{table} tbody tr:not(.section, .more) th")
            assert rows.evaluate_all(UNSEEN) == 0
            assert rows.first.evaluate(ON_TOP)
        details = tab.locator("#runs tr.more:not([hidden]) .details > dl > *")
        assert details.count() >= 2 * 6
        assert details.evaluate_all(UNSEEN) == 0


@pytest.mark.parametrize("width", [1240, 1300])
def test_no_word_of_the_runs_table_is_cut(path: Path, chromium: Any, width: int) -> None:
    lines = """cells => cells.map((cell) => {
        const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode();
        return [...text.data.matchAll(/[^\\s-]+/g)].map((word) => {
            const range = document.createRange();
            range.setStart(text, word.index);
            range.setEnd(text, word.index + word[0].length);
            return range.getClientRects().length;
        });
    }).flat()"""
    with opened(chromium, path, viewport={"width": width, "height": 800}) as tab:
        cells = tab.locator("#runs tbody tr:not(.more) > :is(th, td):not(:empty)")
        assert {*cells.evaluate_all(lines)} == {1}


def test_names_under_the_pointer_are_whole_and_marked_as_the_line_is(path: Path, chromium: Any) -> None:
    palette = looks.palette([*NAMED, "weight_norm", "gradient_penalty", "none"])
    assert palette["r2"].colour == palette["spectral_norm(scale=3)"].colour, "told apart by a dash alone"
    with opened(chromium, path) as tab:
        row = tab.locator("#scores .row").filter(has_text="seeds 0 and 1")
        panel = row.locator("figure.panel").first.get_attribute("data-panel")
        shown(tab, panel)
        tab.locator(f'[data-panel="{panel}"] .plot').focus()
        tab.keyboard.press("ArrowRight")
        names = tab.locator(f'[data-panel="{panel}"] .tip .name')
        labels = names.all_text_contents()
        assert names.evaluate_all("names => names.every(n => n.scrollWidth <= n.clientWidth)")
        drawn = tab.locator(f'[data-panel="{panel}"] .tip .mark line').evaluate_all(
            "ls => ls.map(l => [l.getAttribute('stroke'), l.getAttribute('stroke-dasharray')])"
        )
    found = {label: (stroke, bool(dashes)) for label, (stroke, dashes) in zip(labels, drawn, strict=True)}
    for spec in NAMED:
        assert found[looks.label(spec)] == (palette[spec].colour, bool(looks.dash(palette[spec].line)))


# ---- under a filter --------------------------------------------------------------------------------------


def test_the_comparison_says_what_the_filter_hides_of_it(path: Path, chromium: Any) -> None:
    with opened(chromium, path) as tab:
        told = tab.locator("#comparison .partly")
        assert not told.is_visible()
        before = texts(tab, "#comparison")
        tab.locator(".filter > summary").click()
        tab.locator('[data-facet="outcome"]').get_by_label("diverged").uncheck()
        after = texts(tab, "#comparison")
        assert [row for row in before if row[0] == "none"]
        assert after == [row for row in before if row[0] != "none"], "each of its runs diverged"
        assert "The filter leaves out 1 of the 7 runs behind these rows." in told.text_content()
        tab.locator('[data-facet="outcome"]').get_by_label("diverged").check()
        assert texts(tab, "#comparison") == before
        assert not told.is_visible()
        tab.locator('[data-facet="setting"]').get_by_label(SETTINGS[0]).uncheck()
        assert tab.locator("#comparison tr.section").all_text_contents() == SETTINGS[1:]


def test_a_run_that_repeats_another_has_its_normalizer(path: Path, chromium: Any) -> None:
    with opened(chromium, path) as tab:
        rows = [row[:4] for row in texts(tab, "#runs")]
        assert ["a-copy", DATASET, "gradient penalty", SETTINGS[1]] in rows
        boxes = tab.locator('[data-facet="normalizer"] .check span').all_text_contents()
        assert boxes == tab.locator(".legend .entry span").all_text_contents()
        tab.locator("#runs").get_by_role("button", name=_name("gradient_penalty", 0, {})).click()
        tab.locator("#runs").get_by_role("button", name="a-copy").click()
        notes = tab.locator("#runs tr.more:not([hidden])").all_text_contents()
        assert sorted("left out of the comparison" in note for note in notes) == [False, True]
        tab.locator('.legend [data-normalizer="gradient_penalty"]').click()
        assert "gradient penalty" not in {row[2] for row in texts(tab, "#runs")}


# ---- one run ---------------------------------------------------------------------------------------------


def test_a_run_says_when_it_ran_and_where_it_is_mirrored(path: Path, chromium: Any) -> None:
    def told(tab: Any, name: str) -> dict[str, str]:
        opener = tab.locator("#runs").get_by_role("button", name=name)
        opener.click()
        lines = tab.locator("#runs tr.more:not([hidden]) dl")
        words = [lines.locator(tag).all_text_contents() for tag in ("dt", "dd")]
        opener.click()
        return dict(zip(*words, strict=True))

    with opened(chromium, path) as tab:
        found = told(tab, _name("gradient_penalty", 0, {}))
        assert (found["begun"], found["ended"]) == ("2026-11-26 09:25:03 UTC", "2026-11-26 09:42:10 UTC")
        assert found["commit"] == TIMES["commit"]
        assert found["versions"] == "torch 2.11.0, snlab 0.1.0"
        assert tab.locator(f'#runs a[href="{WANDB}"]').text_content() == WANDB
        assert {"begun", "ended", "commit", "W&B"} & told(tab, "a-copy").keys() == set()
