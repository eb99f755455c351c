"""All singular values of each layer, at the end (Miyato et al. 2018, Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snlab.core import names
from snlab.results.figures.style import (
    MEAN,
    SEED,
    by_row,
    legend,
    legend_height,
    missing,
    page,
    title,
)
from snlab.results.groups import group
from snlab.results.looks import palette
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 4


def spectrum(runs: Sequence[Run]) -> Figure:
    """Squared singular values over the largest, a panel a layer, a curve a normalizer; last measurement."""
    from matplotlib.ticker import MaxNLocator

    groups = group(runs)
    looks = palette(g.normalizer for g in groups)
    rows = by_row(groups, lambda g: bool(g.layers(names.SPECTRUM)))
    if not rows:
        raise missing(f"{names.SPECTRUM}/LAYER", "no spectrum")
    layers = [_layers([run for g in row.groups for run in g.whole]) for row in rows]
    lines = [-(-len(found) // COLUMNS) for found in layers]
    figure, bands = page([
        0.85 + 2.0 * count + legend_height(row.groups, looks) for row, count in zip(rows, lines, strict=True)
    ])  # fmt: skip
    for band, row, found, count in zip(bands, rows, layers, lines, strict=True):
        grid = band.subplots(count, min(len(found), COLUMNS), sharey=True, squeeze=False)
        for i, (axes, layer) in enumerate(zip(grid.flat, found, strict=False)):
            for g in row.groups:
                look = looks[g.normalizer]
                how: dict[str, Any] = {"color": look.colour, "linestyle": look.line}
                curves = [c for run in g.finished_or_whole if (c := last_spectrum(run, layer)) is not None]
                for curve in curves:
                    kind = SEED if len(curves) > 1 else MEAN
                    axes.plot(np.arange(1, len(curve) + 1), curve, **how, **kind)
                if len({len(curve) for curve in curves}) == 1 < len(curves):
                    mean = np.mean(curves, axis=0)
                    axes.plot(np.arange(1, len(mean) + 1), mean, **how, **MEAN)
            axes.set_title(layer)
            axes.set_ylim(0, 1.03)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            if i + COLUMNS >= len(found):
                axes.set_xlabel("index of the singular value")
        for axes in grid.flat[len(found) :]:
            axes.remove()
        for axes in grid[:, 0]:
            axes.set_ylabel("σᵢ² / σ₁²")
        title(band, row.title)
        legend(band, row.groups, looks, crosses=False)
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
