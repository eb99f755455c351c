"""What a sweep draws from: lists of values, and W&B's distributions of numbers.

Every parameter can be drawn from by a quantile, so that one mechanism serves random search and every
distribution. In a grid its values are counted and told by their index: nothing is ever written out whole.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Trial


class Parameter(ABC):
    """One axis of a sweep."""

    name: str
    """A dotted name of the configuration, as in ``model.normalizer``."""

    @abstractmethod
    def draw(self, quantile: float) -> Any:
        """The value below which the share ``quantile``, in [0, 1), of the distribution lies."""

    @abstractmethod
    def suggest(self, trial: Trial) -> Any:
        """The value that an Optuna trial is to have: what it was enqueued with, else its sampler's choice."""

    @property
    @abstractmethod
    def count(self) -> int | None:
        """How many values a grid takes of it, or None where there are endlessly many."""

    @abstractmethod
    def value(self, index: int) -> Any:
        """The value of that index, from 0 to ``count`` - 1, in a grid."""


@dataclass(frozen=True)
class Choice(Parameter):
    """One of some values, which may be mappings."""

    name: str
    choices: tuple[Any, ...]
    probabilities: tuple[float, ...]

    def draw(self, quantile: float) -> Any:
        total = 0.0
        for choice, probability in zip(self.choices, self.probabilities, strict=True):
            total += probability
            if quantile < total:
                return choice
        return self.choices[-1]  # the probabilities add up to a little less than 1

    def suggest(self, trial: Trial) -> Any:
        return json.loads(trial.suggest_categorical(self.name, [json.dumps(c) for c in self._distinct]))

    @property
    def count(self) -> int:
        return len(self._distinct)

    def value(self, index: int) -> Any:
        return self._distinct[index]

    @cached_property
    def _distinct(self) -> list[Any]:
        """The values, each once; a whole number is the same with a point and without, as W&B has it."""
        kept: dict[str, Any] = {}
        for choice in self.choices:
            whole = isinstance(choice, float) and choice.is_integer()
            kept.setdefault(json.dumps(int(choice) if whole else choice, sort_keys=True), choice)
        return list(kept.values())


@dataclass(frozen=True)
class Number(Parameter):
    """A number of some distribution; ``step`` is W&B's q, to whose multiples it is rounded."""

    name: str
    distribution: str
    inverse: Callable[[float], float]
    """The quantile function."""
    low: float
    high: float
    step: float | None = None

    def draw(self, quantile: float) -> float:
        value = self.inverse(quantile)
        if self.step is None:
            return float(value)
        value = round(value / self.step) * self.step
        return int(value) if float(self.step).is_integer() else float(value)

    def suggest(self, trial: Trial) -> float:
        if self.step is None and self.distribution in ("uniform", "log_uniform_values"):
            log = self.distribution == "log_uniform_values"
            return trial.suggest_float(self.name, self.low, self.high, log=log)
        # Optuna knows no such distribution: its sampler chooses the quantile.
        return self.draw(trial.suggest_float(f"{self.name} (quantile)", 0.0, 1.0 - 1e-9))

    @property
    def count(self) -> int | None:
        """From ``low`` by ``step``, below ``high``: numpy's arange, by which W&B makes a grid."""
        if self.distribution != "uniform" or self.step is None:
            return None
        return math.ceil((self.high - self.low) / self.step)

    def value(self, index: int) -> float:
        assert self.step is not None
        value = self.low + index * ((self.low + self.step) - self.low)
        whole = float(self.low).is_integer() and float(self.step).is_integer()
        return int(value) if whole else float(value)


@dataclass(frozen=True)
class Whole(Parameter):
    """A whole number from ``low`` to ``high``, both included, each as likely as any other."""

    name: str
    low: int
    high: int

    def draw(self, quantile: float) -> int:
        return self.low + min(int(quantile * self.count), self.count - 1)

    def suggest(self, trial: Trial) -> int:
        return trial.suggest_int(self.name, self.low, self.high)

    @property
    def count(self) -> int:
        return self.high - self.low + 1

    def value(self, index: int) -> int:
        return self.low + index
