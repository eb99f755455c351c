"""Tables in LaTeX, with booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from snlab.results.tables.table import Cell, Table

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$",
    "±": r"$\pm$", "σ": r"$\sigma$", "λ": r"$\lambda$", "×": r"$\times$", "∇": r"$\nabla$", "‖": r"$\|$",
    "³": r"$^3$", "–": "--", "|": r"$|$", "−": r"$-$", "∞": r"$\infty$", "²": r"$^2$",
}  # fmt: skip


def latex(tables: Sequence[Table]) -> str:
    """For ``\\usepackage{booktabs}``; a table's notes are comments in it."""
    return "\n".join(_latex(table.shown()) for table in tables)


def _tex(text: str) -> str:
    text = re.sub(r"(?<!\w)-(?=\d)", "−", text)  # a minus sign, not a hyphen
    return "".join(_LATEX.get(character, character) for character in text)


def _latex(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "    " + " & ".join(cells) + r" \\"

    def row(cells: Sequence[Cell]) -> str:
        return line([rf"\textbf{{{_tex(c.full)}}}" if c.best else _tex(c.full) for c in cells])

    count = len(table.columns)
    align = "".join("l" if table.is_left(i) else "r" for i in range(count))
    body = []
    for heading, rows in table.blocks():
        body += [line([rf"\multicolumn{{{count}}}{{l}}{{\textit{{{_tex(heading)}}}}}"])] if heading else []
        body += map(row, rows)
    notes = [f"  % {note}" for note in table.footnotes]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_tex(table.title)}}}",
            rf"  \begin{{tabular}}{{{align}}}",
            r"    \toprule",
            line([_tex(column.title) for column in table.columns]),
            r"    \midrule",
            *body,
            r"    \bottomrule",
            r"  \end{tabular}",
            *notes,
            r"\end{table}",
            "",
        ]
    )
