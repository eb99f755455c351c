"""The figure of one of our studies: measures against what is varied, and over updates at one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from snlab.results import looks
from snlab.results.figures.printed import (
    INK,
    around,
    band_over_seeds,
    columns,
    crossed,
    crosses,
    fitted,
    grid_height,
    heading,
    key,
    line,
    marked_axis,
    sheet,
)
from snlab.results.figures.style import GENERATOR_UPDATES, SMALL, finite, missing, plain_numbers, updates_axis
from snlab.results.looks import Look
from snlab.results.studies import STUDIES
from snlab.results.study import Part, Quantity, Study
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL, HEIGHT = 1.6, 1.35  # inches
BESIDE = 3  # panels, at most
RULED: dict[str, Any] = {"color": "#999999", "linewidth": 0.6, "zorder": 1}
OF_ZERO: dict[str, Any] = {"color": INK, "linewidth": 0.8, "linestyle": (0, (1, 1.5)), "zorder": 1}


def draw_study(study: Study, runs: Sequence[Run], width: float) -> Figure:
    """Bands over seeds, a line a normalizer; above against the varied quantity, below over updates.

    Raises:
        UserError: where no two runs are of the study, or none logged what it measures.
    """
    parts = study.parts(runs)
    if not parts:
        raise study.unfilled(runs)
    shown = [quantity for quantity in study.drawn if any(_told(part, quantity) for part in parts)]
    if not shown:
        raise missing(study.drawn[0].name, f"nothing of {study.name}")
    most = columns(width, PANEL, min(BESIDE, len(shown)))
    rows = -(-len(shown) // most)
    beside = -(-len(shown) // rows)  # no row is much shorter than another
    room = width / beside - 0.5  # inches: beside the numbers of its axis
    titles = [fitted(q.text, room, SMALL) for q in shown]
    handles = [_entries(part) for part in parts]
    grid = 2 * grid_height(titles, beside, HEIGHT) + 0.3 * rows  # axes are named below each row
    heads = [f"{part.title}\nbelow: over updates at {study.say(part.at)}" for part in parts]
    heights = [grid + around(head, of, width) for head, of in zip(heads, handles, strict=True)]
    figure, bands = sheet(width, heights)
    for band, part, head, of in zip(bands, parts, heads, handles, strict=True):
        palette = looks.palette(part.normalizers)
        places = band.subplots(2 * rows, beside, squeeze=False)
        for i, (quantity, title) in enumerate(zip(shown, titles, strict=True)):
            row, column = divmod(i, beside)
            for half, draw in enumerate((_against, _over_updates)):
                axes = places[half * rows + row, column]
                _value_axis(axes, quantity)  # before: bands depend on it
                draw(axes, part, quantity, palette)
                axes.set_xlabel(fitted(axes.get_xlabel(), room))
                axes.set_title(title, loc="left", fontsize=SMALL)
        for i in range(len(shown), rows * beside):
            for half in (0, 1):
                places[half * rows + i // beside, i % beside].remove()
        heading(band, head, width)
        key(band, of, width)
    return figure


def _told(part: Part, quantity: Quantity) -> bool:
    return any(part.by_seed(quantity, n, x) for n in part.normalizers for x in part.places)


def _against(axes: Axes, part: Part, quantity: Quantity, palette: Mapping[str, Look]) -> None:
    for normalizer, look in palette.items():
        points = {x: [*part.by_seed(quantity, normalizer, x).values()] for x in part.places}
        band_over_seeds(axes, points, look)
        for x in part.places:
            crosses(axes, x, part.diverged(normalizer, x), look)
    zero = [part.zero(quantity, x) for x in part.places]
    if np.isfinite(zero).any():
        axes.plot(part.places, zero, **OF_ZERO)
    marked_axis(axes, part.places, part.study.axis)


def _over_updates(axes: Axes, part: Part, quantity: Quantity, palette: Mapping[str, Look]) -> None:
    name, by = quantity.logged(part.runs), part.at if quantity.per_x else 1.0
    for normalizer, look in palette.items():
        points: dict[float, list[float]] = {}
        for run in part.finished(normalizer, part.at):
            for step, value in zip(*(finite(run, name) or ([], [])), strict=True):
                points.setdefault(float(step), []).append(float(value) / by)
        band_over_seeds(axes, dict(sorted(points.items())), look, dots=False)
    zero = part.zero(quantity, part.at)
    if np.isfinite(zero):
        axes.axhline(zero, **OF_ZERO)
    updates_axis(axes)
    axes.set_xlabel(GENERATOR_UPDATES)


def _value_axis(axes: Axes, quantity: Quantity) -> None:
    if quantity.logarithmic:
        axes.set_yscale("log")
        plain_numbers(axes)
    if quantity.optimum is not None:
        axes.axhline(quantity.optimum, **RULED)


def _entries(part: Part) -> list[object]:
    palette = looks.palette(part.normalizers)
    named = [line(look.colour, looks.label(n), linestyle=look.line) for n, look in palette.items()]
    zero = [line(INK, "f = 0", linestyle=OF_ZERO["linestyle"])]
    told = any(np.isfinite(part.zero(q, x)) for q in part.study.drawn for x in part.places)
    return [*named, *(zero if told else []), *crossed(part.runs)]


OF_STUDIES: dict[str, Callable[[Sequence[Run], float], Figure]] = {
    name: partial(draw_study, study) for name, study in STUDIES.items()
}
