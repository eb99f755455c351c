"""What is compared: each measured column, how it is read from a run, and which way is better."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from snlab.core import names
from snlab.results.extractors import Extractor, extractors
from snlab.results.reading import final, ratio_name, sigmas
from snlab.results.spread import Spread
from snlab.results.tables.table import Column
from snlab.tracking.run_folder import OVER, Run

RUNS, SAMPLES, DISCRIMINATOR = "runs", "generated samples", "discriminator"
DENSITY_RATIO = "f as a density ratio"


@dataclass(frozen=True)
class Measure:
    """One column of numbers.

    ``values(run)`` are a finished run's own; over the seeds they become a mean, or one number by ``pool``.
    ``better`` is 1 where more is better, -1 where less is, 0 where neither can be said. What is shown is
    ``scale`` times the value.
    """

    column: Column
    values: Callable[[Run], Sequence[float] | np.ndarray]
    better: Literal[-1, 0, 1] = 0
    pool: Callable[[np.ndarray], Any] | None = None
    scale: float = 1.0
    digits: int = 3
    decimals: int = 3

    def spread(self, runs: Sequence[Run]) -> Spread:
        values = np.concatenate([np.empty(0), *(np.asarray(self.values(run), float) for run in runs)])
        values = values[np.isfinite(values)]
        return Spread.of([float(self.pool(values))] if self.pool and values.size else values)


def measures(runs: Sequence[Run]) -> list[Measure]:
    """Every column of numbers that runs of one data set can fill, in reading order."""
    return [*_cost(), *_fidelity(runs), *_modes(), *_discriminator(runs)]


def _final(name: str) -> Callable[[Run], list[float]]:
    return lambda run: [final(run, name)]


def _fidelity(runs: Sequence[Run]) -> Iterator[Measure]:
    scores: list[tuple[str, str, str, Literal[-1, 1], bool]] = [
        (names.FID, "FID", "Fréchet distance of generated to real features; lower is better", -1, False),
        (names.KID, "KID", "kernel distance of generated to real features; lower is better", -1, False),
        (names.INCEPTION_SCORE, "inception score", "higher is better", 1, True),
        (names.PRECISION, "precision", "share of generated samples near real ones", 1, True),
        (names.RECALL, "recall", "share of real samples near generated ones", 1, False),
    ]
    found = extractors([run for run in runs if run.outcome in OVER])
    for name, header, text, better, detail in scores:
        for extractor in found:
            decimals = 4 if name == names.KID else 3
            key, title = f"{name}/{extractor.label}", f"{header} ({extractor.label})"
            column = Column(key, title, "", text, SAMPLES, "mean", detail)
            yield Measure(column, _score(f"{name}/{extractor.name}", extractor), better, decimals=decimals)


def _score(logged: str, extractor: Extractor) -> Callable[[Run], list[float]]:
    return lambda run: [final(run, logged)] if extractor.scored(run) else []


def _modes() -> Iterator[Measure]:
    scores: list[tuple[str, str, str, str, Literal[-1, 1], bool]] = [
        (names.MODES_COVERED, "modes covered", "", "modes with a sample within 3 std", 1, False),
        (names.MODES_HIGH_QUALITY, "high quality", "", "share of samples within 3 std of a mode", 1, False),
        (names.MODES_KL, "modes KL", "nats", "from the true shares of the modes", -1, True),
    ]
    for name, header, unit, text, better, detail in scores:
        yield Measure(Column(name, header, unit, text, SAMPLES, "mean", detail), _final(name), better)


def _discriminator(runs: Sequence[Run]) -> Iterator[Measure]:
    over = "over layers, updates and seeds"
    pools: list[tuple[str, str, str, str, Callable[[np.ndarray], Any]]] = [
        ("sigma_median", "σ median", names.SIGMA_EXACT, f"σ of the weights as matrices, {over}", np.median),
        ("sigma_max", "σ max", names.SIGMA_EXACT, f"largest σ of the weights as matrices, {over}", np.max),
        (
            "sigma_conv_max",
            "‖layer‖ max",
            names.SIGMA_CONV,
            f"largest norm of a layer, {over}",
            np.max,
        ),
    ]
    for key, header, name, text, pool in pools:
        column = Column(key, header, "", text, DISCRIMINATOR, "number")
        yield Measure(column, partial(sigmas, prefix=name), pool=pool, digits=4)
    for name, header, text in [
        (names.LIPSCHITZ_PRODUCT, "Lipschitz bound", "from the layers' norms as maps, at the end"),
        (names.LIPSCHITZ_CERTIFIED, "certified", "a Lipschitz constant of the whole, certified"),
        (names.LIPSCHITZ_LOOSENESS, "looseness", "the bound as a multiple of the certified constant"),
        (names.LIPSCHITZ_LOWER, "‖∇f‖ climbed", "largest gradient met when climbing it from the probe"),
        (names.LIPSCHITZ_GRADIENT_MAX, "‖∇f‖ max", "largest gradient of the logit over the probe"),
    ]:
        yield Measure(Column(name, header, "", text, DISCRIMINATOR, "mean"), _final(name))
    yield _ratio(runs, names.GENERALISATION_GAP, "accuracy gap", "accuracy on training less held-out reals")
    yield _ratio(runs, names.SATURATION, "saturation", "share of the probe told apart with 0.99 certainty")
    yield _ratio(
        runs, names.LOG_MASS_FAKE, "log mass", "log mean of q/p over fakes; 0 at the optimum", "nats"
    )
    for metric, detail in [
        (names.LOG_MASS_REAL, True), (names.EFFECTIVE_SAMPLE_SIZE, True), (names.CALIBRATION_ERROR, True),
    ]:  # fmt: skip
        yield _ratio(runs, metric, metric.replace("_", " "), "", detail=detail)
    yield _ratio(runs, names.INSTABILITY, "instability", "of f's variance the share over time", detail=True)
    # None is better where it is less or more: see docs/metrics.md on what each is ruled by near p_G = q.
    yield _ratio(
        *(runs, names.TRUE_EXCESS_LOSS, "f: excess loss", "standard loss less that of the true log q/p"),
        unit="nats",
        decimals=3,
    )
    yield _ratio(runs, names.TRUE_JS, "JS divergence", "of q and p, exact", "nats", detail=True, decimals=3)
    yield _ratio(runs, names.TRUE_RMSE, "f: RMS error", "of f, from the true log q/p", "nats")
    yield _ratio(runs, names.TRUE_CORRELATION, "f: correlation", "of f, with the true log q/p")


def _ratio(
    runs: Sequence[Run],
    metric: str,
    header: str,
    text: str,
    unit: str = "",
    detail: bool = False,
    decimals: int | None = None,
) -> Measure:
    name = ratio_name(runs, metric)
    header = f"{header} (calibrated)" if f"/{names.CALIBRATED}/" in name else header
    column = Column(name, header, unit, text, DENSITY_RATIO, "mean", detail)
    return Measure(column, _final(name), decimals=decimals or (2 if unit else 3))


def _cost() -> Iterator[Measure]:
    speed, share = names.IMAGES_PER_SECOND, names.DIAGNOSTICS_SHARE
    yield Measure(Column(speed, "images", "1/s", "real images a second", RUNS, "mean"), _final(speed))
    column = Column(share, "diagnostics", "%", "of wall time", RUNS, "mean")
    yield Measure(column, _final(share), scale=100, decimals=1)
