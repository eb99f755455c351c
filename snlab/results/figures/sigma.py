"""The largest singular value of each layer through training (Miyato et al. 2018, Figure 9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from snlab.core import names
from snlab.results.figures.printed import (
    THICK,
    around,
    columns,
    fitted,
    grid_height,
    heading,
    key,
    line,
    sheet,
)
from snlab.results.figures.style import by_row, finite, missing, plain_numbers, updates_axis
from snlab.results.groups import Group, group
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 1.45  # inches, at least, of one normalizer's
DASHED: dict[str, Any] = {"linewidth": 0.6, "linestyle": (0, (4, 3))}  # of the raw weight


def sigma(runs: Sequence[Run], width: float) -> Figure:
    """σ of each layer's weight as a matrix over generator updates, a panel a normalizer; dashed: raw."""
    rows = by_row(group(runs), lambda g: bool(g.layers(names.SIGMA_EXACT)))
    if not rows:
        raise missing(f"{names.SIGMA_EXACT}/LAYER", "no σ")
    layers = [
        list(dict.fromkeys(name for g in row.groups for name in g.layers(names.SIGMA_EXACT))) for row in rows
    ]
    handles = [_handles(of) for of in layers]
    side = [columns(width, PANEL, len(row.groups)) for row in rows]
    titles = [
        [fitted(g.name, width / beside - 0.2) for g in row.groups]
        for row, beside in zip(rows, side, strict=True)
    ]
    heights = [
        grid_height(texts, beside, 1.2) + around(row.title, of, width)
        for row, texts, beside, of in zip(rows, titles, side, handles, strict=True)
    ]
    figure, bands = sheet(width, heights)
    for band, row, of, texts, entries, beside in zip(bands, rows, layers, titles, handles, side, strict=True):
        lines = -(-len(row.groups) // beside)
        grid = band.subplots(lines, beside, sharex=True, sharey=True, squeeze=False)
        for i, (axes, g) in enumerate(zip(grid.flat, row.groups, strict=False)):
            _panel(axes, g, depth_colours(of))
            axes.set_title(texts[i])
            updates_axis(axes, label=i + beside >= len(row.groups))
        for axes in grid.flat[len(row.groups) :]:
            axes.remove()
        for axes in grid[:, 0]:
            axes.set_ylabel("largest singular\nvalue σ")
        _log_scale(grid.flat[0])
        heading(band, row.title, width)
        key(band, entries, width)
    return figure


def _panel(axes: Axes, g: Group, colours: dict[str, Any]) -> None:
    axes.axhline(1, color="#999999", linewidth=0.6, zorder=1)
    for run in g.whole:
        for layer, colour in colours.items():
            if (raw := finite(run, f"{names.SIGMA_RAW}/{layer}")) is not None:
                axes.plot(*raw, color=colour, alpha=0.6, zorder=2, **DASHED)
            if (exact := finite(run, f"{names.SIGMA_EXACT}/{layer}")) is not None:
                axes.plot(
                    *exact, color=colour, linewidth=THICK["linewidth"] if len(g.whole) == 1 else 0.8, zorder=3
                )


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


def _handles(layers: Sequence[str]) -> list[Any]:
    colours = depth_colours(layers)
    return [*(line(colours[layer], layer) for layer in layers), line("#555555", "raw weight", **DASHED)]
