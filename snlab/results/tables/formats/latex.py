"""Tables in LaTeX, with booktabs, cut to the width and the height of a page."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby

from snlab.results.tables.formats.tex import printed, tex
from snlab.results.tables.table import BEST, Cell, Table

LINE = 345.0  # points: the text width of LaTeX's article at 10 points, one column
CHARACTER = 4.4  # points, of Computer Modern at \footnotesize: more than the mean of digits and letters
GAP = 4.0  # points on each side of a column
LONGEST = 34  # characters of words in one line; more wrap
ROWS = 36  # lines in one float, which leaves room for the notes

# A file of its own where it is compiled as it stands, a fragment where a document takes it in.
HEAD = r"""% Compiles as it stands; in a document of your own, \usepackage{booktabs} and \input this file.
\expandafter\ifx\csname @notprerr\endcsname\documentclass\else
  \documentclass{article}
  \usepackage{booktabs}
  \def\snlabends{\end{document}}
  \begin{document}
\fi
"""
FOOT = r"""\ifdefined\snlabends\expandafter\snlabends\fi
"""


def latex(tables: Sequence[Table]) -> str:
    """A document that compiles, and a fragment for another's ``\\input``: it needs booktabs.

    Of a table with brief columns, only those; what is wider than a page is cut between its groups of columns,
    what is higher into several floats. Notes stand below the last.
    """
    return HEAD + "\n".join(_latex(table.brief()) for table in tables) + FOOT


def _latex(table: Table) -> str:
    pieces = [piece for panel in _across(table) for piece in _down(panel)]
    floats: list[list[Table]] = [[]]
    for piece in pieces:
        if floats[-1] and sum(map(_height, [*floats[-1], piece])) > ROWS:
            floats.append([])
        floats[-1].append(piece)
    return "".join(_float(table, part, i > 0, i == len(floats) - 1) for i, part in enumerate(floats))


def _float(table: Table, pieces: Sequence[Table], again: bool, last: bool) -> str:
    title = tex(f"{table.title} (continued)" if again else table.title)
    best = [f"bold: {BEST}"] if table.has_best else []
    notes = [rf"    {tex(note)}\par" for note in [*table.notes, *best]] if last else []
    below = [r"  \par\smallskip", r"  \begin{minipage}{\linewidth}\footnotesize\raggedright"]
    return "\n".join(
        [
            *([r"\addtocounter{table}{-1}"] if again else []),
            r"\begin{table}",
            r"  \centering\footnotesize",
            rf"  \setlength{{\tabcolsep}}{{{GAP:g}pt}}",
            rf"  \caption{{{title}}}\smallskip",
            "  \\par\\medskip\n".join(map(_tabular, pieces)).rstrip("\n"),
            *([*below, *notes, r"  \end{minipage}"] if notes else []),
            r"\end{table}",
            "",
        ]
    )


def _tabular(table: Table) -> str:
    count = len(table.columns)
    align = "".join("l" if table.is_left(i) else "r" for i in range(count))
    body = []
    for heading, rows in table.blocks():
        lines = textwrap.wrap(heading, _characters(table))
        body += [_line([rf"\multicolumn{{{count}}}{{l}}{{\textit{{{tex(words)}}}}}"]) for words in lines]
        body += [_line([_cell(c, table.is_left(i)) for i, c in enumerate(row)]) for row in rows]
    head = _line([_head(table, i) for i in range(count)])
    lines = [r"\toprule", head, r"\midrule", *body, r"\bottomrule"]
    inner = "".join(f"    {line.strip()}\n" for line in lines)
    return f"  \\begin{{tabular}}{{{align}}}\n{inner}  \\end{{tabular}}\n"


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell, words: bool) -> str:
    text = rf"\textbf{{{tex(cell.full)}}}" if cell.best else tex(cell.full)
    if words and printed(cell.full) > LONGEST:
        width = LONGEST * CHARACTER
        return rf"\parbox[t]{{{width:.0f}pt}}{{\raggedright\strut {text}\strut}}"
    return text


def _head(table: Table, index: int) -> str:
    lines = _title(table, index)
    if len(lines) == 1:
        return tex(lines[0])
    align = "l" if table.is_left(index) else "r"
    return rf"\begin{{tabular}}[b]{{@{{}}{align}@{{}}}}" + r" \\ ".join(map(tex, lines)) + r"\end{tabular}"


def _title(table: Table, index: int) -> list[str]:
    """A column's title in lines that are hardly wider than its cells."""
    longest = max((printed(row[index].full) for row in table.rows), default=0)
    width = min(max(longest, 10), LONGEST)
    return textwrap.wrap(table.columns[index].title, width, break_long_words=False) or [""]


# ---- what fits -------------------------------------------------------------------------------------------


def _width(table: Table) -> float:
    """Points, by the characters of the longest cells."""
    return sum(_longest(table, i) * CHARACTER + 2 * GAP for i in range(len(table.columns)))


def _longest(table: Table, index: int) -> int:
    most = LONGEST if table.is_left(index) else 10_000
    cells = [min(printed(row[index].full), most) for row in table.rows]
    return max([*cells, *map(printed, _title(table, index))])


def _characters(table: Table) -> int:
    """Of a heading in one line, with some to spare: it may have more capitals than most."""
    return max(int(0.8 * _width(table) / CHARACTER), LONGEST)


def _height(table: Table) -> int:
    """Lines, of wrapped labels and of the head too."""
    headings = sum(len(textwrap.wrap(heading, _characters(table))) for heading, _ in table.blocks())
    head = max(len(_title(table, i)) for i in range(len(table.columns)))
    return head + headings + sum(_lines(table, row) for row in table.rows) + 2


def _lines(table: Table, row: Sequence[Cell]) -> int:
    return max(
        -(-printed(cell.full) // (LONGEST - 6)) if table.is_left(i) else 1 for i, cell in enumerate(row)
    )


def _across(table: Table) -> list[Table]:
    """Tables that fit the line, each with the column of labels, cut between groups of columns if possible."""
    groups = groupby(range(1, len(table.columns)), key=lambda i: table.columns[i].group)
    units = [list(indices) for _, indices in groups]
    packed: list[list[int]] = [[]]
    while units:
        unit = units.pop(0)
        if _width(table.only([0, *packed[-1], *unit])) <= LINE:
            packed[-1] += unit
        elif len(unit) > 1 and _width(table.only([0, *unit])) > LINE:
            units = [[index] for index in unit] + units
        elif packed[-1]:
            packed.append([])
            units.insert(0, unit)
        else:  # one column that is too wide by itself
            packed[-1] += unit
    return [table.only([0, *indices]) for indices in packed]


def _down(table: Table) -> list[Table]:
    """Tables of so many rows as one float holds."""
    found, first = [], 0
    for end in range(1, len(table.rows) + 1):
        if end - first > 1 and _height(table.between(first, end)) > ROWS:
            found.append(table.between(first, end - 1))
            first = end - 1
    return [*found, table.between(first, len(table.rows))]
