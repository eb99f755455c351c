"""What the paper's figures share: the width, type and legends of print, and how seeds are drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snlab.core.errors import UserError
from snlab.results.figures.style import RC as STYLE
from snlab.results.figures.style import finite
from snlab.results.looks import Look
from snlab.tracking.run_folder import DIVERGED, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# ---- print -----------------------------------------------------------------------------------------------

WIDTHS = {"column": 3.25, "page": 6.75}  # inches
NARROWEST, WIDEST = 2.5, 20.0  # below, the text has no room
SMALL = 7  # points
THIN: dict[str, Any] = {"linewidth": 0.5, "alpha": 0.6}  # one of several seeds
THICK: dict[str, Any] = {"linewidth": 1.2}
DOT: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 2.2, "markeredgewidth": 0}
CROSS: dict[str, Any] = {"marker": "x", "linestyle": "none", "markersize": 4, "markeredgewidth": 1}
INK, PALE = "#222222", "#777777"

RC: dict[str, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8,
    "xtick.labelsize": SMALL, "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL, "axes.linewidth": 0.6, "grid.linewidth": 0.5, "xtick.major.width": 0.6,
    "ytick.major.width": 0.6, "xtick.major.size": 2.5, "ytick.major.size": 2.5, "xtick.major.pad": 2,
    "ytick.major.pad": 2, "axes.titlepad": 3, "axes.labelpad": 2, "legend.borderaxespad": 0.2,
    "figure.constrained_layout.h_pad": 0.03, "figure.constrained_layout.w_pad": 0.03,
}  # fmt: skip


def inches(width: str) -> float:
    """The width that ``column``, ``page`` or a number of inches stands for; UserError for anything else."""
    if width in WIDTHS:
        return WIDTHS[width]
    try:
        found = float(width)
    except ValueError:
        found = np.nan
    if not NARROWEST <= found <= WIDEST:
        known = ", ".join(f"{name} ({size} in)" for name, size in WIDTHS.items())
        raise UserError(f"--width {width}: {known} or {NARROWEST:g} to {WIDEST:g} inches are wanted")
    return found


def sheet(width: float, heights: Sequence[float]) -> tuple[Figure, list[SubFigure]]:
    """A figure of that width with one band a panel, each so many inches high."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    bands = figure.subfigures(len(heights), 1, height_ratios=list(heights), squeeze=False, hspace=0.02)
    return figure, [band[0] for band in bands]


def heading(band: SubFigure, text: str, width: float) -> None:
    """The panel's title, in as many lines as it takes."""
    band.suptitle(_wrapped(text, width), x=0.01, ha="left", fontsize=8, fontweight="bold")


def heading_height(text: str, width: float) -> float:
    """Inches that ``heading`` takes."""
    return 0.17 * (1 + _wrapped(text, width).count("\n"))


def _wrapped(text: str, width: float) -> str:
    """Bold text of 8 points in lines of so many inches."""
    return textwrap.fill(text, int(13 * width))


def key(band: SubFigure, handles: Sequence[Any], width: float) -> None:
    """A legend below the panel, in as many columns as fit."""
    columns = _columns([str(handle.get_label()) for handle in handles], width)
    band.legend(
        handles=handles, loc="outside lower center", ncols=columns, handlelength=1.8, columnspacing=1.2
    )


def key_height(labels: Sequence[str], width: float) -> float:
    """Inches that ``key`` takes for these labels."""
    return 0.08 + 0.14 * -(-len(labels) // _columns(labels, width))


def _columns(labels: Sequence[str], width: float) -> int:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(family=STYLE["font.sans-serif"], size=SMALL)
    longest = max(TextPath((0, 0), text, prop=font).get_extents().width for text in labels)  # points
    return max(1, min(len(labels), int(72 * width / (longest + 4 * SMALL))))  # 4 em: handle and gaps


def line(colour: Any, text: str, **how: Any) -> Any:
    """An entry of a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, label=text, **(THICK | how))


# ---- seeds -----------------------------------------------------------------------------------------------


def band_over_seeds(axes: Axes, points: Mapping[float, Sequence[float]], look: Look, text: str) -> None:
    """Every seed a dot; a line through their means, and a band of one standard deviation about it.

    Args:
        axes: where.
        points: for each x, in order, the values of the seeds.
        look: of the line.
        text: in the legend.
    """
    x = [x for x, values in points.items() if values]
    means = np.array([np.mean(points[x]) for x in x])
    stds = np.array([np.std(points[x], ddof=1) if len(points[x]) > 1 else 0.0 for x in x])
    axes.plot(x, means, color=look.colour, linestyle=look.line, label=text, **THICK)
    if (stds > 0).any():
        axes.fill_between(x, means - stds, means + stds, color=look.colour, alpha=0.2, linewidth=0)
    for at, values in points.items():
        axes.plot([at] * len(values), values, color=look.colour, **DOT)


def diverged(runs: Sequence[Run]) -> int:
    """How many of them."""
    return sum(run.outcome == DIVERGED for run in runs)


def curve_over_seeds(axes: Axes, runs: Sequence[Run], name: str, colour: Any, dash: Any = "-") -> None:
    """Each seed's series thin and, as far as all reach, their mean thick; a cross where a run diverged."""
    found = [(run, curve) for run in runs if (curve := finite(run, name)) is not None]
    curves = [curve for _, curve in found]
    for run, (steps, values) in found:
        axes.plot(steps, values, color=colour, linestyle=dash, **(THIN if len(curves) > 1 else THICK))
        if run.outcome == DIVERGED:
            axes.plot(steps[-1:], values[-1:], color=colour, **CROSS)
    if len(curves) > 1:
        shared = sorted(set.intersection(*(set(steps.tolist()) for steps, _ in curves)))
        means = [np.mean([values[steps == step][0] for steps, values in curves]) for step in shared]
        axes.plot(shared, means, color=colour, linestyle=dash, **THICK)


def crossed(runs: Sequence[Run]) -> list[Any]:
    """The legend's entry for crosses, where there are any."""
    return [line(INK, "diverged", **CROSS)] if diverged(runs) else []
