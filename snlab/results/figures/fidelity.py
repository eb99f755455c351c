"""How close generated samples come to real ones through training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from snlab.core import names
from snlab.results.collect import Group, extractors, group
from snlab.results.colours import palette
from snlab.results.figures.style import (
    CROSS,
    by_row,
    draw_seeds,
    finite,
    heading,
    legend,
    logged,
    missing,
    page,
    title,
    updates_axis,
)
from snlab.tracking.run_folder import DIVERGED, FINISHED, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Panel:
    """One score of one data set, and the runs that it may be read from."""

    groups: list[Group]
    name: str
    label: str
    scored: Callable[[Run], bool]
    log: bool = False


def fidelity(runs: Sequence[Run]) -> Figure:
    """FID over generator updates (for mixtures the share of good samples), each seed's last value beside."""
    groups = group(runs)
    colours = palette(g.key for g in groups)
    panels = [panel for row in by_row(groups, lambda g: True) for panel in _panels(row)]
    if not panels:
        raise missing(f"{names.FID}/EXTRACTOR or {names.MODES_HIGH_QUALITY}", "no fidelity")
    figure, bands = page([3.6] * len(panels))
    for band, panel in zip(bands, panels, strict=True):
        curves, strip = band.subplots(1, 2, sharey=True, width_ratios=[4, 1])
        for g in panel.groups:
            draw_seeds(curves, g, panel.name, colours[g.key], [run for run in g.runs if panel.scored(run)])
        if panel.log:
            _log_scale(curves)
        curves.set_ylabel(panel.label)
        updates_axis(curves)
        _last_values(strip, panel, colours)
        title(band, heading(panel.groups))
        legend(band, panel.groups, colours)
    return figure


def _panels(groups: list[Group]) -> list[Panel]:
    runs = [run for g in groups for run in g.runs]
    found = []
    for extractor in extractors(runs):
        shown = [g for g in groups if any(extractor.scored(run) for run in g.runs)]
        name = f"{names.FID}/{extractor.name}"
        if logged([run for run in runs if extractor.scored(run)], name):
            found.append(Panel(shown, name, f"FID ({extractor.label})", extractor.scored, log=True))
    if not found and logged(runs, names.MODES_HIGH_QUALITY):
        label = "high-quality samples\n(share near a mode)"
        found.append(Panel(groups, names.MODES_HIGH_QUALITY, label, lambda run: True))
    return found


def _last_values(axes: Axes, panel: Panel, colours: dict[str, str]) -> None:
    """A dot for each finished seed, a bar for their mean, a cross at the worst end for a diverged one."""
    for x, g in enumerate(panel.groups):
        found = [(run, curve) for run in g.runs if panel.scored(run) and (curve := finite(run, panel.name))]
        values = [float(curve[1][-1]) for run, curve in found if run.outcome == FINISHED]
        spots = x + 0.22 * np.linspace(-1, 1, len(values)) if len(values) > 1 else [x]
        axes.plot(spots[: len(values)], values, "o", color=colours[g.key], markersize=5, alpha=0.85)
        if values:
            mean = float(np.mean(values))
            axes.plot([x - 0.38, x + 0.38], [mean, mean], color=colours[g.key], linewidth=2)
        for place in range(sum(panel.scored(run) for run in g.of(DIVERGED))):
            y = 0.97 - 0.06 * place if panel.log else 0.03 + 0.06 * place  # the worst end
            height = axes.get_xaxis_transform()
            axes.plot([x], [y], "x", color=colours[g.key], transform=height, **CROSS)
    axes.set_xlim(-0.7, len(panel.groups) - 0.3)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False, labelleft=False, which="both")
    axes.set_xlabel("last value,\neach seed a dot")


def _log_scale(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
