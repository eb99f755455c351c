"""What all figures share: type and lines, headings, and how a few seeds are drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from snlab.core.errors import UserError
from snlab.results import looks
from snlab.results.groups import Group, by_setting
from snlab.results.looks import Look
from snlab.tracking.run_folder import DIVERGED, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

GENERATOR_UPDATES = "generator updates"
WIDTH = 10.0  # inches
ROWS = 8  # settings of one data set that a figure shows, at most: further ones are counted
SEED: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.55}
MEAN: dict[str, Any] = {"linewidth": 2.0}
CROSS: dict[str, Any] = {"markersize": 7, "markeredgewidth": 2}  # where a run diverged

RC: dict[str, Any] = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9,
    "axes.titlesize": 9, "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8,
    "legend.fontsize": 9, "legend.frameon": False, "lines.solid_capstyle": "round",
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#777777", "axes.linewidth": 0.8,
    "axes.labelcolor": "#222222", "text.color": "#222222", "xtick.color": "#555555", "ytick.color": "#555555",
    "axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True, "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7, "figure.facecolor": "white", "savefig.facecolor": "white",
    "text.parse_math": False,  # a dollar sign in a user's name is a dollar sign
    "pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "snlab",
}  # fmt: skip


@contextmanager
def style(others: Mapping[str, Any] = MappingProxyType({})) -> Iterator[None]:
    """matplotlib's settings inside, ``others`` before the common ones, and as they were before, outside."""
    import matplotlib

    with matplotlib.rc_context({**RC, **others}):
        yield


# ---- the page --------------------------------------------------------------------------------------------


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
    rows = [Row(groups, heading(groups) + under(groups[0].setting)) for groups in settings[:ROWS]]
    if len(settings) > ROWS:
        last = rows[-1]
        rows[-1] = Row(last.groups, f"{last.title}\n(the first {ROWS} of {len(settings)} settings are shown)")
    return rows


def page(heights: Sequence[float]) -> tuple[Figure, list[SubFigure]]:
    """A figure with one band a row, each so many inches high."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    rows = figure.subfigures(len(heights), 1, height_ratios=list(heights), squeeze=False, hspace=0.03)
    return figure, [row[0] for row in rows]


def heading(groups: Sequence[Group]) -> str:
    """The data set and the seeds behind a row: "digits, seeds 0 and 1"."""
    seeds = sorted({run.seed for g in groups for run in g.runs})
    *head, last = map(str, seeds)
    words = f"seeds {', '.join(head)} and {last}" if head else f"seed {last}"
    words = words if len(seeds) <= 6 else f"{len(seeds)} seeds"
    return f"{looks.label(groups[0].dataset)}, {words}"


def under(setting: str) -> str:
    """The setting as a title's further lines."""
    return f"\n{textwrap.fill(setting, 110)}" if setting else ""


def title(row: SubFigure, text: str) -> None:
    row.suptitle(text, x=0.012, ha="left", fontsize=11, fontweight="bold")


def legend(
    row: SubFigure, groups: Sequence[Group], palette: Mapping[str, Look], crosses: bool = True
) -> None:
    """One entry a normalizer below the panels, and one for the crosses where any run diverged."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look.colour, linestyle=look.line, label=visible(label), **MEAN)
        for look, label in _entries(groups, palette)
    ]
    if crosses and any(g.of(DIVERGED) for g in groups):
        look: dict[str, Any] = {"marker": "x", "linestyle": "none"} | CROSS
        handles.append(Line2D([], [], color="#222222", label="diverged", **look))
    columns = min(len(handles), _columns([str(handle.get_label()) for handle in handles]))
    row.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=3.2)


def legend_height(groups: Sequence[Group], palette: Mapping[str, Look]) -> float:
    """Inches that a legend of these groups needs beyond its first line."""
    labels = [label for _, label in _entries(groups, palette)]
    lines = -(-(len(labels) + 1) // _columns(labels))
    return 0.2 * (lines * max(label.count("\n") + 1 for label in labels) - 1)


def _entries(groups: Sequence[Group], palette: Mapping[str, Look]) -> list[tuple[Look, str]]:
    found = {g.normalizer: g.name for g in groups}
    return [(palette[spec], textwrap.fill(name, 40)) for spec, name in found.items()]


def _columns(labels: Sequence[str]) -> int:
    longest = max(len(line) for label in labels for line in label.splitlines())
    return 5 if longest < 18 else 3 if longest < 30 else 2


def visible(label: str) -> str:
    """matplotlib hides a legend's entries that begin with an underscore."""
    return f" {label}" if label.startswith("_") else label


def missing(name: str, what: str) -> UserError:
    return UserError(f"no run logged {name}, so there is {what} to draw")


# ---- seeds -----------------------------------------------------------------------------------------------


def draw_seeds(axes: Axes, g: Group, name: str, look: Look, runs: Sequence[Run] | None = None) -> None:
    """Every seed thin; their mean thick, as far as every seed has a value; a cross where a run diverged."""
    runs = g.whole if runs is None else runs
    how: dict[str, Any] = {"color": look.colour, "linestyle": look.line}
    curves = [curve for run in runs if (curve := finite(run, name)) is not None]
    for run in runs:
        if (curve := finite(run, name)) is None:
            continue
        steps, values = curve
        axes.plot(steps, values, **how, **(SEED if len(curves) > 1 else MEAN))
        if run.outcome == DIVERGED:
            axes.plot(steps[-1:], values[-1:], color=look.colour, marker="x", **CROSS)
    if len(curves) > 1:
        shared = sorted(set.intersection(*(set(steps.tolist()) for steps, _ in curves)))
        means = [np.mean([values[steps == step][0] for steps, values in curves]) for step in shared]
        axes.plot(shared, means, **how, **MEAN)


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
