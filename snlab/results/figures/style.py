"""What all figures share: type and lines, which groups stand in a row, and the axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from snlab.core.errors import UserError
from snlab.results import looks
from snlab.results.groups import Group, by_setting
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GENERATOR_UPDATES = "generator updates"
ROWS = 8  # settings of one data set that a figure shows, at most: further ones are counted
SMALL = 7  # points

RC: dict[str, Any] = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 8,
    "axes.titlesize": 8, "axes.labelsize": 8, "xtick.labelsize": SMALL, "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL, "legend.frameon": False, "lines.solid_capstyle": "round",
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#777777", "axes.linewidth": 0.6,
    "axes.labelcolor": "#222222", "text.color": "#222222", "xtick.color": "#555555", "ytick.color": "#555555",
    "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True, "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5,
    "ytick.major.size": 2.5, "xtick.major.pad": 2, "ytick.major.pad": 2, "axes.titlepad": 3,
    "axes.labelpad": 2, "legend.borderaxespad": 0.2, "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03, "figure.facecolor": "white", "savefig.facecolor": "white",
    "text.parse_math": False,  # a dollar sign in a user's name is a dollar sign
    "pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "snlab",
}  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """matplotlib's settings inside; as they were before, outside."""
    import matplotlib

    with matplotlib.rc_context(RC):
        yield


# ---- rows --------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """What stands side by side in a figure, under one title: groups that may be compared."""

    groups: list[Group]
    title: str


def by_row(groups: Sequence[Group], wanted: Callable[[Group], bool]) -> list[Row]:
    """A row for each data set and setting of the groups that have something to show.

    Of each data set so many as a figure can hold; the title of the last says how many there are.
    """
    datasets: dict[str, list[list[Group]]] = {}
    for (dataset, _), members in by_setting(filter(wanted, groups)).items():
        datasets.setdefault(dataset, []).append(members)
    return [row for settings in datasets.values() for row in _rows(settings)]


def _rows(settings: Sequence[list[Group]]) -> list[Row]:
    titles = ["\n".join(filter(None, [headline(groups), groups[0].setting])) for groups in settings]
    rows = [Row(groups, text) for groups, text in zip(settings[:ROWS], titles, strict=False)]
    if len(settings) > ROWS:
        last = rows[-1]
        rows[-1] = Row(last.groups, f"{last.title}\n(the first {ROWS} of {len(settings)} settings are shown)")
    return rows


def headline(groups: Sequence[Group]) -> str:
    """The data set and the seeds behind a row: "digits, seeds 0 and 1"."""
    seeds = sorted({run.seed for g in groups for run in g.runs})
    *head, last = map(str, seeds)
    words = f"seeds {', '.join(head)} and {last}" if head else f"seed {last}"
    words = words if len(seeds) <= 6 else f"{len(seeds)} seeds"
    return f"{looks.label(groups[0].dataset)}, {words}"


def missing(name: str, what: str) -> UserError:
    return UserError(f"no run logged {name}, so there is {what} to draw")


# ---- axes ------------------------------------------------------------------------------------------------


def from_zero(axes: Axes) -> None:
    """Let a linear axis begin at 0 where nothing lies below; up to 1 where nothing lies above either."""
    low, high = axes.dataLim.intervaly
    if axes.get_yscale() == "linear" and 0 <= low <= high:
        axes.set_ylim(0, 1 if high == 0 else None)
        for line in axes.lines:  # a curve that lies on the axis is seen on it
            line.set(clip_on=False, zorder=line.get_zorder() + 1)


def finite(run: Run, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Steps and values of one logged scalar, finite ones only; None where there is none."""
    found = run.numbers(name)
    if found is None:
        return None
    steps, values = found
    kept = np.isfinite(values)
    return (steps[kept], values[kept]) if kept.any() else None


def logged(runs: Sequence[Run], name: str) -> bool:
    return any(finite(run, name) is not None for run in runs)


def updates_axis(axes: Axes, label: bool = True) -> None:
    """The x axis of everything: generator updates, from 0."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_tick_params(labelbottom=label)
    if label:
        axes.set_xlabel(GENERATOR_UPDATES)


def plain_numbers(axes: Axes) -> None:
    """Labels of a logarithmic axis as people write them, and none between the major ones."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
