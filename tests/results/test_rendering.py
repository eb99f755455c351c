from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import pytest

from snlab.core.errors import UserError
from snlab.results.spread import Spread
from snlab.results.tables import FORMATS, Cell, Column, Table, make, render
from snlab.results.tables.formats.terminal import terminal
from snlab.tracking.run_folder import Run

TABLE = Table(
    "50 % & <b>more_",
    [
        Column("name", "name"), Column("x", "σ|max", "%", group="g", kind="mean"),
        Column("y", "y", kind="mean", detail=True),
    ],
    [
        [
            Cell("a_b|c"), Cell("-1.0", "0.1", numbers=Spread(-1.0, 0.125, 3), best=True),
            Cell("2", numbers=Spread(2.5, 0.5, 2)),
        ],
        [Cell("<i>"), Cell("2.0", "", "1/2 diverged", Spread.of([2.0])), Cell("–")],
    ],
    ["a note"],
)  # fmt: skip


def test_unknown_format() -> None:
    with pytest.raises(UserError, match="did you mean 'markdown'"):
        render(TABLE, "markdwn")


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_every_format_takes_one_table_or_several(format: str) -> None:
    assert "a" in render(TABLE, format)
    assert len(render([TABLE, TABLE], format)) > len(render(TABLE, format))


def test_csv_is_unrounded_and_holds_details() -> None:
    first, second = csv.DictReader(io.StringIO(render(TABLE, "csv")))
    assert first == {
        "name": "a_b|c", "x": "-1.0", "x_std": "0.125", "x_n": "3", "y": "2.5", "y_std": "0.5", "y_n": "2",
    }  # fmt: skip
    assert second["x_std"] == second["y"] == ""
    assert second["y_n"] == "0"


def test_csv_of_runs_agrees_with_the_runs(demo: list[Run]) -> None:
    rows = list(csv.DictReader(io.StringIO(render(make("normalizers", demo), "csv"))))
    assert len(rows) == 8
    row = next(r for r in rows if (r["dataset"], r["normalizer"]) == ("digits", "spectral norm"))
    values = [
        r.last("kid/embedded-digits")
        for r in demo
        if (r.dataset, r.normalizer) == ("digits", "spectral_norm")
    ]
    assert float(row["kid/embedded-digits"]) == pytest.approx(sum(values) / 2)
    assert float(row["inception_score/embedded-digits"]) == 5.0
    assert (row["finished"], row["diverged"], row["failures"], row["seeds"]) == ("2", "0", "0", "2")


def test_markdown_parses_back() -> None:
    lines = render(TABLE, "markdown").splitlines()
    assert lines[0] == "### 50 % & \\<b>more_"
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("|")]
    cells = [[re.sub(r"\\([|<])", r"\1", cell.strip()) for cell in row] for row in rows]
    assert cells == [
        ["name", "σ|max [%]"],
        ["---", "---:"],
        ["a_b|c", "**-1.0 ± 0.1**"],
        ["<i>", "2.0 (1/2 diverged)"],
    ]
    assert "- a note" in lines


def test_latex_is_escaped_and_every_row_has_its_cells() -> None:
    text = render(TABLE, "latex")
    assert r"\caption{50 \% \& $<$b$>$more\_}" in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    rows = [re.split(r"(?<!\\)&", line) for line in body.strip().splitlines()]
    assert [len(row) for row in rows] == [2, 2]
    assert r"\textbf{$-$1.0 $\pm$ 0.1}" in body
    assert r"a\_b$|$c" in body
    assert r"\begin{tabular}{lr}" in text
    assert text.count("{") == text.count("}")


def test_latex_of_runs_is_ascii(demo: list[Run]) -> None:
    text = render(make("normalizers", demo), "latex")
    assert "".join(line for line in text.splitlines() if not line.startswith("  %")).isascii()


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.inside = tag in ("td", "th") or (self.inside and tag in ("strong", "small", "span"))

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th", "tr")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def test_html_parses_back_and_is_escaped() -> None:
    text = render(TABLE, "html")
    parser = Cells()
    parser.feed(text)
    assert parser.rows == [["name", "σ|max [%]"], ["a_b|c", "-1.0 ± 0.1 *"], ["<i>", "2.0 1/2 diverged"]]
    assert "<i>" not in text
    assert "<b>" not in text
    assert text.isascii()
    assert "<strong>-1.0</strong>" in text


@pytest.mark.parametrize(("width", "panels"), [(300, 1), (100, 4), (60, 8)])
def test_terminal_fits_its_width_by_cutting_between_columns(width: int, panels: int, demo: list[Run]) -> None:
    digits, _ = make("normalizers", demo)
    text = terminal([digits], width)
    assert max(map(len, text.splitlines())) <= width
    assert text.count("\nspectral norm") == panels
    for row in ("31.0 ± 1.4", "90.0 (1/2 diverged)", "1 finished, 1 diverged", "-0.70 ± 0.07"):
        assert text.count(row) == 1


def test_terminal_marks_the_best_without_colour() -> None:
    text = terminal([TABLE], 80)
    assert "-1.0 ± 0.1 *" in text
    assert "\x1b" not in text
    assert "* best" in text
