"""Figures for print: their width, headings and legends, and how a few seeds are drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snlab.core.errors import UserError
from snlab.results.figures.style import RC, SMALL, finite
from snlab.results.groups import Group
from snlab.results.looks import Look
from snlab.tracking.run_folder import DIVERGED, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# ---- print -----------------------------------------------------------------------------------------------

WIDTHS = {"column": 3.25, "page": 6.75}  # inches
HIGHEST = 9.0  # inches of text on a page, in most templates
NARROWEST, WIDEST = 2.5, 20.0  # below, the text has no room
THIN: dict[str, Any] = {"linewidth": 0.5, "alpha": 0.6}  # one of several seeds
THICK: dict[str, Any] = {"linewidth": 1.2}
DOT: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 2.2, "markeredgewidth": 0}
CROSS: dict[str, Any] = {"marker": "x", "linestyle": "none", "markersize": 4, "markeredgewidth": 1}
INK, PALE = "#222222", "#777777"


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


def columns(width: float, each: float, count: int) -> int:
    """How many of ``count`` panels stand side by side, each of so many inches at least."""
    return max(1, min(count, int(width / each)))


def grid_height(titles: Sequence[str], beside: int, each: float) -> float:
    """Inches of a panel for each of the titles, so many beside one another, each so high below its title."""
    return -(-len(titles) // beside) * (each + 0.13 * (1 + max(text.count("\n") for text in titles)))


def fitted(text: str, width: float, points: float = 8) -> str:
    """Each line of a text in lines of so many inches."""
    most = max(6, int(110 / points * width))
    return "\n".join(textwrap.fill(part, most) for part in text.splitlines())


def heading(band: SubFigure, text: str, width: float) -> None:
    """The panel's title, in as many lines as it takes."""
    band.suptitle(_bold(text, width), x=0.01, ha="left", fontsize=8, fontweight="bold")


def heading_height(text: str, width: float) -> float:
    """Inches that ``heading`` takes."""
    return 0.17 * (1 + _bold(text, width).count("\n"))


def _bold(text: str, width: float) -> str:
    return fitted(text, width, points=8.5)


def key(band: SubFigure, handles: Sequence[Any], width: float) -> None:
    """A legend below the panel, in as many columns as fit."""
    for handle in handles:
        handle.set_label(_entry(str(handle.get_label()), width))
    columns = _columns([str(handle.get_label()) for handle in handles], width)
    band.legend(
        handles=handles, loc="outside lower center", ncols=columns, handlelength=1.8, columnspacing=1.2
    )


def key_height(labels: Sequence[str], width: float) -> float:
    """Inches that ``key`` takes for these labels."""
    entries = [_entry(label, width) for label in labels]
    lines = max(entry.count("\n") + 1 for entry in entries)
    return 0.08 + (0.02 + 0.12 * lines) * -(-len(labels) // _columns(entries, width))


def _entry(label: str, width: float) -> str:
    """A label no wider than the legend, its handle beside it; matplotlib hides an underscored one."""
    shown = fitted(label, width - 0.4, SMALL)
    return f" {shown}" if shown.startswith("_") else shown


def _columns(labels: Sequence[str], width: float) -> int:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(family=RC["font.sans-serif"], size=SMALL)
    lines = [line for text in labels for line in text.splitlines()]
    longest = max(TextPath((0, 0), text, prop=font).get_extents().width for text in lines)  # points
    return max(1, min(len(labels), int(72 * width / (longest + 4 * SMALL))))  # 4 em: handle and gaps


def line(colour: Any, text: str, **how: Any) -> Any:
    """An entry of a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, label=text, **(THICK | how))


def entries(groups: Sequence[Group], palette: Mapping[str, Look], crosses: bool = True) -> list[Any]:
    """One of a legend for each normalizer, and one for the crosses where any run diverged."""
    named = {g.normalizer: g.name for g in groups}
    found = [line(palette[spec].colour, name, linestyle=palette[spec].line) for spec, name in named.items()]
    return [*found, *(crossed([run for g in groups for run in g.runs]) if crosses else [])]


def around(title: str, handles: Sequence[Any], width: float) -> float:
    """Inches that the title above a panel, and the legend below it, take."""
    return heading_height(title, width) + key_height([str(h.get_label()) for h in handles], width)


# ---- seeds -----------------------------------------------------------------------------------------------


def band_over_seeds(
    axes: Axes, points: Mapping[float, Sequence[float]], look: Look, text: str = "", dots: bool = True
) -> None:
    """A line through the means of the seeds, and a band of one standard deviation about it.

    On a logarithmic axis, which is set before, the band ends at the lowest seed where it would reach 0.

    Args:
        axes: where.
        points: for each x, in order, the values of the seeds.
        look: of the line.
        text: in the legend.
        dots: whether every seed is one.
    """
    x = [x for x, values in points.items() if values]
    means = np.array([np.mean(points[x]) for x in x])
    stds = np.array([np.std(points[x], ddof=1) if len(points[x]) > 1 else 0.0 for x in x])
    axes.plot(x, means, color=look.colour, linestyle=look.line, label=text, **THICK)
    if (stds > 0).any():
        low = means - stds
        if axes.get_yscale() == "log":
            low = np.where(low > 0, low, [min(points[x]) for x in x])
        axes.fill_between(x, low, means + stds, color=look.colour, alpha=0.2, linewidth=0)
    for at, values in points.items() if dots else ():
        axes.plot([at] * len(values), values, color=look.colour, **DOT)


def crosses(axes: Axes, x: float, count: int, look: Look) -> None:
    """So many diverged runs at a place, above the axis."""
    for place in range(count):
        height = axes.get_xaxis_transform()
        axes.plot([x], [0.04 + 0.07 * place], color=look.colour, transform=height, **CROSS)


def marked_axis(axes: Axes, places: Sequence[float], text: str) -> None:
    """A logarithmic x axis that is marked where runs are."""
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log")
    axes.set_xticks(places, [_short(x) for x in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(text)


def _short(x: float) -> str:
    """
    >>> _short(0.03125), _short(2000), _short(50000)
    ('0.03125', '2000', '50k')
    """
    return f"{x / 1000:g}k" if x >= 10_000 and x % 1000 == 0 else f"{x:g}"


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
