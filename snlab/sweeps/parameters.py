"""The parameters of a sweep as W&B describes them: lists of values, and distributions.

Every parameter can be drawn from by a quantile, so that one mechanism serves random search and every
distribution; https://docs.wandb.ai/guides/sweeps/sweep-config-keys defines them.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scipy import stats

from snlab.core.errors import UserError, nearest

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

    def values(self) -> Sequence[Any] | None:
        """Every value, in order, or None where there are endlessly many."""
        return None


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
        return json.loads(trial.suggest_categorical(self.name, [json.dumps(c) for c in self.choices]))

    def values(self) -> Sequence[Any]:
        return self.choices


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
    whole: bool = False

    def draw(self, quantile: float) -> float:
        value = self.inverse(quantile)
        if self.step is not None:
            value = round(value / self.step) * self.step
        if self.whole:
            return int(min(math.floor(value), self.high))
        return int(value) if self.step is not None and float(self.step).is_integer() else float(value)

    def suggest(self, trial: Trial) -> float:
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high))
        if self.step is None and self.distribution in ("uniform", "log_uniform_values"):
            return trial.suggest_float(
                self.name, self.low, self.high, log=self.distribution == "log_uniform_values"
            )
        # Optuna knows no such distribution: its sampler chooses the quantile.
        return self.draw(trial.suggest_float(f"{self.name} (quantile)", 0.0, 1.0 - 1e-9))

    def values(self) -> Sequence[float] | None:
        if self.whole:
            return range(int(self.low), int(self.high) + 1)
        if self.distribution == "uniform" and self.step is not None:
            first, last = (round(end / self.step) for end in (self.low, self.high))
            return [
                self.draw((i * self.step - self.low) / (self.high - self.low)) for i in range(first, last + 1)
            ]
        return None


# ---- reading them ---------------------------------------------------------------------------------------

KEYS = {
    "value", "values", "distribution", "probabilities", "min", "max", "mu", "sigma", "q", "a", "b",
    "parameters",
}  # fmt: skip
UNIFORM = ("uniform", "log_uniform", "log_uniform_values", "inv_log_uniform", "inv_log_uniform_values")
CONTINUOUS = (*UNIFORM, "normal", "log_normal", "beta")
DISTRIBUTIONS = (
    "constant", "categorical", "categorical_w_probabilities", "int_uniform",
    *CONTINUOUS, *(f"q_{name}" for name in CONTINUOUS if not name.startswith("inv_")),
)  # fmt: skip


def read_parameters(document: Mapping[str, Any], prefix: str = "") -> list[Parameter]:
    """The parameters of a sweep file's mapping; nested ones get dotted names. UserError in one line."""
    found: list[Parameter] = []
    for key, options in document.items():
        name = f"{prefix}{key}"
        if not isinstance(options, Mapping):
            raise UserError(f"parameter {name} wants a mapping such as {{values: [...]}}, got {options!r}")
        for option in options:
            if option not in KEYS:
                raise UserError(f"parameter {name} has no key {option!r}; {nearest(str(option), KEYS)}")
        if "parameters" in options:
            nested = options["parameters"]
            if not isinstance(nested, Mapping) or not nested or len(options) > 1:
                raise UserError(f"parameter {name}: parameters stands alone, and wants a mapping of some")
            found += read_parameters(nested, f"{name}.")
        else:
            found.append(_parameter(name, options))
    return found


def _parameter(name: str, options: Mapping[str, Any]) -> Parameter:
    distribution = options.get("distribution") or _implied(name, options)
    if distribution not in DISTRIBUTIONS:
        hint = nearest(str(distribution), DISTRIBUTIONS)
        raise UserError(f"parameter {name}: unknown distribution {distribution!r}; {hint}")
    if distribution == "constant":
        return Choice(name, (_needed(name, options, "value"),), (1.0,))
    if distribution.startswith("categorical"):
        return _choice(name, options)
    return _number(name, distribution, options)


def _implied(name: str, options: Mapping[str, Any]) -> str:
    if "value" in options:
        return "constant"
    if "values" in options:
        return "categorical"
    if "min" in options and "max" in options:
        whole = all(isinstance(options[end], int) for end in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    raise UserError(f"parameter {name} wants value, values, min and max, or a distribution")


def _choice(name: str, options: Mapping[str, Any]) -> Choice:
    values = _needed(name, options, "values")
    if not isinstance(values, list) or not values:
        raise UserError(f"parameter {name}: values wants a list of at least one, got {values!r}")
    weights = options.get("probabilities") or [1 / len(values)] * len(values)
    if len(weights) != len(values) or not all(is_number(w) and w >= 0 for w in weights):
        raise UserError(f"parameter {name} wants a probability of at least 0 for each of its values")
    if not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise UserError(f"parameter {name}: its probabilities add up to {sum(weights)}, not 1")
    return Choice(name, tuple(values), tuple(float(w) for w in weights))


def _number(name: str, distribution: str, options: Mapping[str, Any]) -> Number:
    def number(key: str, default: float | None = None) -> float:
        value = _needed(name, options, key) if default is None else options.get(key, default)
        if not is_number(value):
            raise UserError(f"parameter {name}: {key} wants a number, got {value!r}")
        return value

    base = distribution.removeprefix("q_")
    step = number("q", 1) if distribution != base else None
    if step is not None and step <= 0:
        raise UserError(f"parameter {name}: q is {step}; it must be above 0")
    if base in ("normal", "log_normal"):
        mu, sigma = number("mu", 0), number("sigma", 1)
        if sigma <= 0:
            raise UserError(f"parameter {name}: sigma is {sigma}; it must be above 0")
        found = stats.norm(mu, sigma) if base == "normal" else stats.lognorm(sigma, scale=math.exp(mu))
        return Number(
            name, base, lambda u: float(found.ppf(min(max(u, 1e-9), 1 - 1e-9))), -math.inf, math.inf, step
        )
    low, high = (number("min", 0), number("max", 1)) if base == "beta" else (number("min"), number("max"))
    if not low < high:
        raise UserError(f"parameter {name}: min is {low} and max is {high}; min must be below max")
    if base == "beta":
        shape = stats.beta(number("a", 1), number("b", 1), loc=low, scale=high - low)
        return Number(name, base, lambda u: float(shape.ppf(u)), low, high, step)
    if base == "int_uniform":
        if not all(isinstance(end, int) for end in (low, high)):
            raise UserError(f"parameter {name}: int_uniform wants whole numbers for min and max")
        return Number(name, base, lambda u: low + u * (high + 1 - low), low, high, step, whole=True)
    if base.endswith("_values") and low <= 0:
        raise UserError(f"parameter {name}: {distribution} wants a min above 0, got {low}")
    return Number(name, base, _uniform(base, low, high), low, high, step)


def _uniform(base: str, low: float, high: float) -> Callable[[float], float]:
    """The quantile function of a uniform distribution of x, of log x (natural), or of log 1/x."""
    if base == "uniform":
        return lambda u: low + u * (high - low)
    if base == "log_uniform":
        return lambda u: math.exp(low + u * (high - low))
    if base == "inv_log_uniform":
        return lambda u: math.exp(-high + u * (high - low))
    return lambda u: math.exp(math.log(low) + u * (math.log(high) - math.log(low)))


def _needed(name: str, options: Mapping[str, Any], key: str) -> Any:
    if key not in options:
        raise UserError(f"parameter {name} wants {key}")
    return options[key]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
