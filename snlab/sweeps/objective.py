"""What a sweep's search improves, and when it stops a run that has fallen behind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from snlab.core.errors import UserError, nearest
from snlab.sweeps.parameters import is_number
from snlab.sweeps.reading import shown

GOALS = ("minimize", "maximize")
# The keys of early_terminate, with the least and the most of those that are whole numbers.
HYPERBAND = {
    "type": (0, 0), "strict": (0, 0), "min_iter": (1, 10**9), "max_iter": (1, 10**9), "s": (1, 100),
    "eta": (2, 1000),
}  # fmt: skip


@dataclass(frozen=True)
class Metric:
    """What a search improves; with a ``target``, no run begins once one has reached it."""

    name: str
    goal: Literal["minimize", "maximize"] = "minimize"
    target: float | None = None

    @property
    def worst(self) -> float:
        return -math.inf if self.goal == "maximize" else math.inf

    def better(self, a: float, b: float) -> bool:
        return a > b if self.goal == "maximize" else a < b


@dataclass(frozen=True)
class Hyperband:
    """Early termination; an iteration is one logged value of the metric (Li et al. 2018).

    Args:
        first: iterations after which a run may first be stopped.
        last: iterations of a whole run; None where the file names ``min_iter``.
        eta: the share of runs that go on at each bracket is 1/eta.
    """

    first: int
    last: int | None
    eta: int


def read_metric(options: Any) -> Metric | None:
    if options is None:
        return None
    if not isinstance(options, dict) or not isinstance(options.get("name"), str):
        raise UserError(f"metric wants a name and a goal, got {shown(options)}")
    for key in options:
        if key not in ("name", "goal", "target"):
            raise UserError(f"metric has no key {shown(key)}; {nearest(key, ('name', 'goal', 'target'))}")
    goal = options.get("goal", "minimize")
    if goal not in GOALS:
        raise UserError(f"metric: unknown goal {shown(goal)}; {nearest(str(goal), GOALS)}")
    target = options.get("target")
    if target is not None and not is_number(target):
        raise UserError(f"metric: target wants a number, got {shown(target)}")
    return Metric(options["name"], goal, target)


def read_hyperband(options: Any) -> Hyperband | None:
    """W&B's two forms: brackets at min_iter * eta^k, or at max_iter / eta^k for k = s to 1."""
    if options is None:
        return None
    if not isinstance(options, dict) or options.get("type") != "hyperband":
        raise UserError(f"early_terminate wants type: hyperband, got {shown(options)}")
    for key, value in options.items():
        if key not in HYPERBAND:
            raise UserError(f"early_terminate has no key {shown(key)}; {nearest(key, HYPERBAND)}")
        if key == "strict" and not isinstance(value, bool):
            raise UserError(f"early_terminate: strict wants true or false, got {shown(value)}")
        least, most = HYPERBAND[key]
        if most and not (isinstance(value, int) and not isinstance(value, bool) and least <= value <= most):
            raise UserError(
                f"early_terminate: {key} wants a whole number from {least} to {most:,}, got {shown(value)}"
            )
    eta = options.get("eta", 3)
    if ("min_iter" in options) == ("max_iter" in options):
        raise UserError("early_terminate wants either min_iter, or max_iter and s")
    if "min_iter" in options:
        if "s" in options:
            raise UserError("early_terminate: s goes with max_iter")
        return Hyperband(options["min_iter"], None, eta)
    if "s" not in options:
        raise UserError("early_terminate: max_iter wants s, the number of brackets")
    return Hyperband(max(1, options["max_iter"] // eta ** options["s"]), options["max_iter"], eta)
