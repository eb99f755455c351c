"""The offline page on paper: its PDF, read page by page."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any, NamedTuple

import pytest

from snlab.results.reading import collect
from snlab.results.report import report
from tests.results.browser import chromium, needs_chromium, opened
from tests.results.conftest import Lab

PDFTOTEXT = shutil.which("pdftotext")
pytestmark = [
    needs_chromium,
    pytest.mark.skipif(PDFTOTEXT is None, reason="NOT TESTED: no pdftotext here (Debian: poppler-utils)"),
    pytest.mark.slow,
]
__all__ = ["chromium"]

NORMALIZERS = [
    *("none", "weight_norm", "gradient_penalty", "spectral_norm", "layer_norm", "batch_norm", "r1", "r2"),
    *("weight_clipping", "orthonormal", "lecam", "dragan", "frobenius_norm", "gradient_normalization"),
]
# The third is a line of its own below a title.
NETWORK = "standard_cnn(width=0.25, " + ", ".join(f"option{i}={i}" for i in range(5)) + ")"
SETTINGS: list[dict[str, Any]] = [{"n_dis": 1}, {"n_dis": 2}, {"n_dis": 5, "network": NETWORK}]


class Printed(NamedTuple):
    """The lines of each page, words one space apart; of the page's elements the texts, and the left ends."""

    pages: list[list[str]]
    headings: set[str]
    settings: tuple[str, ...]
    keys: set[str]
    lefts: set[float]


@pytest.fixture(scope="module")
def printed(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Printed:
    """Of fourteen normalizers in three settings: tables that no page holds, and long keys."""
    lab = Lab(tmp_path_factory.mktemp("print") / "runs")
    for given in SETTINGS:
        for name in NORMALIZERS:
            folder = lab.write(name, until=20, name=f"{name}-{given['n_dis']}", **given)
            shutil.rmtree(folder / "samples")  # whose names read like keys
    path, pdf = (lab.root.with_name(f"report.{kind}") for kind in ("html", "pdf"))
    report(collect(lab.root).runs, path)
    with opened(chromium, path) as tab:
        tab.pdf(path=pdf, format="A4", prefer_css_page_size=True)
        tab.emulate_media(media="print")
        tab.evaluate("dispatchEvent(new Event('beforeprint'))")
        headings, settings, keys = (
            {*tab.locator(of).all_text_contents()}
            for of in (
                "h2, h3 > span, h3 > small, figcaption .title, .section span",
                "h3 > small",
                ".key .entry",
            )
        )
        panels = tab.locator("figure.panel, .row > h3, .row > .key")
        lefts = panels.evaluate_all("es => es.map(e => e.getBoundingClientRect().left)")
    done = subprocess.run([str(PDFTOTEXT), "-layout", pdf, "-"], capture_output=True, check=True)
    pages = [
        [" ".join(line.split()) for line in page.splitlines() if line.strip()]
        for page in done.stdout.decode().split("\f")
    ]
    return Printed([page for page in pages if page], headings, tuple(settings), keys, {*lefts})


def test_panels_stand_in_one_column_below_their_heading_and_key(printed: Printed) -> None:
    assert len(printed.lefts) == 1
    lines = [(page, i) for page in printed.pages for i, line in enumerate(page)]
    heads = [(page, i) for page, i in lines if page[i].startswith("digits, seed 0")]
    assert len(heads) >= 4 * len(SETTINGS)
    for page, i in heads:
        words = " ".join(page[i : i + 2])
        assert any(f"digits, seed 0 {setting}" in words for setting in printed.settings), "it ends the page"


def test_no_page_ends_with_a_heading(printed: Printed) -> None:
    for page in printed.pages:
        assert page[-1] not in printed.headings
        assert not page[-1].endswith(printed.settings), "the heading of a row, or of a table's section"


def test_no_page_begins_or_ends_with_a_key(printed: Printed) -> None:
    known = re.compile("|".join(map(re.escape, sorted(printed.keys, key=len, reverse=True))))
    assert {"spectral norm", "gradient normalization", "conv1"} <= printed.keys
    for page in printed.pages:
        for line in (page[0], page[-1]):
            assert known.sub("", line).strip() or line in printed.headings
        assert not page[0].startswith(printed.settings), "the setting without its title"


@pytest.mark.parametrize(
    ("row", "head", "count"),
    [
        (r" 1 1 finished 0 800 ", "normalizer seeds outcomes", 42),
        (r" finished 20 12\.5 [0-9a-f]{12}$", "seed outcome updates seconds identity", 42),
    ],
)
def test_every_page_of_a_table_names_its_columns(printed: Printed, row: str, head: str, count: int) -> None:
    rows = [page for page in printed.pages for line in page if re.search(row, line)]
    assert len(rows) == count
    assert len({id(page) for page in rows}) > 1, "the table breaks"
    for page in rows:
        assert any(head in line for line in page)
