"""How the discriminator's density ratio q_data / p_G fares through training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from snlab.core import names
from snlab.results.figures.printed import (
    around,
    columns,
    curve_over_seeds,
    entries,
    fitted,
    grid_height,
    heading,
    key,
    sheet,
)
from snlab.results.figures.style import SMALL, by_row, from_zero, logged, missing, plain_numbers, updates_axis
from snlab.results.groups import group
from snlab.results.looks import palette
from snlab.results.reading import ratio_name
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANEL = 1.6  # inches, at least
SPIKE = 30  # nats: beyond, a linear axis would show one spike and nothing else
# What is shown where it was logged, in order; the value at the optimum is ruled in where there is one.
PANELS: dict[str, tuple[str, float | None]] = {
    names.SATURATION: ("saturation\n(share of the probe)", 0),
    names.GENERALISATION_GAP: ("generalisation gap\n(accuracy, train less held-out)", 0),
    names.LOG_MASS_FAKE: ("log mass on fakes\n(nats)", 0),
    names.EFFECTIVE_SAMPLE_SIZE: ("effective sample size\n(share of fakes)", 1),
    names.CALIBRATION_ERROR: ("calibration error", 0),
    names.DRIFT: ("drift of the logit on reals\n(RMS since the last measurement)", None),
    names.RANK_CORRELATION: ("order of the reals by the logit\n(rank correlation over time)", 1),
    names.GENERATOR_GRADIENT_SATURATING: ("gradient left to the generator\n(of log(1 - D), mean norm)", None),
    names.INSTABILITY: ("instability of the logit on reals\n(share of its variance over time)", None),
    names.TRUE_EXCESS_LOSS: ("excess loss over the true\nlog q/p (nats)", 0),
    names.TRUE_RMSE: ("error of log q/p\n(RMS, nats)", 0),
    names.TRUE_CORRELATION: ("correlation with\nthe true log q/p", 1),
}


def ratio(runs: Sequence[Run], width: float) -> Figure:
    """Density-ratio stability over generator updates: a panel a metric, a line a normalizer."""
    groups = group(runs)
    looks = palette(g.normalizer for g in groups)
    rows = by_row(groups, lambda g: bool(_panels(g.whole)))
    if not rows:
        raise missing(f"{names.RATIO}/{names.SATURATION} or another {names.RATIO}/NAME", "no density ratio")
    panels = [_panels([run for g in row.groups for run in g.whole]) for row in rows]
    handles = [entries(row.groups, looks) for row in rows]
    side = [columns(width, PANEL, len(found)) for found in panels]
    titles = [
        [fitted(text, width / beside - 0.25, SMALL) for _, text, _ in found]
        for found, beside in zip(panels, side, strict=True)
    ]
    heights = [
        grid_height(texts, beside, 1.15) + around(row.title, of, width)
        for row, texts, beside, of in zip(rows, titles, side, handles, strict=True)
    ]
    figure, bands = sheet(width, heights)
    for band, row, found, texts, beside, of in zip(bands, rows, panels, titles, side, handles, strict=True):
        grid = band.subplots(-(-len(found) // beside), beside, sharex=True, squeeze=False)
        for i, (axes, (name, _, optimum)) in enumerate(zip(grid.flat, found, strict=False)):
            if optimum is not None:
                axes.axhline(optimum, color="#999999", linewidth=0.6, zorder=1)
            for g in row.groups:
                look = looks[g.normalizer]
                curve_over_seeds(axes, g.whole, name, look.colour, look.line)
            if np.abs(axes.dataLim.intervaly).max() > SPIKE:
                axes.set_yscale("symlog", linthresh=1)
                plain_numbers(axes)
            from_zero(axes)
            axes.set_title(texts[i], loc="left", fontsize=SMALL)
            updates_axis(axes, label=i + beside >= len(found))
        for axes in grid.flat[len(found) :]:
            axes.remove()
        heading(band, row.title, width)
        key(band, of, width)
    return figure


def _panels(runs: Sequence[Run]) -> list[tuple[str, str, float | None]]:
    """Logged name, title and optimum of each panel that these runs can fill."""
    found = []
    for metric, (text, optimum) in PANELS.items():
        name = ratio_name(runs, metric)
        if logged(runs, name):
            calibrated = f"/{names.CALIBRATED}/" in name
            found.append((name, f"calibrated {text}" if calibrated else text, optimum))
    return found
