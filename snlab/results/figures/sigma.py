"""The largest singular value of each layer through training (Miyato et al. 2018, Figure 9)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from snlab.core import names
from snlab.results.figures.style import (
    by_row,
    finite,
    missing,
    page,
    plain_numbers,
    title,
    updates_axis,
    visible,
)
from snlab.results.groups import Group, group
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4


def sigma(runs: Sequence[Run]) -> Figure:
    """σ of each layer's weight as a matrix over generator updates, a panel a normalizer; dashed: raw."""
    rows = by_row(group(runs), lambda g: bool(g.layers(names.SIGMA_EXACT)))
    if not rows:
        raise missing(f"{names.SIGMA_EXACT}/LAYER", "no σ")
    lines = [-(-len(row.groups) // COLUMNS) for row in rows]
    figure, bands = page([0.5 + 2.5 * count for count in lines])
    for band, (groups, text), count in zip(bands, rows, lines, strict=True):
        layers = list(dict.fromkeys(layer for g in groups for layer in g.layers(names.SIGMA_EXACT)))
        colours = depth_colours(layers)
        grid = band.subplots(count, min(len(groups), COLUMNS), sharex=True, sharey=True, squeeze=False)
        for i, (axes, g) in enumerate(zip(grid.flat, groups, strict=False)):
            _panel(axes, g, colours)
            axes.set_title(textwrap.fill(g.name, 28))
            updates_axis(axes, label=i + COLUMNS >= len(groups))
        for axes in grid.flat[len(groups) :]:
            axes.remove()
        for axes in grid[:, 0]:
            axes.set_ylabel("largest singular value σ")
        _log_scale(grid.flat[0])
        title(band, text)
        band.legend(handles=_handles(colours), loc="outside right center", handlelength=1.6)
    return figure


def _panel(axes: Axes, g: Group, colours: dict[str, Any]) -> None:
    axes.axhline(1, color="#999999", linewidth=0.8, zorder=1)
    for run in g.whole:
        for layer, colour in colours.items():
            if (raw := finite(run, f"{names.SIGMA_RAW}/{layer}")) is not None:
                axes.plot(*raw, color=colour, linewidth=0.7, linestyle=(0, (4, 3)), alpha=0.6, zorder=2)
            if (exact := finite(run, f"{names.SIGMA_EXACT}/{layer}")) is not None:
                axes.plot(*exact, color=colour, linewidth=1.4 if len(g.whole) == 1 else 0.9, zorder=3)


def depth_colours(layers: Sequence[str]) -> dict[str, Any]:
    """From the input's side, dark, to the logit's, light: an order that survives grey print."""
    import matplotlib

    ramp = matplotlib.colormaps["viridis"]
    return {layer: ramp(0.92 * i / max(len(layers) - 1, 1)) for i, layer in enumerate(layers)}


def _log_scale(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 50 else (1.0, 2.0, 5.0)))
    plain_numbers(axes)


def _handles(colours: dict[str, Any]) -> list[Any]:
    from matplotlib.lines import Line2D

    layers = [Line2D([], [], color=c, linewidth=2, label=visible(layer)) for layer, c in colours.items()]
    dashed = Line2D([], [], color="#555555", linewidth=0.8, linestyle=(0, (4, 3)), label="raw weight")
    return [*layers, dashed]
