"""All singular values of each layer, at the end (Miyato et al. 2018, Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snlab.core import names
from snlab.results.figures.printed import (
    THICK,
    THIN,
    around,
    columns,
    entries,
    fitted,
    grid_height,
    heading,
    key,
    sheet,
)
from snlab.results.figures.style import by_row, missing
from snlab.results.groups import group
from snlab.results.looks import palette
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL = 1.4  # inches, at least, of one layer's


def spectrum(runs: Sequence[Run], width: float) -> Figure:
    """Squared singular values over the largest, a panel a layer, a curve a normalizer; last measurement."""
    from matplotlib.ticker import MaxNLocator

    groups = group(runs)
    looks = palette(g.normalizer for g in groups)
    rows = by_row(groups, lambda g: bool(g.layers(names.SPECTRUM)))
    if not rows:
        raise missing(f"{names.SPECTRUM}/LAYER", "no spectrum")
    layers = [_layers([run for g in row.groups for run in g.whole]) for row in rows]
    handles = [entries(row.groups, looks, crosses=False) for row in rows]
    side = [columns(width, PANEL, len(found)) for found in layers]
    titles = [
        [fitted(layer, width / beside - 0.2) for layer in found]
        for found, beside in zip(layers, side, strict=True)
    ]
    heights = [
        grid_height(texts, beside, 1.1) + around(row.title, of, width)
        for row, texts, beside, of in zip(rows, titles, side, handles, strict=True)
    ]
    figure, bands = sheet(width, heights)
    for band, row, found, texts, beside, of in zip(bands, rows, layers, titles, side, handles, strict=True):
        grid = band.subplots(-(-len(found) // beside), beside, sharey=True, squeeze=False)
        for i, (axes, layer) in enumerate(zip(grid.flat, found, strict=False)):
            for g in row.groups:
                look = looks[g.normalizer]
                how: dict[str, Any] = {"color": look.colour, "linestyle": look.line}
                curves = [c for run in g.finished_or_whole if (c := last_spectrum(run, layer)) is not None]
                for curve in curves:
                    kind = THIN if len(curves) > 1 else THICK
                    axes.plot(np.arange(1, len(curve) + 1), curve, **how, **kind)
                if len({len(curve) for curve in curves}) == 1 < len(curves):
                    mean = np.mean(curves, axis=0)
                    axes.plot(np.arange(1, len(mean) + 1), mean, **how, **THICK)
            axes.set_title(texts[i])
            axes.set_ylim(0, 1.03)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            if i + beside >= len(found):
                axes.set_xlabel("index")
        for axes in grid.flat[len(found) :]:
            axes.remove()
        for axes in grid[:, 0]:
            axes.set_ylabel("σᵢ² / σ₁²")
        heading(band, row.title, width)
        key(band, of, width)
    return figure


def last_spectrum(run: Run, layer: str) -> np.ndarray | None:
    """The last logged spectrum of a layer, largest first; None without one, or where it is not finite."""
    _, values = run.series(f"{names.SPECTRUM}/{layer}")
    if not values or not isinstance(values[-1], list):
        return None
    curve = np.array([v if isinstance(v, int | float) else np.nan for v in values[-1]], dtype=float)
    return np.sort(curve)[::-1] if curve.size and np.isfinite(curve).all() else None


def _layers(runs: Sequence[Run]) -> list[str]:
    """The layers to show: those with more than one singular value, or all where none has."""
    prefix = f"{names.SPECTRUM}/"
    found = dict.fromkeys(name.removeprefix(prefix) for run in runs for name in run.names(prefix))
    sizes = {layer: max((len(c) for run in runs if (c := last_spectrum(run, layer)) is not None), default=0)
             for layer in found}  # fmt: skip
    return [layer for layer, size in sizes.items() if size > 1] or list(found)
