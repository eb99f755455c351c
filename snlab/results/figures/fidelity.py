"""How close generated samples come to real ones through training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from snlab.core import names
from snlab.results.extractors import extractors
from snlab.results.figures.printed import (
    CROSS,
    DOT,
    THICK,
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
from snlab.results.figures.style import (
    ROWS,
    SMALL,
    from_zero,
    headline,
    logged,
    missing,
    plain_numbers,
    updates_axis,
)
from snlab.results.groups import Group, by_setting, group
from snlab.results.looks import Look, palette
from snlab.results.reading import final
from snlab.tracking.run_folder import DIVERGED, FINISHED, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


PANEL = 2.5  # inches, at least, of one setting's


@dataclass(frozen=True)
class Panel:
    """One score of one data set, and the runs that it may be read from."""

    groups: list[Group]
    name: str
    label: str
    scored: Callable[[Run], bool]
    log: bool = False


def fidelity(runs: Sequence[Run], width: float) -> Figure:
    """FID over generator updates (good samples and modes of mixtures), each seed's last value beside."""
    groups = group(runs)
    looks = palette(g.normalizer for g in groups)
    datasets = dict.fromkeys(g.dataset for g in groups)
    panels = [p for name in datasets for p in _panels([g for g in groups if g.dataset == name])]
    if not panels:
        raise missing(f"{names.FID}/EXTRACTOR or {names.MODES_HIGH_QUALITY}", "no fidelity")
    cells = [list(by_setting(panel.groups).values()) for panel in panels]
    handles = [entries(panel.groups, looks) for panel in panels]
    titles = [_title(panel, len(settings)) for panel, settings in zip(panels, cells, strict=True)]
    side = [columns(width, PANEL, len(settings)) for settings in cells]
    above = [
        [fitted(of[0].setting, 0.75 * width / beside, SMALL) for of in settings[:ROWS]]
        for settings, beside in zip(cells, side, strict=True)
    ]
    heights = [
        grid_height(texts, beside, 1.65) + around(text, of, width)
        for texts, beside, text, of in zip(above, side, titles, handles, strict=True)
    ]
    figure, bands = sheet(width, heights)
    for band, panel, settings, texts, text, beside, of in zip(
        bands, panels, cells, above, titles, side, handles, strict=True
    ):
        count = -(-len(texts) // beside)
        grid = band.subplots(count, 2 * beside, sharey=True, width_ratios=[4, 1] * beside, squeeze=False)
        pairs = [(line[i], line[i + 1]) for line in grid for i in range(0, 2 * beside, 2)]
        for i, ((curves, strip), members) in enumerate(zip(pairs, settings, strict=False)):
            _cell(curves, strip, panel, members, looks)
            curves.set_title(texts[i], loc="left", fontsize=SMALL)
            if i % beside == 0:
                curves.set_ylabel(panel.label)
        for axes in (axes for pair in pairs[len(settings) :] for axes in pair):
            axes.remove()
        heading(band, text, width)
        key(band, of, width)
    return figure


def _title(panel: Panel, settings: int) -> str:
    shown = f"\n(the first {ROWS} of {settings} settings are shown)" if settings > ROWS else ""
    return headline(panel.groups) + shown


def _cell(
    curves: Axes, strip: Axes, panel: Panel, groups: Sequence[Group], looks: Mapping[str, Look]
) -> None:
    """One setting: the normalizers' curves, and their last values."""
    for g in groups:
        look = looks[g.normalizer]
        curve_over_seeds(
            curves, [run for run in g.whole if panel.scored(run)], panel.name, look.colour, look.line
        )
    if panel.log:
        _log_scale(curves)
    from_zero(curves)
    updates_axis(curves)
    _last_values(strip, panel, groups, looks)


def _panels(groups: list[Group]) -> list[Panel]:
    runs = [run for g in groups for run in g.whole]
    found = []
    for extractor in extractors(runs):
        shown = [g for g in groups if any(extractor.scored(run) for run in g.whole)]
        name = f"{names.FID}/{extractor.name}"
        if logged([run for run in runs if extractor.scored(run)], name):
            found.append(Panel(shown, name, f"FID ({extractor.label})", extractor.scored, log=True))
    if found:
        return found
    modes = {
        names.MODES_HIGH_QUALITY: "high-quality samples\n(share near a mode)",
        names.MODES_COVERED: "modes covered\n(with a sample near)",
    }
    return [
        Panel(groups, name, label, lambda run: True) for name, label in modes.items() if logged(runs, name)
    ]


def _last_values(axes: Axes, panel: Panel, groups: Sequence[Group], looks: Mapping[str, Look]) -> None:
    """A dot for each finished seed, a bar for their mean, a cross at the worst end for a diverged one."""
    for x, g in enumerate(groups):
        look = looks[g.normalizer]
        values = [final(run, panel.name) for run in g.of(FINISHED) if panel.scored(run)]
        values = [value for value in values if np.isfinite(value)]
        spots = x + 0.22 * np.linspace(-1, 1, len(values)) if len(values) > 1 else [x]
        how = {**DOT, "marker": look.marker, "markersize": 3, "alpha": 0.85}
        axes.plot(spots[: len(values)], values, color=look.colour, **how)
        if values:
            mean = float(np.mean(values))
            axes.plot([x - 0.38, x + 0.38], [mean, mean], color=look.colour, **THICK)
        for place in range(sum(panel.scored(run) for run in g.of(DIVERGED))):
            y = 0.97 - 0.06 * place if panel.log else 0.03 + 0.06 * place  # the worst end
            height = axes.get_xaxis_transform()
            axes.plot([x], [y], color=look.colour, transform=height, **CROSS)
    axes.set_xlim(-0.7, len(groups) - 0.3)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False, labelleft=False, which="both")
    axes.set_xlabel("last value,\neach seed\na dot", fontsize=SMALL)


def _log_scale(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    plain_numbers(axes)
