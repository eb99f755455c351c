"""What all figures share: type and lines, headings, and how a few seeds are drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from snlab.core.errors import UserError
from snlab.results import colours
from snlab.results.collect import Group
from snlab.tracking.run_folder import DIVERGED, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

GENERATOR_UPDATES = "generator updates"
WIDTH = 10.0  # inches
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
    "pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "snlab",
}  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """matplotlib's settings inside, and as they were before, outside."""
    import matplotlib

    with matplotlib.rc_context(RC):
        yield


# ---- the page --------------------------------------------------------------------------------------------


def page(heights: Sequence[float]) -> tuple[Figure, list[SubFigure]]:
    """A figure with one row a data set, each so many inches high."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    rows = figure.subfigures(len(heights), 1, height_ratios=list(heights), squeeze=False, hspace=0.03)
    return figure, [row[0] for row in rows]


def heading(groups: Sequence[Group]) -> str:
    """The data set and the seeds behind a row: "digits, seeds 0 and 1"."""
    seeds = sorted({run.seed for g in groups for run in g.runs})
    *head, last = map(str, seeds)
    words = f"seeds {', '.join(head)} and {last}" if head else f"seed {last}"
    return f"{colours.label(groups[0].dataset)}, {words}"


def title(row: SubFigure, text: str) -> None:
    row.suptitle(text, x=0.012, ha="left", fontsize=11, fontweight="bold")


def legend(row: SubFigure, groups: Sequence[Group], palette: dict[str, str], crosses: bool = True) -> None:
    """One entry a group below the panels, and one for the crosses where any run diverged."""
    from matplotlib.lines import Line2D

    labels = [textwrap.fill(g.label, 40) for g in groups]
    handles = [Line2D([], [], color=palette[g.key], label=label, **MEAN)
               for g, label in zip(groups, labels, strict=True)]  # fmt: skip
    if crosses and any(g.of(DIVERGED) for g in groups):
        look: dict[str, Any] = {"marker": "x", "linestyle": "none"} | CROSS
        handles.append(Line2D([], [], color="#222222", label="diverged", **look))
    row.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 5 if max(map(len, labels)) < 24 else 3),
        handlelength=1.6,
    )


def missing(name: str, what: str) -> UserError:
    return UserError(f"no run logged {name}, so there is {what} to draw")


# ---- seeds -----------------------------------------------------------------------------------------------


def draw_seeds(axes: Axes, g: Group, name: str, colour: str, runs: Sequence[Run] | None = None) -> None:
    """Every seed thin; their mean thick, as far as every seed has a value; a cross where a run diverged."""
    runs = g.runs if runs is None else runs
    curves = [curve for run in runs if (curve := finite(run, name)) is not None]
    for run in runs:
        if (curve := finite(run, name)) is None:
            continue
        steps, values = curve
        axes.plot(steps, values, color=colour, **(SEED if len(curves) > 1 else MEAN))
        if run.outcome == DIVERGED:
            axes.plot(steps[-1:], values[-1:], color=colour, marker="x", **CROSS)
    if len(curves) > 1:
        shared = sorted(set.intersection(*(set(steps.tolist()) for steps, _ in curves)))
        means = [np.mean([values[steps == step][0] for steps, values in curves]) for step in shared]
        axes.plot(shared, means, color=colour, **MEAN)


def finite(run: Run, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Steps and values of one logged scalar, finite ones only; None where there is none."""
    steps, values = run.series(name)
    found = np.array(values, dtype=float) if all(isinstance(v, int | float) for v in values) else np.array([])
    kept = np.isfinite(found)
    return (np.array(steps)[kept], found[kept]) if kept.any() else None


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


def by_row(groups: Sequence[Group], wanted: Callable[[Group], bool]) -> list[list[Group]]:
    """The groups that have something to show, a list for each data set."""
    rows: dict[str, list[Group]] = {}
    for g in groups:
        if wanted(g):
            rows.setdefault(g.dataset, []).append(g)
    return list(rows.values())
