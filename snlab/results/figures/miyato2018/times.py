"""Figure 10: how long 100 generator updates take under each method."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from snlab.core import names
from snlab.core.registry import label
from snlab.results import looks
from snlab.results.figures.miyato2018.panels import Panel, shown, unfilled
from snlab.results.figures.printed import (
    DOT,
    INK,
    PALE,
    heading,
    heading_height,
    key,
    line,
    sheet,
)
from snlab.results.figures.style import SMALL, finite
from snlab.results.groups import once
from snlab.results.settings import NONE, SPECTRAL_NORM, WEIGHT_NORM, WGAN_GP, method_of, setting_of
from snlab.tracking.run_folder import OVER, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OF_FIGURE_10 = (WGAN_GP, WEIGHT_NORM, SPECTRAL_NORM, NONE)
N_DIS = 5
UPDATES = 100


def timed_panels(runs: Sequence[Run]) -> list[Panel]:
    """The runs of OF_FIGURE_10 at n_dis 5 that are over and logged their speed, by machine and work."""
    timed: dict[str, list[Run]] = {}
    for run in once(runs):
        setting = setting_of(run)
        fits = setting is not None and setting.n_dis == N_DIS and method_of(run) in OF_FIGURE_10
        if fits and run.outcome in OVER and seconds(run) is not None:
            timed.setdefault(_same_work(run), []).append(run)
    return [Panel(title, members) for title, members in timed.items()]


def figure10(runs: Sequence[Run], width: float) -> Figure:
    """Seconds for 100 generator updates by method, n_dis 5, a panel a data set and machine.

    Of ``time/generator_steps_per_second``, which leaves measuring out: a dot is the median over a run's
    measurements, a bar the median of the dots. Settings of n_dis 5 count together, as neither the learning
    rate nor the momentum costs any time. Runs that shared their machine with others are slower for it.
    """
    found = shown(timed_panels(runs))
    if not found:
        what = (
            "runs of gradient_penalty (loss wasserstein), weight_norm, spectral_norm or none at n_dis 5 "
            f"that logged {names.GENERATOR_STEPS_PER_SECOND}"
        )
        sweeps = ("table2_cifar10", "table2_stl10", "table2_fashion_mnist", "table2_seeds_fashion_mnist")
        raise unfilled("miyato2018/figure10", what, runs, sweeps)
    colours = looks.palette(method.normalizer for method in OF_FIGURE_10)
    above = [heading_height(panel.title, width) for panel in found]
    heights = [1.7 + extra for extra in above]
    figure, bands = sheet(width, [*heights[:-1], heights[-1] + 0.2])
    for band, panel in zip(bands, found, strict=True):
        axes = band.subplots()
        for x, method in enumerate(OF_FIGURE_10):
            times = [seconds(run) for run in panel.runs if method_of(run) == method]
            _bar(axes, x, [value for value in times if value], colours[method.normalizer].colour)
        words = [textwrap.fill("none (vanilla)" if m == NONE else str(m), 10) for m in OF_FIGURE_10]
        axes.set_xticks(range(len(words)), words)
        axes.set_xlim(-0.6, len(words) - 0.4)
        axes.margins(y=0.15)
        axes.set_ylim(bottom=0)
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel(f"seconds for {UPDATES}\ngenerator updates")
        heading(band, panel.title, width)
    key(bands[-1], [line(INK, "one run", **DOT)], width)
    return figure


def seconds(run: Run) -> float | None:
    """How long 100 updates took in the median measurement; None where none was logged.

    The first, in which a run warms up, counts only where there is no other.
    """
    found = finite(run, names.GENERATOR_STEPS_PER_SECOND)
    if found is None:
        return None
    rates = found[1][found[1] > 0]
    return float(np.median(UPDATES / (rates[1:] if len(rates) > 1 else rates))) if len(rates) else None


def _bar(axes: Axes, x: int, values: Sequence[float], colour: str) -> None:
    if not values:
        height = axes.get_xaxis_transform()
        axes.text(x, 0.04, "not run", transform=height, ha="center", va="bottom", fontsize=SMALL, color=PALE)
        return
    middle = float(np.median(values))
    axes.bar(x, middle, 0.7, color=colour)
    spots = x + 0.2 * np.linspace(-1, 1, len(values)) if len(values) > 1 else [x]
    axes.plot(spots, values, color=INK, **DOT)
    axes.annotate(
        f"{middle:.3g}", (x, max(values)), (0, 2), textcoords="offset points", ha="center", va="bottom",
        fontsize=SMALL,
    )  # fmt: skip


def _same_work(run: Run) -> str:
    """What has to be the same for times to be compared, in words: it is a panel's title."""
    model, trainer = run.config.get("model", {}), run.config.get("trainer") or {}
    told = {
        "generator batch": model.get("generator_batch_size"),
        "precision": trainer.get("precision"),
        "devices": None if trainer.get("devices") == 1 else trainer.get("devices"),
    }
    words = [
        looks.label(run.dataset),
        looks.label(label(model.get("network", "unknown"))),
        f"batch {model.get('batch_size')}",
        *(f"{name} {value}" for name, value in told.items() if value is not None),
        str(run.summary.get("machine") or "unknown machine"),
    ]
    return ", ".join(words)
