"""Which of all that a run logs is looked at first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from snlab.core import names
from snlab.results.extractors import extractors
from snlab.results.reading import ratio_name
from snlab.tracking.run_folder import Run

# What is shown where it was logged, after the scores; a name that is a group, as sigma/exact, by its largest.
MAIN = (
    *(names.LOSS_DISCRIMINATOR, names.LOSS_GENERATOR, names.LOSS_PENALTY),
    *(names.SIGMA_EXACT, names.SIGMA_CONV, names.LIPSCHITZ_PRODUCT, names.LIPSCHITZ_GRADIENT_MAX),
    *(names.IMAGES_PER_SECOND, names.DIAGNOSTICS_SHARE),
)
GROUPS = (names.SIGMA_EXACT, names.SIGMA_CONV)
SCORES = (names.FID, names.KID, names.INCEPTION_SCORE, names.PRECISION, names.RECALL)
MODES = (names.MODES_COVERED, names.MODES_HIGH_QUALITY, names.MODES_KL)
RATIOS = (
    *(names.SATURATION, names.GENERALISATION_GAP, names.LOG_MASS_FAKE, names.TRUE_RMSE),
    names.TRUE_CORRELATION,
)


class Curve(NamedTuple):
    """One logged number through training; ``values`` has NaN where it was none."""

    name: str
    steps: list[int]
    values: list[float]


def main_curves(run: Run) -> list[Curve]:
    """The scores, the density ratio's main measures, the losses and the discriminator's bounds."""
    found = {curve.name: curve for curve in all_curves(run)}
    scores = [f"{score}/{extractor.name}" for score in SCORES for extractor in extractors([run], score)]
    wanted = [*scores, *MODES, *(ratio_name([run], metric) for metric in RATIOS), *MAIN]
    curves: list[Curve] = []
    for name in wanted:
        if name in GROUPS:
            curves += _largest(name, [c for key, c in found.items() if key.startswith(f"{name}/")])
        elif name in found:
            curves.append(found[name])
    return curves


def all_curves(run: Run) -> list[Curve]:
    """Every logged number, in order of first appearance."""
    found = ((name, *run.series(name)) for name in run.names())
    return [
        Curve(name, steps, list(map(float, values)))
        for name, steps, values in found
        if all(isinstance(value, int | float) for value in values)
    ]


def _largest(name: str, of: list[Curve]) -> Iterator[Curve]:
    """The largest of several layers' numbers, at every update that has any."""
    largest: dict[int, float] = {}
    for curve in of:
        for step, value in zip(curve.steps, curve.values, strict=True):
            before = largest.get(step, -math.inf)
            largest[step] = math.nan if math.isnan(value) or math.isnan(before) else max(before, value)
    if largest:
        yield Curve(f"{name}, largest", sorted(largest), [largest[step] for step in sorted(largest)])
