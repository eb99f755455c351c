"""Which runs stand together in a panel of a paper's figure: those that differ in its subject alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from snlab.core import names
from snlab.core.errors import UserError
from snlab.results import looks
from snlab.results.extractors import Extractor, extractors
from snlab.results.figures.style import ROWS
from snlab.results.groups import differences, once
from snlab.results.reading import final
from snlab.tracking.identity import identity
from snlab.tracking.run_folder import FINISHED, Run


@dataclass(frozen=True)
class Panel:
    """Runs that differ in nothing but what the figure is about, and what they are of, in words."""

    title: str
    runs: list[Run]


@dataclass(frozen=True)
class Scored(Panel):
    """Runs whose scores are of one feature extractor; ``name`` is the score's logged name."""

    name: str
    axis: str  # the score in words

    def values(self, runs: Sequence[Run]) -> list[float]:
        """The last score of each run that finished with one."""
        found = [final(run, self.name) for run in runs if run.outcome == FINISHED]
        return [value for value in found if np.isfinite(value)]


P = TypeVar("P", bound=Panel)


def panels(
    runs: Sequence[Run], varied: Sequence[str], change: Callable[[dict[str, Any]], None] | None = None
) -> list[Panel]:
    """A panel for each set of runs that agree in everything but the seed and the options ``varied``.

    Args:
        runs: damaged ones are left out, and of one trial that several folders hold all but one.
        varied: options by their dotted names, as in ``model.adam``.
        change: takes from a configuration, in place, what the figure varies beside.
    """
    found: dict[str, list[Run]] = {}
    rest: dict[str, dict[str, Any]] = {}
    for run in once(runs):
        config = _without(run.config, ("seed_everything", *varied))
        if change is not None:
            change(config)
        of = identity(config)
        rest[of] = _without(config, ("generator_steps",))
        found.setdefault(of, []).append(run)
    titles: dict[str, str] = {}
    for dataset in dict.fromkeys(runs[0].dataset for runs in found.values()):
        same = [of for of, members in found.items() if members[0].dataset == dataset]
        for of, text in zip(same, differences([rest[of] for of in same]), strict=True):
            updates = f"{found[of][0].generator_steps:,} updates"
            titles[of] = ", ".join(filter(None, [looks.label(dataset), updates, text]))
    return [Panel(titles[of], members) for of, members in found.items()]


def _without(config: Mapping[str, Any], options: Sequence[str]) -> dict[str, Any]:
    reduced = copy.deepcopy(dict(config))
    for option in options:
        *groups, last = option.split(".")
        inner: Any = reduced
        for name in groups:
            inner = inner.get(name, {})
        if isinstance(inner, dict):
            inner.pop(last, None)
    return reduced


def scored(found: Sequence[Panel], score: str) -> list[Scored]:
    """Of each panel, one for each extractor that ``score`` was computed with."""
    return [
        Scored(
            panel.title,
            [run for run in panel.runs if extractor.scored(run)],
            f"{score}/{extractor.name}",
            axis(score, extractor),
        )
        for panel in found
        for extractor in extractors(panel.runs, score)
    ]


def shown(found: Sequence[P]) -> list[P]:
    """So many panels as a figure holds; the title of the last says how many there are."""
    kept = list(found[:ROWS])
    if len(found) > ROWS:
        kept[-1] = replace(kept[-1], title=f"{kept[-1].title} (the first {ROWS} of {len(found)} are shown)")
    return kept


def axis(score: str, extractor: Extractor) -> str:
    """A score's name on an axis: of any but Inception's features the extractor is part of it."""
    words = {names.FID: "FID", names.INCEPTION_SCORE: "inception score"}[score]
    inception = extractor.name.startswith("inception") and not extractor.shared
    return words if inception else f"{words}\n({extractor.label})"


def unfilled(figure: str, wanted: str, runs: Sequence[Run], sweeps: Sequence[str]) -> UserError:
    """What a figure misses, and which sweeps make it."""
    those = f"of these {len(runs)} runs none is one" if len(runs) > 1 else "this run is none"
    *head, last = sweeps
    return UserError(
        f"{figure} wants {wanted}; {those}. They are made by snlab sweep {', '.join(head)} or {last}"
    )
