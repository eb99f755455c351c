"""Figures 3 and 9: the singular values of the discriminator's convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from snlab.core import names
from snlab.results import looks
from snlab.results.figures.miyato2018.bands import last_width
from snlab.results.figures.miyato2018.bars import SWEEPS, VARIED, compared
from snlab.results.figures.miyato2018.panels import Panel, panels, scored, shown, unfilled
from snlab.results.figures.printed import (
    THICK,
    THIN,
    crossed,
    curve_over_seeds,
    diverged,
    heading,
    heading_height,
    key,
    key_height,
    line,
    sheet,
)
from snlab.results.figures.sigma import depth_colours
from snlab.results.figures.spectrum import last_spectrum
from snlab.results.figures.style import SMALL, updates_axis
from snlab.results.settings import (
    SETTINGS,
    SPECTRAL_NORM,
    WEIGHT_CLIPPING,
    WEIGHT_NORM,
    Method,
    letter_of,
    listed,
    method_of,
)
from snlab.tracking.run_folder import FINISHED, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OF_FIGURE_3 = (WEIGHT_CLIPPING, WEIGHT_NORM, SPECTRAL_NORM)


def spectra_panels(runs: Sequence[Run]) -> list[Panel]:
    """The panels of runs of OF_FIGURE_3 at settings of Table 1 that logged spectra."""
    here = [run for run in runs if letter_of(run) and method_of(run) in OF_FIGURE_3]
    return [panel for panel in compared(panels(here, VARIED)) if _layers(best_settings(panel))]


def figure3(runs: Sequence[Run], width: float) -> Figure:
    """Squared singular values of each convolution, of three methods at their best setting."""
    from matplotlib.ticker import MaxNLocator

    found = shown(spectra_panels(runs))
    if not found:
        what = (
            "finished runs of weight_clipping, weight_norm and spectral_norm at a setting A to F of Table 1 "
            f"that logged {names.SPECTRUM}/LAYER and, to choose between settings, {names.FID}/EXTRACTOR"
        )
        raise unfilled("miyato2018/figure3", what, runs, SWEEPS)
    best = [best_settings(panel) for panel in found]
    layers = [_layers(of) for of in best]
    colours = looks.palette(method.normalizer for method in OF_FIGURE_3)
    columns = max(2, int((width - 0.4) / 0.7))
    lines = [-(-len(names_of) // columns) for names_of in layers]
    below = key_height([f"{method}: not run" for method in OF_FIGURE_3], width)
    above = [heading_height(panel.title, width) for panel in found]
    figure, bands = sheet(
        width, [1.0 * count + 0.15 + extra + below for count, extra in zip(lines, above, strict=True)]
    )
    for band, panel, of, names_of, count in zip(bands, found, best, layers, lines, strict=True):
        grid = band.subplots(count, -(-len(names_of) // count), sharey=True, squeeze=False)
        for axes, layer in zip(grid.flat, names_of, strict=False):
            for method, (_, members) in of.items():
                _spectra(axes, members, layer, colours[method.normalizer].colour)
            axes.set_title(layer, fontsize=SMALL)
            axes.set_ylim(0, 1.04)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(2, integer=True))
        for axes in grid.flat[len(names_of) :]:
            axes.remove()
        for axes in grid.flat[max(0, len(names_of) - grid.shape[1]) : len(names_of)]:
            axes.set_xlabel("index")
        for axes in grid[:, 0]:
            axes.set_ylabel("σᵢ² / σ₁²")
        heading(band, panel.title, width)
        entries = []
        for method in OF_FIGURE_3:
            ran = any(method_of(run) == method for run in panel.runs)
            said = f" ({of[method][0]})" if method in of else ": no result" if ran else ": not run"
            dash = "-" if method in of else ":"
            entries.append(line(colours[method.normalizer].colour, f"{method}{said}", linestyle=dash))
        key(band, entries, width)
    return figure


def _spectra(axes: Axes, runs: Sequence[Run], layer: str, colour: str) -> None:
    """The last spectrum of each seed thin, and their mean thick."""
    curves = [curve for run in runs if (curve := last_spectrum(run, layer)) is not None]
    for curve in curves:
        axes.plot(np.arange(1, len(curve) + 1), curve, color=colour, **(THIN if len(curves) > 1 else THICK))
    if len({len(curve) for curve in curves}) == 1 < len(curves):
        mean = np.mean(curves, axis=0)
        axes.plot(np.arange(1, len(mean) + 1), mean, color=colour, **THICK)


def sigma_panels(runs: Sequence[Run]) -> list[Panel]:
    """The panels of runs under spectral norm at setting C that logged exact σ."""
    here = [
        run
        for run in runs
        if letter_of(run) == "C" and method_of(run) == SPECTRAL_NORM and last_width(run) in (1, None)
    ]
    return [panel for panel in panels(here, ()) if convolutions(panel.runs, names.SIGMA_EXACT)]


def figure9(runs: Sequence[Run], width: float) -> Figure:
    """Exact σ of each convolution through training under spectral norm, setting C."""
    found = shown(sigma_panels(runs))
    if not found:
        what = f"runs of spectral_norm at {listed('C')} that logged {names.SIGMA_EXACT}/LAYER"
        raise unfilled("miyato2018/figure9", what, runs, ("figure9_sigma", "figure9_sigma_fashion_mnist"))
    above = [heading_height(panel.title, width) for panel in found]
    layers = [convolutions(panel.runs, names.SIGMA_EXACT) for panel in found]
    below = [key_height([*of, "diverged"], width) for of in layers]
    heights = [min(0.55 * width, 2.4) + up + down for up, down in zip(above, below, strict=True)]
    figure, bands = sheet(width, heights)
    for band, panel, of in zip(bands, found, layers, strict=True):
        axes = band.subplots()
        axes.axhline(1, color="#999999", linewidth=0.6, zorder=1)
        colours = depth_colours(of)
        for layer, colour in colours.items():
            curve_over_seeds(axes, panel.runs, f"{names.SIGMA_EXACT}/{layer}", colour)
        axes.set_ylabel("largest singular value σ")
        updates_axis(axes)
        heading(band, panel.title, width)
        entries = [line(colour, layer) for layer, colour in colours.items()]
        key(band, [*entries, *crossed(panel.runs)], width)
    return figure


def convolutions(runs: Sequence[Run], prefix: str) -> list[str]:
    """The layers logged as ``prefix/LAYER`` that are named as convolutions are; all, where none is."""
    found = dict.fromkeys(name.removeprefix(f"{prefix}/") for run in runs for name in run.names(f"{prefix}/"))
    return [layer for layer in found if "conv" in layer.rsplit(".", 1)[-1]] or list(found)


def best_settings(panel: Panel) -> dict[Method, tuple[str, list[Run]]]:
    """Of each method, the letter of its best setting, and the runs that finished there.

    The best has the lowest mean FID, of the first extractor that scored any of the runs; but one where seeds
    diverged is worse than any where fewer did. Where a method finished at one setting alone, no score is
    needed.
    """
    by_fid = next(iter(scored([panel], names.FID)), None)
    found = {}
    for method in OF_FIGURE_3:
        finished: dict[str, list[Run]] = {}
        ranks: dict[str, tuple[int, float]] = {}
        for letter in SETTINGS:
            there = [run for run in panel.runs if (method_of(run), letter_of(run)) == (method, letter)]
            ended = [run for run in there if run.outcome == FINISHED]
            values = by_fid.values([run for run in ended if run in by_fid.runs]) if by_fid else []
            if ended:
                finished[letter] = ended
            if values:
                ranks[letter] = (diverged(there), float(np.mean(values)))
        if ranks or len(finished) == 1:
            letter = min(ranks, key=ranks.__getitem__) if ranks else next(iter(finished))
            found[method] = (letter, finished[letter])
    return found


def _layers(best: Mapping[Method, tuple[str, list[Run]]]) -> list[str]:
    return convolutions([run for _, members in best.values() for run in members], names.SPECTRUM)
