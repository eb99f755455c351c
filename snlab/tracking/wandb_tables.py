"""What a run leaves on W&B for charts across runs: two small tables, of its scores and of its spectra.

W&B's custom charts read config, summary and tables. The configuration has another form under a W&B agent, and
a spectrum is a histogram there, so what such charts need stands in tables, written once, at the run's end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from snlab.core import names
from snlab.core.registry import label
from snlab.tracking.run_folder import Run

POINTS = 64  # of a spectrum, evenly by index, the first and the last among them
SCORES = (
    *(names.FID, names.KID, names.INCEPTION_SCORE, names.PRECISION, names.RECALL),
    *(names.MODES_COVERED, names.MODES_HIGH_QUALITY, names.MODES_KL),
)
SPECTRUM_COLUMNS = ("run", "normalizer", "layer", "index", "value")
SCORE_COLUMNS = (
    *("run", "dataset", "network", "updates", "normalizer", "loss", "optimizer", "outcome"),
    *("score", "value"),
)


class Table(NamedTuple):
    """Rows of text, numbers and None, by named columns."""

    columns: tuple[str, ...]
    rows: list[list[Any]]


class Tables:
    """Keeps the newest scores and spectra of a run; ``step`` is the generator step of the newest numbers.

    Args:
        run: of which the configuration counts.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.step = 0
        self._scores: dict[str, float] = {}
        self._spectra: dict[str, list[float]] = {}

    def note(self, metrics: Mapping[str, Any], step: int | None) -> None:
        """Take what belongs into the tables from a row of logged values."""
        self.step = step or self.step
        for name, value in metrics.items():
            if isinstance(value, list):
                if name.startswith(f"{names.SPECTRUM}/"):
                    self._spectra[name.removeprefix(f"{names.SPECTRUM}/")] = value
            elif name in SCORES or name.rpartition("/")[0] in SCORES:
                self._scores[name] = float(value)

    def made(self, outcome: str) -> dict[str, Table]:
        """The tables by name, at the end of the run: spectra where there are any, and scores always.

        A row of scores is a score; where there is none, one row says how the run ended. ``updates`` is the
        run's length, ``optimizer`` LR/BETA1/BETA2/N_DIS, and None where both networks have not the same.
        """
        run = [self.run.folder.name]
        trained = [self._model("network", "unknown"), self.run.generator_steps]
        how = [self.run.normalizer, self._model("loss", "standard"), self._optimizer()]
        about = [*run, self.run.dataset, *trained, *how, outcome]
        scores = [[*about, name, _finite(value)] for name, value in self._scores.items()]
        made = {names.TABLE_SCORES: Table(SCORE_COLUMNS, scores or [[*about, None, None]])}
        points = [
            [*run, self.run.normalizer, layer, index, value]
            for layer, values in self._spectra.items()
            for index, value in _thinned(values)
        ]
        return made | ({names.TABLE_SPECTRA: Table(SPECTRUM_COLUMNS, points)} if points else {})

    def _model(self, option: str, default: str) -> str:
        return label(self.run.config.get("model", {}).get(option, default))

    def _optimizer(self) -> str | None:
        model = self.run.config.get("model", {})
        adam = model.get("adam")
        if not isinstance(adam, Mapping) or model.get("generator_adam") not in (None, adam):
            return None
        try:
            return "/".join(f"{float(adam[key]):g}" for key in ("lr", "beta1", "beta2")) + (
                f"/{int(model.get('n_dis', 1))}"
            )
        except (KeyError, TypeError, ValueError):
            return None


def _thinned(values: list[float]) -> list[tuple[int, float]]:
    """Indices from 1 and values of a spectrum, largest first; of more than POINTS these alone.

    None where a value is not finite, and of a layer with a single one.

    >>> _thinned([0.25, 1.0, 0.5])
    [(1, 1.0), (2, 0.5), (3, 0.25)]
    """
    if len(values) < 2 or not all(math.isfinite(value) for value in values):
        return []
    falling = sorted(values, reverse=True)
    last = len(falling) - 1
    kept = range(last + 1) if last < POINTS else [round(i * last / (POINTS - 1)) for i in range(POINTS)]
    return [(i + 1, falling[i]) for i in kept]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
