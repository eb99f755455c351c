"""What the offline page compares with what: rows of the reader's choice, lines, bars by setting."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snlab.results import looks
from snlab.results.reading import collect
from snlab.results.report import report
from snlab.results.settings import SETTINGS
from snlab.tracking.run_folder import DIVERGED, FINISHED, Run
from tests.results.browser import chromium, needs_chromium, opened, path, shown, until
from tests.results.conftest import EXTRACTOR, Lab, digits_metrics
from tests.results.test_page_charts import drawn

pytestmark = [needs_chromium, pytest.mark.slow]
__all__ = ["chromium", "path"]

FID = f"fid/{EXTRACTOR}"
METHODS = (("spectral_norm", "standard"), ("spectral_norm", "hinge"), ("gradient_penalty", "wasserstein"))


def model(letter: str, loss: str) -> dict[str, Any]:
    """What of a model is the paper's setting of that letter (Table 1 of Miyato et al. 2018)."""
    lr, beta1, beta2, n_dis = {
        "A": (1e-4, 0.5, 0.9, 5), "B": (1e-4, 0.5, 0.999, 1), "C": (2e-4, 0.5, 0.999, 1),
        "D": (1e-3, 0.5, 0.9, 5), "E": (1e-3, 0.5, 0.999, 5), "F": (1e-3, 0.9, 0.999, 5),
    }[letter]  # fmt: skip
    return {"loss": loss, "n_dis": n_dis, "adam": {"lr": lr, "beta1": beta1, "beta2": beta2}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Three methods at the settings A to F, one of them with two seeds; a fourth that diverged at D alone."""
    lab = Lab(tmp_path_factory.mktemp("comparisons") / "runs")

    def write(normalizer: str, loss: str, letter: str, seed: int = 0, **options: Any) -> None:
        factor = 1 + 0.1 * [*SETTINGS].index(letter) + 0.03 * (loss == "hinge") + 0.007 * seed

        def metrics(normalizer: str, seed: int, step: int, progress: float) -> dict[str, Any]:
            row = digits_metrics(normalizer, seed, step, progress)
            return row | {FID: factor * row[FID], f"inception_score/{EXTRACTOR}": 2 * factor}

        name = f"{normalizer}-{loss}-{letter}-{seed}"
        lab.write(normalizer, seed, name=name, metrics=metrics, **model(letter, loss), **options)

    for letter in SETTINGS:
        for normalizer, loss in METHODS:
            write(normalizer, loss, letter)
        write("spectral_norm", "standard", letter, 1)
    write("none", "standard", "D", outcome=DIVERGED, until=100)
    write("none", "standard", "C")
    lab.write("none", name="alone", dataset="mixture(kind=ring)", loss="hinge")
    lab.write("spectral_norm", name="too", dataset="mixture(kind=ring)", loss="hinge", n_dis=5)
    lab.write("spectral_norm", name="other", dataset="mixture(kind=ring)", loss="standard", n_dis=5)
    return collect(lab.root).runs


def last(run: Run, name: str) -> float:
    rows = [json.loads(text) for text in (run.folder / "metrics.jsonl").read_text().splitlines()]
    return float(rows[-1][name])


def of(runs: list[Run], normalizer: str, loss: str, letter: str) -> list[Run]:
    return [run for run in runs if run.folder.name.startswith(f"{normalizer}-{loss}-{letter}-")]


# ---- rows ------------------------------------------------------------------------------------------------


def test_rows_of_further_settings_open_when_they_are_asked_for(path: Path, chromium: Any) -> None:
    with opened(chromium, path) as tab:
        rows = tab.locator("#scores .row")
        said = rows.locator("small").all_text_contents()
        letters = [f"setting {letter} ({words})" for letter, words in SETTINGS.items()]
        # Of another data set's rows one has one loss, which is said.
        assert said == [*letters, f"{letters[2]}, loss=hinge", "n_dis=5"]
        opens = rows.locator("h3 > button.open")
        assert [one.get_attribute("aria-expanded") for one in opens.all()] == [
            *(["true"] + 5 * ["false"]), "true", "false",
        ]  # fmt: skip
        assert tab.locator(f'[data-panel="scores.2.{FID}"]').count() == 0
        opens.nth(2).focus()
        tab.keyboard.press("Enter")
        assert len(drawn(tab, f"scores.2.{FID}")["lines"]) == 4
        until(tab, "location.hash.includes('open=scores.2')")
        link = tab.evaluate("location.hash")
    with opened(chromium, path, link) as tab:
        assert tab.locator(f'[data-panel="scores.2.{FID}"]').count() == 1
        tab.locator("#scores .row h3 > button.open").nth(2).click()
        assert not tab.locator(f'[data-panel="scores.2.{FID}"]').is_visible()


def test_other_losses_are_lines_of_their_own_in_one_panel(path: Path, runs: list[Run], chromium: Any) -> None:
    with opened(chromium, path) as tab:
        lines = {line["label"]: line for line in drawn(tab, f"scores.0.{FID}")["lines"]}
        key = tab.locator('#scores [data-comparison="0"] .key .entry').all_text_contents()
        tab.locator("#scores .row h3 > button.open").nth(4).click()
        others = {line["label"]: line for line in drawn(tab, f"scores.4.{FID}")["lines"]}
    wanted = {
        f"{looks.label(normalizer)}, {loss}": of(runs, normalizer, loss, "A") for normalizer, loss in METHODS
    }
    assert {*lines} == {*wanted} == {*key}
    for label, those in wanted.items():
        mean = np.mean([last(run, FID) for run in those])
        assert lines[label]["points"][200] == pytest.approx(mean, rel=1e-5)
    for label, one in others.items():
        assert one["dash"] == lines[label]["dash"], "it is the same in every row"
    standard, hinge = (lines[f"spectral norm, {loss}"] for loss in ("standard", "hinge"))
    assert standard["colour"] == hinge["colour"] == looks.colour("spectral_norm")
    assert standard["dash"] != hinge["dash"]


def test_the_reader_chooses_what_has_rows_of_its_own(path: Path, runs: list[Run], chromium: Any) -> None:
    with opened(chromium, path) as tab:
        tab.locator(".within > summary").click()
        choice = tab.locator(".within")
        assert [box.is_checked() for box in choice.get_by_role("checkbox").all()] == [
            True,
            False,
            True,
            False,
        ]
        choice.get_by_label("loss").check()
        rows = tab.locator("#scores .row")
        assert rows.count() == 18 + 3
        assert rows.locator("small").first.text_content() == f"setting A ({SETTINGS['A']}), loss=hinge"
        (only,) = drawn(tab, f"scores.0.{FID}")["lines"]
        assert only["label"] == "spectral norm"  # nothing else tells it apart
        for option in ("loss", "adam (beta1, beta2, lr)", "n_dis"):
            choice.get_by_label(option).uncheck()
        until(tab, "location.hash === '#within=-'")
        link = tab.evaluate("location.hash")
    with opened(chromium, path, link) as tab:
        assert tab.locator("#scores .row").count() == 2
        found = drawn(tab, f"scores.0.{FID}")["lines"]
        labels = [line["label"] for line in found]
        assert len({*labels}) == len(labels) == 3 * 6 + 2
        for line in found:
            text = line["label"]
            if text.startswith("gradient penalty") and "lr=0.0002" in text:
                (run,) = of(runs, "gradient_penalty", "wasserstein", "C")
                assert line["points"][200] == pytest.approx(last(run, FID), rel=1e-5)
        for part, kind in (("samples", "tile"), ("sigma", "panel")):
            row = tab.locator(f'#{part} [data-comparison="0"]')
            assert row.locator(f"figure.{kind}").count() == len(labels)


def test_a_setting_is_part_of_a_saved_figure_and_of_its_name(path: Path, chromium: Any) -> None:
    with opened(chromium, path, "#open=scores.1") as tab:
        names = []
        for place, letter in enumerate("AB"):
            panel = f"scores.{place}.{FID}"
            shown(tab, panel)
            menu = tab.locator(f'[data-panel="{panel}"] details.export')
            menu.locator("summary").click()
            with tab.expect_download() as found:
                menu.get_by_role("button", name="SVG").click()
            names.append(found.value.suggested_filename)
            assert f"setting {letter} ({SETTINGS[letter]})" in Path(found.value.path()).read_text()
    assert len({*names}) == 2
    assert "setting_B" in names[1]


# ---- bars ------------------------------------------------------------------------------------------------


def test_bars_are_the_last_scores_of_the_run_folders(path: Path, runs: list[Run], chromium: Any) -> None:
    told = """figure => [...figure.querySelectorAll("rect[data-mean]")].map((bar) => [
        bar.querySelector("title").textContent, Number(bar.dataset.mean), bar.getBoundingClientRect().height,
    ])"""
    names = {"spectral_norm": "spectral norm", "gradient_penalty": "WGAN-GP", "none": "none"}
    with opened(chromium, path) as tab:
        figures = tab.locator("#bars figure.bars")
        assert figures.count() == 2
        figures.first.scroll_into_view_if_needed()
        for place, score in enumerate((f"inception_score/{EXTRACTOR}", FID)):
            wanted = {}
            for normalizer, loss in (*METHODS, ("none", "standard")):
                for letter in SETTINGS:
                    values = [last(run, score) for run in of(runs, normalizer, loss, letter)
                              if run.outcome == FINISHED]  # fmt: skip
                    method = f"{names[normalizer]} (hinge)" if loss == "hinge" else names[normalizer]
                    if values:
                        wanted[f"{method}, setting {letter}"] = (np.mean(values), len(values))
            found = figures.nth(place).evaluate(told)
            means = {title.partition(":")[0]: mean for title, mean, _ in found}
            assert means == pytest.approx({key: mean for key, (mean, _) in wanted.items()})
            counts = {title.partition(":")[0]: int(title.rpartition("n=")[2]) for title, *_ in found}
            assert counts == {key: n for key, (_, n) in wanted.items()}
            figure = figures.nth(place)
            assert figure.locator("path.diverged").count() == 1
            assert figure.get_by_text("not run").count() == 4
            heights = {title: height for title, _, height in found}
            assert max(heights, key=heights.__getitem__).startswith(max(means, key=means.__getitem__))


def test_bars_follow_the_filter_and_are_saved(path: Path, runs: list[Run], chromium: Any) -> None:
    with opened(chromium, path, "#hide.seed=1&hide.normalizer=none") as tab:
        figure = tab.locator("#bars figure.bars").nth(1)
        figure.scroll_into_view_if_needed()
        assert figure.locator("path.diverged").count() == 0
        mean = figure.locator("rect[data-letter=B]").nth(1).get_attribute("data-mean")
        first, _ = of(runs, "spectral_norm", "standard", "B")
        assert first.seed == 0
        assert float(mean) == pytest.approx(last(first, FID))
        saved = {}
        for kind in ("CSV", "SVG", "PNG"):
            figure.locator("details.export > summary").click()
            with tab.expect_download() as found:
                figure.get_by_role("button", name=kind).click()
            saved[kind] = Path(found.value.path()).read_bytes()
    rows = [*csv.DictReader(io.StringIO(saved["CSV"].decode()))]
    scores = {row["run"]: float(row[FID]) for row in rows}
    assert scores == pytest.approx(
        {run.folder.name: last(run, FID) for run in runs
         if (run.dataset, run.seed) == ("digits", 0) and run.normalizer != "none"}
    )  # fmt: skip
    assert {row["setting"] for row in rows} == {*SETTINGS}
    assert b"WGAN-GP" in saved["SVG"]
    assert saved["PNG"].startswith(b"\x89PNG")


def test_runs_at_one_setting_have_no_bars(lab: Lab, tmp_path: Path, chromium: Any) -> None:
    for normalizer in ("none", "spectral_norm"):
        lab.write(normalizer, **model("C", "standard"))
    report(collect(lab.root).runs, tmp_path / "a.html")
    with opened(chromium, tmp_path / "a.html") as tab:
        assert tab.locator("#bars").count() == 0
        assert tab.locator(".within").count() == 0  # nothing to choose
        assert tab.locator("#scores .row h3 > button.open").count() == 0


def test_the_choice_fits_a_phone_and_paper_has_every_row(path: Path, chromium: Any) -> None:
    with opened(chromium, path, viewport={"width": 390, "height": 844}) as tab:
        tab.locator(".within > summary").click()
        box = tab.locator(".within > .popover").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
        opens = tab.locator('#scores .row h3 > button.open[aria-expanded="true"]')
        assert opens.count() == 2
        tab.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert opens.count() == 8
        for place in range(6):
            assert tab.locator(f'[data-panel="scores.{place}.{FID}"] > .printed > svg').count() == 1
        tab.evaluate("dispatchEvent(new Event('afterprint'))")
        assert opens.count() == 2
