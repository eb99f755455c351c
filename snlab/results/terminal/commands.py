"""``snlab runs``, ``show`` and ``compare``: their options, and what they call. Imports nothing heavy."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

RUN = "its folder, or the beginning of its identity or of its folder's name, which no other run has"


def add_runs(parser: ArgumentParser) -> None:
    """The options of ``snlab runs``, beside --runs."""
    parser.add_argument(
        "--sort",
        metavar="KEY",
        help="a column, a setting as model.adam.lr, or a logged name, which is then shown",
    )
    parser.add_argument("--reverse", action="store_true", help="the largest first")
    parser.add_argument(
        "--filter",
        dest="conditions",
        action="append",
        default=[],
        metavar="EXPR",
        help="those alone: a KEY, one of = != < <= > >= ~ (contains) and a value, as in "
        '"normalizer=spectral norm" or "model.n_dis>1 and seed<3"; again, where all of several are to hold',
    )
    parser.add_argument("--json", action="store_true", help="all that is known of each, as JSON")


def add_show(parser: ArgumentParser) -> None:
    """The argument of ``snlab show``, beside --runs."""
    parser.add_argument("wanted", metavar="RUN", help=RUN)


def add_compare(parser: ArgumentParser) -> None:
    """The arguments of ``snlab compare``, beside --runs."""
    parser.add_argument("wanted", metavar="RUN", nargs="+", help=f"two or more, each {RUN}")
    parser.add_argument("--all", action="store_true", help="every logged name rather than the main ones")


def runs(options: Namespace, roots: Sequence[str | Path]) -> int:
    """``snlab runs`` of what lies below ``roots``."""
    from snlab.results.reading import collect
    from snlab.results.terminal.listing import as_json, listing
    from snlab.results.terminal.screen import draw

    found = listing(collect(*roots), options.sort, options.reverse, options.conditions)
    if options.json:
        print(as_json(found))
        for line in found.missed:
            print(line, file=sys.stderr)
    else:
        draw(found.drawn)
    return 0


def show(options: Namespace, roots: Sequence[str | Path]) -> int:
    """``snlab show`` of a run below ``roots``, or elsewhere by its folder."""
    from snlab.results.terminal.finding import find
    from snlab.results.terminal.screen import draw
    from snlab.results.terminal.showing import shown

    (run,) = find([options.wanted], roots)
    draw(lambda width: shown(run, width))
    return 0


def compare(options: Namespace, roots: Sequence[str | Path]) -> int:
    """``snlab compare`` of runs below ``roots``, or elsewhere by their folders."""
    from snlab.results.terminal.comparing import compared
    from snlab.results.terminal.finding import find
    from snlab.results.terminal.screen import draw

    found = find(options.wanted, roots)
    draw(lambda width: compared(found, width, options.all))
    return 0
