"""A study: runs that differ in one quantity, the normalizer and the seed, and what is measured of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from snlab.core import names
from snlab.core.errors import UserError
from snlab.core.registry import Spec, label, parse
from snlab.results import looks
from snlab.results.groups import differences, once
from snlab.results.reading import final, ratio_name
from snlab.results.spelling import same
from snlab.results.spread import Spread
from snlab.tracking.identity import identity
from snlab.tracking.run_folder import DIVERGED, FINISHED, Run

_DRAWN: dict[str, Any] = {"size": 20_000, "heldout": 5_000, "seed": 0}
# Of data sets that are drawn: a run is the same, and of the same place, whether these are written out or not.
DEFAULTS: dict[str, dict[str, Any]] = {
    "gaussian": {"dim": 2, "std": 1.0, **_DRAWN},
    "line": {"dim": 2, "epsilon": 0.1, "length": 2.0, **_DRAWN},
    "sphere": {"dim": 3, "epsilon": 0.1, "radius": 1.0, "intrinsic": 2, **_DRAWN},
    "swiss_roll": {"dim": 3, "epsilon": 0.05, **_DRAWN},
    "mixture": {"kind": "ring", "dim": 2, "size": 20_000, "seed": 0},
}


@dataclass(frozen=True)
class Quantity:
    """One measured quantity.

    Args:
        name: under which it is logged.
        header: of its column.
        text: on its axis, with its unit.
        optimum: its value at the truth, where there is one.
        logarithmic: whether it spans orders of magnitude.
        per_x: whether it is told as a multiple of what the study varies.
        of_zero: what a discriminator that says nothing, f = 0, has: a multiple of what is logged as that.
        drawn: whether it stands in the figure, too.
    """

    name: str
    header: str
    text: str = ""
    optimum: float | None = None
    logarithmic: bool = False
    per_x: bool = False
    of_zero: tuple[float, str] | None = None
    drawn: bool = True

    def logged(self, runs: Sequence[Run]) -> str:
        """The name under which these runs logged it: of logits that are no log ratio the calibrated one."""
        metric = self.name.removeprefix(f"{names.RATIO}/")
        known = metric in names.RATIOS or metric in names.TRUE_RATIOS
        return ratio_name(runs, metric) if known else self.name


@dataclass(frozen=True)
class Study:
    """What is varied and what is measured.

    Args:
        name: OWNER/ITEM, of its item, its table and its figure.
        title: a sentence.
        axis: the varied quantity on an axis.
        said: how a place is told, with ``x`` for the quantity.
        networks: whose runs count.
        datasets: likewise.
        varied: options of the data set that are not the same in all of its runs, and so of the network and
            of the distribution that the network stands still at.
        x: the quantity, from the data set and the network as a configuration names them; None of others.
        quantities: in reading order.
        at: where the quantities are followed over updates; the nearest place that there is.
        sweeps: that make such runs.
    """

    name: str
    title: str
    axis: str
    said: str
    networks: tuple[str, ...]
    datasets: tuple[str, ...]
    varied: tuple[str, ...]
    x: Callable[[Spec, Spec], Any]
    quantities: tuple[Quantity, ...]
    at: float
    sweeps: tuple[str, ...]

    @property
    def drawn(self) -> list[Quantity]:
        """What stands in the figure."""
        return [quantity for quantity in self.quantities if quantity.drawn]

    def say(self, x: float) -> str:
        """A place in words."""
        return self.said.format(x=x)

    def place(self, run: Run) -> float | None:
        """What a run has of the varied quantity; None of a run that is none of this study."""
        dataset, network = spec_of(run.dataset), spec_of(run.config.get("model", {}).get("network"))
        if dataset is None or network is None:
            return None
        if dataset.name not in self.datasets or network.name not in self.networks:
            return None
        x = self.x(dataset, network)
        number = isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) and x > 0
        return float(x) if number else None

    def parts(self, runs: Sequence[Run]) -> list[Part]:
        """The runs that may be compared: a part for each set that agrees in all but what is varied.

        Each trial counts once, damaged runs not at all, and what has one place only is no study.
        """
        found: dict[str, list[Run]] = {}
        rest: dict[str, dict[str, Any]] = {}
        for run in once(runs):
            if self.place(run) is None:
                continue
            config = self._without(run.config)
            of = identity(config)
            rest[of] = config
            found.setdefault(of, []).append(run)
        kept = [of for of, members in found.items() if len({self.place(run) for run in members}) > 1]
        texts = differences([_untitled(rest[of]) for of in kept])
        return [
            Part(self, _title(rest[of], text), tuple(found[of])) for of, text in zip(kept, texts, strict=True)
        ]

    def unfilled(self, runs: Sequence[Run]) -> UserError:
        """What its table or figure misses, and which sweeps make it."""
        return UserError(
            f"{self.name} wants runs at several places of {self.axis}; of these {len(runs)} there are not "
            f"two. They are made by snlab sweep {' or '.join(self.sweeps)}"
        )

    def _without(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration without seed, normalizer and what is varied."""
        reduced = copy.deepcopy(dict(config))
        reduced.pop("seed_everything", None)
        reduced["model"].pop("normalizer", None)
        reduced["data"]["dataset"] = self._reduced(reduced["data"]["dataset"])
        reduced["model"]["network"] = self._reduced(reduced["model"]["network"])
        return reduced

    def _reduced(self, name: Any) -> str:
        spec = spec_of(name)
        if spec is None:
            return label(name)
        defaults = DEFAULTS.get(spec.name, {})
        options = {
            key: value
            for key, value in spec.options.items()
            if key not in self.varied and not (key in defaults and same(value, defaults[key]))
        }
        if "distribution" in options:
            options["distribution"] = self._reduced(options["distribution"])
        return str(Spec(spec.name, options))


