"""Figures 1 and 2: the scores of each method at the settings A to F of Table 1."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from snlab.core import names
from snlab.results import looks
from snlab.results.figures.miyato2018.panels import Panel, Scored, panels, scored, shown, unfilled
from snlab.results.figures.printed import (
    CROSS,
    DOT,
    INK,
    PALE,
    crossed,
    diverged,
    heading,
    heading_height,
    key,
    line,
    sheet,
)
from snlab.results.figures.style import SMALL, plain_numbers
from snlab.results.settings import METHODS, SETTINGS, Method, letter_of, method_of
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VARIED = ("model.normalizer", "model.loss", "model.adam", "model.generator_adam", "model.n_dis")
SWEEPS = ("table2_cifar10", "table2_stl10", "table2_fashion_mnist", "settings_photos")
PITCH = 0.62  # inches that the six bars of a method need, for their letters to be read
SLOTS = len(SETTINGS) + 1  # of a method: its bars, and a gap
ROW = 1.55  # inches
HATCH = "/////"  # another loss under the same normalizer, whose colour it shares


def figure1(runs: Sequence[Run], width: float) -> Figure:
    """Inception score of each method at the settings A to F, a panel a data set (bars)."""
    return _bars(runs, width, names.INCEPTION_SCORE, log=False)


def figure2(runs: Sequence[Run], width: float) -> Figure:
    """FID of each method at the settings A to F, a panel a data set (bars, log axis)."""
    return _bars(runs, width, names.FID, log=True)


def methods_of(runs: Sequence[Run]) -> list[Method]:
    """The paper's methods in its order, then what else was run, in the order of every table."""
    others = {method_of(run) for run in runs} - {*METHODS}
    return [*METHODS, *sorted(others, key=lambda method: (looks.order(method.normalizer), method.loss))]


def compared(found: Sequence[Panel]) -> list[Panel]:
    """Of each data set the panels that have runs at several settings; all, where none has.

    A sweep at one setting, over something else, has a figure of its own.
    """
    several = [panel for panel in found if len({letter_of(run) for run in panel.runs}) > 1]
    datasets = {panel.runs[0].dataset for panel in several}
    return [panel for panel in found if panel in several or panel.runs[0].dataset not in datasets]


def panels_by_setting(runs: Sequence[Run], score: str) -> list[Scored]:
    """The panels of runs at settings of Table 1 that have a score."""
    here = [run for run in runs if letter_of(run)]
    return scored(compared(panels(here, VARIED)), score)


def _bars(runs: Sequence[Run], width: float, score: str, log: bool) -> Figure:
    found = shown(panels_by_setting(runs, score))
    if not found:
        name = "miyato2018/figure2" if log else "miyato2018/figure1"
        what = f"runs at a setting A to F of Table 1 that logged {score}/EXTRACTOR"
        raise unfilled(name, what, runs, SWEEPS)
    methods = [methods_of(panel.runs) for panel in found]
    lines = [-(-len(members) // max(1, int((width - 0.5) / PITCH))) for members in methods]
    above = [heading_height(panel.title, width) for panel in found]
    heights = [ROW * count + extra for count, extra in zip(lines, above, strict=True)]
    figure, bands = sheet(width, [*heights[:-1], heights[-1] + 0.2])
    for band, panel, those, count in zip(bands, found, methods, lines, strict=True):
        colours = looks.palette(method.normalizer for method in those)
        grid = band.subplots(count, 1, sharey=True, squeeze=False)[:, 0]
        columns = -(-len(those) // count)
        for i, axes in enumerate(grid):
            members = those[i * columns : (i + 1) * columns]
            axes.set_xlim(-0.8, SLOTS * columns - 1.2)
            for place, method in enumerate(members):
                _cluster(axes, panel, method, SLOTS * place, colours[method.normalizer].colour, log)
            slots = [SLOTS * place + i for place in range(len(members)) for i in range(len(SETTINGS))]
            axes.set_xticks(slots, [*SETTINGS] * len(members))
            axes.tick_params(axis="x", length=0, pad=1)
        _scale(grid[0], panel.values(panel.runs), log)
        if count == 1:
            grid[0].set_ylabel(textwrap.fill(panel.axis, 15), fontsize=SMALL)
        else:
            band.supylabel(panel.axis, fontsize=8)
        heading(band, panel.title, width)
    every = [run for panel in found for run in panel.runs]
    key(bands[-1], [line(INK, "one seed", **DOT), *crossed(every)], width)
    return figure


def _cluster(axes: Axes, panel: Scored, method: Method, start: int, colour: str, log: bool) -> None:
    """The bars of one method; where there is none, why."""
    missing: list[tuple[int, str]] = []
    height = axes.get_xaxis_transform()
    for x, letter in enumerate(SETTINGS, start=start):
        runs = [run for run in panel.runs if (method_of(run), letter_of(run)) == (method, letter)]
        values = panel.values(runs)
        if values:
            hatch = HATCH if method.loss != "standard" else ""
            axes.bar(
                x, float(np.mean(values)), 0.86, color=colour, hatch=hatch, edgecolor="white", linewidth=0
            )
            axes.plot([x] * len(values), values, color=INK, **DOT)
        for place in range(diverged(runs)):
            y = 0.94 - 0.1 * place if log else 0.06 + 0.1 * place  # the worst end
            axes.plot([x], [y], color=INK, transform=height, **CROSS)
        if not values and not diverged(runs):
            missing.append((x, "no score" if runs else "not run"))
    for text, slots in itertools.groupby(_neighbours(missing), key=lambda item: item[1]):
        places = [x for x, _ in slots]
        middle, narrow = (places[0] + places[-1]) / 2, len(places) < 5
        axes.text(
            middle, 0.04, text[0], transform=height, rotation=90 if narrow else 0, ha="center", va="bottom",
            fontsize=SMALL, color=PALE,
        )  # fmt: skip
    axes.annotate(
        textwrap.fill(str(method), 13), (start + (len(SETTINGS) - 1) / 2, 0), (0, -11), xycoords=height,
        textcoords="offset points", ha="center", va="top", fontsize=SMALL,
    )  # fmt: skip


def _neighbours(missing: Sequence[tuple[int, str]]) -> list[tuple[int, tuple[str, int]]]:
    """Each slot with its text and a number that those beside one another share."""
    return [(x, (text, x - i)) for i, (x, text) in enumerate(missing)]


def _scale(axes: Axes, values: Sequence[float], log: bool) -> None:
    """The axis of all bars: from 0 or, logarithmic, from below the best."""
    if not log:
        axes.set_ylim(0, 1.08 * max(values, default=1.0) or 1.0)
        return
    from matplotlib.ticker import LogLocator

    positive = [value for value in values if value > 0]
    low, high = min(positive, default=1.0) / 1.6, max(positive, default=1.0) * 1.3
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 50 else (1.0, 2.0, 5.0)))
    plain_numbers(axes)
