"""Tables in LaTeX: compiled by a real one, nothing over the edge, every name as it was written."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from snlab.results.papers import table_names
from snlab.results.reading import collect
from snlab.results.spread import Spread
from snlab.results.tables import Cell, Column, Table, make, render
from snlab.results.tables.formats.tex import tex

PDFLATEX = shutil.which("pdflatex")
needs_latex = pytest.mark.skipif(
    PDFLATEX is None, reason="NOT TESTED: no pdflatex here (Debian: texlive-latex-base, -recommended)"
)
NASTY = (
    r"""a_b & 50% $x$ #1 {y} ~ ^ \foo <b> | "q" `c` [2em] *s -- \end{document}"""
    " é ñ ß Å γ Σ π ∇ ‖W‖² ≤ → — 漢字"
)


def compiled(text: str, folder: Path) -> tuple[str, int]:
    """What LaTeX said, and how many pages it made; the test fails where it stops at an error."""
    (folder / "table.tex").write_text(text, encoding="utf-8")
    assert PDFLATEX is not None
    done = subprocess.run(
        [PDFLATEX, "-interaction=nonstopmode", "-halt-on-error", "table.tex"],
        cwd=folder, capture_output=True, timeout=60,
    )  # fmt: skip
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, said[-3000:]
    pages = re.search(r"Output written on table\.pdf \((\d+) page", said.replace("\n", " "))
    assert pages is not None, said[-3000:]
    return said, int(pages[1])


def fits(said: str) -> bool:
    """Whether nothing stands out over the edge, to the right or below."""
    return not re.search(r"Overfull \\[hv]box|Float too large|Missing character", said)


def in_a_document(text: str) -> str:
    head = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\nBefore.\n"
    return head + text + "After.\n\\end{document}\n"


def table(rows: int = 3, columns: int = 12, heading: str = "") -> Table:
    """Names of every kind of character, and cells as wide as they come."""
    measured = [
        Column(f"c{i}", f"c{i} {NASTY[:12]}", "%", group=f"g{i // 3}", kind="mean") for i in range(columns)
    ]
    body = []
    for i in range(rows):
        cell = Cell("-1234.5", "67.8", "1/2 diverged", Spread(-1234.5, 67.8, 2), best=i == 0)
        body.append([Cell(f"[{i}] {NASTY}"), *[cell] * columns])
    notes = [NASTY, "second note " * 30]
    return Table(NASTY, [Column("name", NASTY), *measured], body, notes, [heading] * rows if heading else [])


@needs_latex
@pytest.mark.parametrize("wrap", [str, in_a_document], ids=["as it stands", "in a document"])
def test_it_compiles_with_any_name_and_fits_the_page(wrap: Any, tmp_path: Path) -> None:
    tables = [
        *(table(), table(columns=1, heading=NASTY * 3)),
        *(table(rows=80, columns=2, heading="s"), table(rows=0)),
    ]
    said, _ = compiled(wrap(render(tables, "latex")), tmp_path)
    assert fits(said), said


@needs_latex
def test_all_of_the_tables_of_runs_fit_the_page(demo: Any, lab: Any, tmp_path: Path) -> None:
    for loss in ("standard", "hinge"):
        for method in ("none", "spectral_norm+gradient_penalty(weight=1, kind=one_sided)"):
            for n_dis in (1, 5):
                lab.write(method, loss=loss, n_dis=n_dis, name=f"{loss}{method[:5]}{n_dis}")
    tables = [
        *(table for runs in (demo, collect(lab.root).runs) for table in make("normalizers", runs)),
        *(table for name in table_names() for table in make(name, demo)),
    ]
    said, _ = compiled(render(tables, "latex"), tmp_path)
    assert fits(said), said
    everything = [column.key for table in tables for column in table.columns]
    said, _ = compiled(render(tables, "latex", everything), tmp_path)
    assert fits(said), said


def test_the_guard_against_overfull_lines_is_no_empty_one() -> None:
    assert not fits(r"Overfull \hbox (807.1pt too wide) in paragraph at lines 4--9")
    assert fits(r"Underfull \hbox (badness 10000)")


def test_every_character_is_ascii_and_braces_match() -> None:
    text = render(table(), "latex")
    assert text.isascii()
    inside = re.sub(r"\\[{}]", "", text)
    assert inside.count("{") == inside.count("}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a_b", r"a\_b"), ("50 % & #1", r"50 \% \& \#1"), ("\\foo{x}", r"\textbackslash{}foo\{x\}"),
        ("-1.5 to -2", "$-$1.5 to $-$2"), ("a-b, 1-2", "a-b, 1-2"), ("Fréchet", r"Fr\'{e}chet"),
        ("naïve", 'na\\"{\\i}ve'), ("γ λ Ω", r"$\gamma$ $\lambda$ $\Omega$"), ("\u03bf", "U+03BF"),
        ("two\nlines\t", "two lines"), ("\x07", ""),
        ("[1em]", "{[}1em{]}"), ("ů Ő", r"\r{u} \H{O}"),
    ],
)  # fmt: skip
def test_a_character_is_printed_as_itself(text: str, shown: str) -> None:
    assert tex(text) == shown


def test_only_brief_columns_are_printed_and_chosen_ones_instead(demo: Any) -> None:
    text = render(make("normalizers", demo), "latex")
    assert "recall" in text
    assert "saturation" not in text
    text = render(make("normalizers", demo), "latex", ["ratio/saturation", "loss"])
    assert "saturation" in text
    assert "recall" not in text


def test_notes_are_printed_and_no_comments() -> None:
    text = render(table(), "latex")
    lines = [line for line in text.splitlines() if "second note" in line]
    assert len(lines) == 1
    assert not lines[0].lstrip().startswith("%")
    assert text.index(r"\end{tabular}") < text.index("second note") < text.rindex(r"\end{table}")
