"""Last scores of each method at the settings A to F, as in Figures 1 and 2 of Miyato et al. 2018."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from snlab.core import names
from snlab.results.figures.miyato2018.bars import methods_of, panels_by_setting
from snlab.results.figures.miyato2018.panels import Scored
from snlab.results.reading import final
from snlab.results.settings import SETTINGS, letter_of, method_of
from snlab.tracking.run_folder import FINISHED, Run

SCORES = ((names.INCEPTION_SCORE, False), (names.FID, True))  # and whether its axis is logarithmic


def bars(runs: Sequence[Run], number: dict[int, int]) -> list[dict[str, Any]]:
    """A panel for each data set, length of training and extractor of which runs are at several settings.

    Args:
        runs: any.
        number: the run's place on the page, by ``id(run)``.

    Returns:
        Of each panel its methods that were run, in the paper's order, and of each method and letter its runs
        with their last scores; None for a run without one, as one that diverged is.
    """
    found = ((panel, log) for score, log in SCORES for panel in panels_by_setting(runs, score))
    return [
        {
            "title": panel.title,
            "dataset": panel.runs[0].dataset,
            "name": panel.name,
            "axis": " ".join(panel.axis.split()),
            "log": log,
            "methods": list(_methods(panel, number)),
        }
        for panel, log in found
        if len({letter_of(run) for run in panel.runs}) > 1
    ]


def _methods(panel: Scored, number: dict[int, int]) -> Iterator[dict[str, Any]]:
    for method in methods_of(panel.runs):
        members = [run for run in panel.runs if method_of(run) == method]
        if members:
            yield {
                "label": str(method),
                "normalizer": members[0].normalizer,
                "hatched": method.loss != "standard",
                "bars": {
                    letter: [
                        {"run": number[id(run)], "score": _score(run, panel.name)}
                        for run in members
                        if letter_of(run) == letter
                    ]
                    for letter in SETTINGS
                },
            }


def _score(run: Run, name: str) -> float | None:
    value = final(run, name) if run.outcome == FINISHED else float("nan")
    return value if np.isfinite(value) else None