@dataclass(frozen=True)
class Part:
    """Runs of one study that may be compared."""

    study: Study
    title: str
    runs: tuple[Run, ...]

    @cached_property
    def cells(self) -> dict[tuple[str, float], list[Run]]:
        """The runs by normalizer and place, in the order of their seeds."""
        found: dict[tuple[str, float], list[Run]] = {}
        for run in sorted(self.runs, key=lambda run: run.seed):
            x = self.study.place(run)
            if x is not None:
                found.setdefault((run.normalizer, x), []).append(run)
        return found

    @property
    def places(self) -> list[float]:
        """What they have of the varied quantity, ascending."""
        return sorted({x for _, x in self.cells})

    @property
    def at(self) -> float:
        """The place nearest to the one that the study follows over updates."""
        return min(self.places, key=lambda x: abs(math.log(x / self.study.at)))

    @property
    def normalizers(self) -> list[str]:
        """In reading order."""
        return sorted({normalizer for normalizer, _ in self.cells}, key=looks.order)

    def of(self, normalizer: str, x: float) -> list[Run]:
        """The runs of one normalizer at one place, by seed."""
        return self.cells.get((normalizer, x), [])

    def finished(self, normalizer: str, x: float) -> list[Run]:
        """Of them those that finished."""
        return [run for run in self.of(normalizer, x) if run.outcome == FINISHED]

    def diverged(self, normalizer: str, x: float) -> int:
        """How many of them diverged."""
        return sum(run.outcome == DIVERGED for run in self.of(normalizer, x))

    def by_seed(self, quantity: Quantity, normalizer: str, x: float) -> dict[int, float]:
        """Its last value in each finished run that has one, by seed."""
        name, by = quantity.logged(self.runs), x if quantity.per_x else 1.0
        found = {run.seed: final(run, name) / by for run in self.finished(normalizer, x)}
        return {seed: value for seed, value in found.items() if math.isfinite(value)}

    def spread(self, quantity: Quantity, normalizer: str, x: float) -> Spread:
        """Over the seeds."""
        return Spread.of(self.by_seed(quantity, normalizer, x).values())

    def zero(self, quantity: Quantity, x: float) -> float:
        """What f = 0 has of it at a place, mean over all finished runs; NaN where that is not known."""
        if quantity.of_zero is None:
            return math.nan
        times, name = quantity.of_zero
        reference = Quantity(name, "")
        return (
            times
            * Spread.of(
                value for n in self.normalizers for value in self.by_seed(reference, n, x).values()
            ).mean
        )


def _title(config: Mapping[str, Any], text: str) -> str:
    against = f"{looks.label(config['data']['dataset'])} against {looks.label(config['model']['network'])}"
    return ", ".join(filter(None, [against, f"{int(config.get('generator_steps', 0)):,} updates", text]))


def _untitled(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what its title has anyway."""
    model = {key: value for key, value in config["model"].items() if key != "network"}
    return {**{key: value for key, value in config.items() if key != "generator_steps"}, "model": model}


def option(spec: Spec, name: str) -> Any:
    """An option of a data set, written out or not; None where it has no default."""
    return spec.options.get(name, DEFAULTS.get(spec.name, {}).get(name))


def spec_of(name: Any) -> Spec | None:
    """The one term that a name is; None of anything else."""
    try:
        terms = parse(label(name))
    except UserError:
        return None
    return terms[0] if len(terms) == 1 else None
