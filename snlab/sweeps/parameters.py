"""The parameters of a sweep file, each a distribution as W&B describes it.

https://docs.wandb.ai/guides/sweeps/sweep-config-keys defines them, and the schema of W&B's own search code
(the package ``sweeps``) which options go together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import stats

from snlab.core.errors import UserError, nearest
from snlab.sweeps.distributions import Choice, Number, Parameter, Whole
from snlab.sweeps.reading import shown

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
ENDS = ("min", "max")
# What each distribution wants, and what it may be given besides.
OPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "constant": (("value",), ()),
    "categorical": (("values",), ()),
    "categorical_w_probabilities": (("values", "probabilities"), ()),
    "int_uniform": (ENDS, ()),
    "uniform": (ENDS, ()),
    "q_uniform": (ENDS, ("q",)),
    "log_uniform": (ENDS, ()),
    "q_log_uniform": (ENDS, ("q",)),
    "log_uniform_values": (ENDS, ()),
    "q_log_uniform_values": (ENDS, ("q",)),
    "inv_log_uniform": (ENDS, ()),
    "inv_log_uniform_values": (ENDS, ()),
    "normal": ((), ("mu", "sigma")),
    "q_normal": ((), ("mu", "sigma", "q")),
    "log_normal": ((), ("mu", "sigma")),
    "q_log_normal": ((), ("mu", "sigma", "q")),
    "beta": ((), ("a", "b")),
    "q_beta": ((), ("a", "b", "q")),
}
KEYS = {"distribution", "parameters"}.union(*(wanted + more for wanted, more in OPTIONS.values()))
EXPONENTS = "; its min and max are exponents of e, and those of log_uniform_values the values themselves"


def read_parameters(document: Mapping[str, Any]) -> list[Parameter]:
    """The parameters of a sweep file's mapping, in W&B's order; nested ones get dotted names.

    UserError, in one line, for a mistake or one name given twice.
    """
    found: dict[str, Parameter] = {}
    for parameter in _read(document, ""):
        if parameter.name in found:
            raise UserError(f"parameter {parameter.name} is there twice, nested and by its dotted name")
        found[parameter.name] = parameter
    return list(found.values())


def _read(document: Mapping[str, Any], prefix: str) -> list[Parameter]:
    found: list[Parameter] = []
    for key, options in sorted(document.items()):
        name = f"{prefix}{key}"
        if not NAME.fullmatch(key):
            raise UserError(f"parameter {shown(name)}: a name is made of letters, digits, _, . and -")
        if not isinstance(options, Mapping):
            raise UserError(
                f"parameter {name} wants a mapping such as {{values: [...]}}, got {shown(options)}"
            )
        for option in options:
            if option not in KEYS:
                raise UserError(f"parameter {name} has no key {shown(option)}; {nearest(option, KEYS)}")
        if "parameters" in options:
            nested = options["parameters"]
            if not isinstance(nested, Mapping) or not nested or len(options) > 1:
                raise UserError(f"parameter {name}: parameters stands alone, and wants a mapping of some")
            found += _read(nested, f"{name}.")
        else:
            found.append(_parameter(name, options))
    return found


def _parameter(name: str, options: Mapping[str, Any]) -> Parameter:
    distribution = options["distribution"] if "distribution" in options else _implied(name, options)
    if not isinstance(distribution, str) or distribution not in OPTIONS:
        hint = nearest(str(distribution), OPTIONS)
        raise UserError(f"parameter {name}: unknown distribution {shown(distribution)}; {hint}")
    wanted, more = OPTIONS[distribution]
    for option in wanted:
        if option not in options:
            raise UserError(f"parameter {name}: {distribution} wants {option}")
    for option in options:
        if option not in (*wanted, *more, "distribution"):
            takes = " and ".join((*wanted, *more))
            raise UserError(f"parameter {name}: {distribution} takes {takes}, and no {option}")
    if distribution == "constant":
        return Choice(name, (options["value"],), (1.0,))
    if distribution.startswith("categorical"):
        return _choice(name, options)
    return _number(name, distribution, options)


def _implied(name: str, options: Mapping[str, Any]) -> str:
    if "value" in options:
        return "constant"
    if "values" in options:
        return "categorical_w_probabilities" if "probabilities" in options else "categorical"
    if "min" in options and "max" in options:
        return "int_uniform" if all(isinstance(options[end], int) for end in ENDS) else "uniform"
    raise UserError(f"parameter {name} wants value, values, min and max, or a distribution")


def _choice(name: str, options: Mapping[str, Any]) -> Choice:
    values = options["values"]
    if not isinstance(values, list) or not values:
        raise UserError(f"parameter {name}: values wants a list of at least one, got {shown(values)}")
    weights = options.get("probabilities", [1 / len(values)] * len(values))
    if not isinstance(weights, list) or len(weights) != len(values):
        raise UserError(
            f"parameter {name}: probabilities wants a list, one for each of its {len(values)} values"
        )
    for weight in weights:
        if not is_number(weight) or weight < 0:
            raise UserError(f"parameter {name}: a probability is at least 0, got {shown(weight)}")
    if not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise UserError(f"parameter {name}: its probabilities add up to {sum(weights):.6g}, not 1")
    return Choice(name, tuple(values), tuple(float(w) for w in weights))


def _number(name: str, distribution: str, options: Mapping[str, Any]) -> Parameter:
    def number(key: str, default: float = 0) -> float:
        value = options.get(key, default)
        if not is_number(value):
            raise UserError(f"parameter {name}: {key} wants a number, got {shown(value)}{_as_number(value)}")
        return value

    def above_zero(key: str) -> float:
        value = number(key, 1)
        if value <= 0:
            raise UserError(f"parameter {name}: {key} is {value}; it must be above 0")
        return value

    base = distribution.removeprefix("q_")
    step = above_zero("q") if distribution != base else None
    low, high = -math.inf, math.inf
    if OPTIONS[distribution][0] == ENDS:
        low, high = number("min"), number("max")
        if not low < high:
            raise UserError(f"parameter {name}: min is {low} and max is {high}; min must be below max")
    if base == "int_uniform":
        return _whole(name, low, high)
    if base.endswith("_values") and low <= 0:
        raise UserError(f"parameter {name}: {distribution} wants a min above 0, got {low}")
    try:
        if base in ("normal", "log_normal"):
            inverse = _normal(base, number("mu"), above_zero("sigma"))
        elif base == "beta":
            inverse = stats.beta(above_zero("a"), above_zero("b")).ppf
        else:
            inverse = _uniform(base, low, high)
        found = Number(name, base, inverse, low, high, step)
        with np.errstate(all="ignore"):
            drawn = [found.draw(quantile) for quantile in (0.0, 0.5, 1 - 1e-9)]
        if not all(math.isfinite(value) for value in drawn):
            raise OverflowError
    except (OverflowError, ValueError):
        hint = EXPONENTS if base in ("log_uniform", "inv_log_uniform") else ""
        raise UserError(
            f"parameter {name}: {distribution} of these options has no finite draws{hint}"
        ) from None
    return found


def _whole(name: str, low: Any, high: Any) -> Whole:
    if not all(isinstance(end, int) for end in (low, high)):
        raise UserError(f"parameter {name}: int_uniform wants whole numbers for min and max")
    if not all(abs(end) < 2**63 for end in (low, high)):
        raise UserError(f"parameter {name}: int_uniform wants numbers of at most 63 bits for min and max")
    return Whole(name, low, high)


def _normal(base: str, mu: float, sigma: float) -> Callable[[float], float]:
    found = stats.norm(mu, sigma) if base == "normal" else stats.lognorm(sigma, scale=math.exp(mu))
    return lambda u: float(found.ppf(min(max(u, 1e-9), 1 - 1e-9)))


def _uniform(base: str, low: float, high: float) -> Callable[[float], float]:
    """The quantile function of a uniform distribution of x, of log x (natural), or of log 1/x."""
    if base == "uniform":
        return lambda u: low + u * (high - low)
    if base == "log_uniform":
        return lambda u: math.exp(low + u * (high - low))
    if base == "inv_log_uniform":
        return lambda u: math.exp(-high + u * (high - low))
    return lambda u: math.exp(math.log(low) + u * (math.log(high) - math.log(low)))


def is_number(value: Any) -> bool:
    """Whether it is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _as_number(value: Any) -> str:
    """A hint for 1e-5, which YAML reads as text: its numbers have a point and a signed exponent."""
    try:
        written = float(value)
    except (TypeError, ValueError):
        return ""
    if not isinstance(value, str) or not math.isfinite(written):
        return ""
    text = f"{written!r}"
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return f", which is text to YAML; write {text}"
