"""Markdown of what a page says."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of words: the first column to the left, the others to the right.

    >>> print(table(["method", "C"], [["none", "4.5"]]))
    | method | C |
    | --- | ---: |
    | none | 4.5 |
    """
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
