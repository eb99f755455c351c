"""How the discriminator's density ratio q_data / p_G fares through training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from snlab.core import names
from snlab.results.figures.style import (
    by_row,
    draw_seeds,
    from_zero,
    legend,
    legend_height,
    logged,
    missing,
    page,
    plain_numbers,
    title,
    updates_axis,
)
from snlab.results.groups import group
from snlab.results.looks import palette
from snlab.results.reading import ratio_name
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3
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


def ratio(runs: Sequence[Run]) -> Figure:
    """Density-ratio stability over generator updates: a panel a metric, a line a normalizer."""
    groups = group(runs)
    looks = palette(g.normalizer for g in groups)
    rows = by_row(groups, lambda g: bool(_panels(g.whole)))
    if not rows:
        raise missing(f"{names.RATIO}/{names.SATURATION} or another {names.RATIO}/NAME", "no density ratio")
    panels = [_panels([run for g in row.groups for run in g.whole]) for row in rows]
    lines = [-(-len(found) // COLUMNS) for found in panels]
    figure, bands = page([
        0.85 + 2.0 * count + legend_height(row.groups, looks) for row, count in zip(rows, lines, strict=True)
    ])  # fmt: skip
    for band, row, found, count in zip(bands, rows, panels, lines, strict=True):
        grid = band.subplots(count, min(len(found), COLUMNS), sharex=True, squeeze=False)
        for i, (axes, (name, text, optimum)) in enumerate(zip(grid.flat, found, strict=False)):
            if optimum is not None:
                axes.axhline(optimum, color="#999999", linewidth=0.8, zorder=1)
            for g in row.groups:
                draw_seeds(axes, g, name, looks[g.normalizer])
            if np.abs(axes.dataLim.intervaly).max() > SPIKE:
                axes.set_yscale("symlog", linthresh=1)
                plain_numbers(axes)
            from_zero(axes)
            axes.set_title(text, loc="left")
            updates_axis(axes, label=i + COLUMNS >= len(found))
        for axes in grid.flat[len(found) :]:
            axes.remove()
        title(band, row.title)
        legend(band, row.groups, looks)
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
