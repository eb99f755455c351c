"""Figures 4 and 11: the score against one quantity, a band over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from snlab.core import names
from snlab.core.errors import UserError
from snlab.core.registry import Spec, label, parse
from snlab.results import looks
from snlab.results.figures.miyato2018.panels import Scored, panels, scored, shown, unfilled
from snlab.results.figures.printed import (
    band_over_seeds,
    crossed,
    crosses,
    diverged,
    heading,
    heading_height,
    key,
    key_height,
    marked_axis,
    sheet,
)
from snlab.results.settings import (
    ORTHONORMAL,
    SPECTRAL_NORM,
    WEIGHT_NORM,
    Method,
    letter_of,
    listed,
    method_of,
    setting_of,
)
from snlab.results.spelling import plain
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAST_WIDTH = "last_width"
OF_FIGURE_4 = (SPECTRAL_NORM, ORTHONORMAL)
OF_FIGURE_11 = (SPECTRAL_NORM, WEIGHT_NORM)


def panels_by_width(runs: Sequence[Run]) -> list[Scored]:
    """The panels of runs of OF_FIGURE_4 at setting C that have an inception score at several last widths."""
    here = [
        run for run in runs if letter_of(run) == "C" and method_of(run) in OF_FIGURE_4 and last_width(run)
    ]
    found = scored(panels(here, ("model.normalizer",), _without_last_width), names.INCEPTION_SCORE)
    return [panel for panel in found if len({last_width(run) for run in panel.runs}) > 1]


def figure4(runs: Sequence[Run], width: float) -> Figure:
    """Inception score against the width of the last feature map, spectral norm against orthonormal."""
    found = panels_by_width(runs)
    if not found:
        what = (
            f"runs of spectral_norm and orthonormal at {listed('C')} and at several {LAST_WIDTH} "
            f"that logged {names.INCEPTION_SCORE}/EXTRACTOR"
        )
        raise unfilled(
            "miyato2018/figure4", what, runs, ("figure4_width", "figure4_width_fashion_mnist", "width_photos")
        )
    label_of_x = "relative width of the last feature map"
    return _figure(shown(found), OF_FIGURE_4, last_width, label_of_x, width)


def panels_by_n_dis(runs: Sequence[Run]) -> list[Scored]:
    """The panels of runs of OF_FIGURE_11 at setting D that have an inception score at several n_dis."""
    here = [run for run in runs if letter_of(run, but_n_dis=True) == "D" and method_of(run) in OF_FIGURE_11]
    found = scored(panels(here, ("model.normalizer", "model.n_dis")), names.INCEPTION_SCORE)
    return [panel for panel in found if len({n_dis(run) for run in panel.runs}) > 1]


def figure11(runs: Sequence[Run], width: float) -> Figure:
    """Inception score against n_dis, spectral norm and weight norm, setting D otherwise."""
    found = panels_by_n_dis(runs)
    if not found:
        what = (
            f"runs of spectral_norm and weight_norm at {listed('D')} but of several n_dis "
            f"that logged {names.INCEPTION_SCORE}/EXTRACTOR"
        )
        raise unfilled(
            "miyato2018/figure11",
            what,
            runs,
            ("figure11_n_dis", "figure11_n_dis_fashion_mnist", "n_dis_photos"),
        )
    return _figure(shown(found), OF_FIGURE_11, n_dis, "discriminator updates a generator update", width)


def last_width(run: Run) -> float | None:
    """By how much a run's last feature map is wider than the standard CNN's; None of another network."""
    term = _standard_cnn(run.config.get("model", {}))
    width = term.options.get(LAST_WIDTH, 1.0) if term else None
    return float(width) if isinstance(width, int | float) else None


def _standard_cnn(model: dict[str, Any]) -> Spec | None:
    try:
        terms = parse(label(model.get("network", "")))
    except UserError:
        return None
    return terms[0] if [term.name for term in terms] == ["standard_cnn"] else None


def _without_last_width(config: dict[str, Any]) -> None:
    term = _standard_cnn(config["model"])
    assert term is not None
    options = {name: value for name, value in term.options.items() if name != LAST_WIDTH}
    config["model"]["network"] = plain(str(term._replace(options=options)))


def n_dis(run: Run) -> float | None:
    """Discriminator updates a generator update; None where a run does not say."""
    setting = setting_of(run)
    return setting.n_dis if setting else None


def _figure(
    found: Sequence[Scored],
    methods: Sequence[Method],
    x_of: Callable[[Run], float | None],
    label_of_x: str,
    width: float,
) -> Figure:
    colours = looks.palette(method.normalizer for method in methods)
    below = key_height([f"{method}: not run" for method in methods] + ["diverged"], width)
    above = [heading_height(panel.title, width) for panel in found]
    figure, bands = sheet(width, [min(0.55 * width, 2.4) + extra + below for extra in above])
    for band, panel in zip(bands, found, strict=True):
        axes = band.subplots()
        for method in methods:
            runs = [run for run in panel.runs if method_of(run) == method]
            places = sorted({x for run in runs if (x := x_of(run)) is not None})
            at = {x: [run for run in runs if x_of(run) == x] for x in places}
            scores = {x: panel.values(members) for x, members in at.items()}
            look = colours[method.normalizer]
            text = str(method) if any(scores.values()) else f"{method}: {'no score' if runs else 'not run'}"
            band_over_seeds(axes, scores, look, text)
            for x, members in at.items():
                crosses(axes, x, diverged(members), look)
        marked_axis(axes, sorted({x for run in panel.runs if (x := x_of(run)) is not None}), label_of_x)
        axes.set_ylabel(panel.axis)
        handles, _ = axes.get_legend_handles_labels()
        key(band, [*handles, *crossed(panel.runs)], width)
        heading(band, panel.title, width)
    return figure
