"""What the runs of a W&B project hold, as far as a dashboard depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from snlab.core import names
from snlab.core.registry import label
from snlab.results.looks import KNOWN, natural

# The ways in which W&B holds an option: nested, as of `snlab fit`, and flat, as its own agent gives it.
NESTED, FLAT = "nested", "flat"
NOT_FINITE = ("NaN", "Infinity", "-Infinity")  # as W&B writes them


@dataclass(frozen=True)
class Project:
    """What a dashboard is made for.

    Args:
        normalizers: as the runs' configurations spell them; those of the package where no run was looked at.
        forms: of ``model.normalizer`` among the runs, NESTED or FLAT or both.
        metrics: every name that a run logged numbers under; none where no run was looked at.
        metric: what a sweep is after.
    """

    normalizers: tuple[str, ...] = tuple(KNOWN)
    forms: tuple[str, ...] = (NESTED,)
    metrics: frozenset[str] = frozenset()
    metric: str | None = None

    def below(self, prefix: str) -> list[str]:
        """The logged names PREFIX/..., in the order of their numbers and letters."""
        return sorted((name for name in self.metrics if name.startswith(f"{prefix}/")), key=natural)

    def column(self, option: str) -> list[str]:
        """A configuration's option, by its dotted name, as W&B's tables address it: in every form there is.

        >>> Project(forms=("nested", "flat")).column("model.normalizer")
        ['model.value.normalizer', 'model.normalizer.value']
        """
        head, _, rest = option.partition(".")
        nested = f"{head}.value.{rest}" if rest else f"{head}.value"
        found = {NESTED: nested, FLAT: f"{option}.value"}
        return list(dict.fromkeys(found[form] for form in self.forms))

    @property
    def score(self) -> str | None:
        """What a search is judged by: the sweep's metric, else the first Fréchet distance that was logged."""
        return self.metric or next(iter(self.below(names.FID)), None)


Held = tuple[Mapping[str, Any], Mapping[str, Any]]
"""Of a run on W&B: its configuration and its summary."""


def project(runs: Iterable[Held], metric: str | None = None) -> Project:
    """What ``runs`` hold; ``metric`` is what the sweep that they are of is after."""
    normalizers: dict[str, None] = {}
    forms: dict[str, None] = {}
    metrics: set[str] = set()
    for config, summary in runs:
        flat = config.get("model.normalizer")
        model = config.get("model")
        nested = model.get("normalizer") if isinstance(model, Mapping) else None
        for form, value in ((NESTED, nested), (FLAT, flat)):
            if value is not None:
                normalizers[label(value)] = None
                forms[form] = None
        metrics |= {name for name, value in summary.items() if _logged(name, value)}
    plain = Project()
    return Project(
        tuple(normalizers) or plain.normalizers, tuple(forms) or plain.forms, frozenset(metrics), metric
    )


def _logged(name: str, value: Any) -> bool:
    """Whether a summary's entry is a number, one that is not finite included, and not W&B's own."""
    number = value in NOT_FINITE if isinstance(value, str) else isinstance(value, int | float)
    return number and not name.startswith("_")
