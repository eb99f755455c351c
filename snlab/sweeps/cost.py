"""What runs will cost: as runs that are over took, else from updates that are run and timed here."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from snlab.sweeps.check import Planned, quiet
from snlab.sweeps.finished import finished_runs, medians
from snlab.sweeps.slots import Slot
from snlab.sweeps.timing import seconds_an_update
from snlab.sweeps.work import Kind, Size
from snlab.training.arguments import FitCLI

BUDGET_SECONDS = 20.0  # for timing, beyond the first update of the first kind
# The part of an update at n_dis 1 that is the discriminator's, where it was not measured: a half without a
# penalty, two thirds with one, more in a ResNet.
DISCRIMINATOR = (0.5, 0.85)
APART = 2.0  # times as long, or as short, an update may take as one of another kind of as many products


_Sizes = dict[tuple[str, str], Size]  # of networks by Kind.networks


class Between(NamedTuple):
    """Seconds, between two limits: the same but where they are a guess."""

    low: float
    high: float

    def __add__(self, other: Any) -> Between:
        return Between(self.low + other.low, self.high + other.high)

    def __mul__(self, factor: Any) -> Between:
        return Between(self.low * factor, self.high * factor)

    def shown(self, show: Callable[[float], str]) -> str:
        """
        >>> Between(2.0, 2.1).shown("{:.0f} s".format), Between(2, 4).shown("{:.0f} s".format)
        ('about 2 s', '2 s to 4 s')
        """
        low, high = show(self.low), show(self.high)
        return f"about {low}" if low == high else f"{low} to {high}"


@dataclass(frozen=True)
class Estimate:
    """How long runs will train one after the other, measurements left out, and how that is known.

    Args:
        seconds: of all of them.
        over: how many runs cost what runs that are over did, at the same n_dis or at two others.
        timed: how many cost what was timed here, likewise.
        guessed: how many are scaled from what is known of others.
        kinds: kinds of runs.
        kinds_timed: how many of them were timed.
        untimed: how many are scaled from other kinds.
        machines: of the runs that are over.
    """

    seconds: Between
    over: int = 0
    timed: int = 0
    guessed: int = 0
    kinds: int = 0
    kinds_timed: int = 0
    untimed: int = 0
    machines: tuple[str, ...] = ()

    def times(self, factor: float) -> Estimate:
        """That of so many times as many runs."""
        return replace(self, seconds=self.seconds * factor)

    @property
    def basis(self) -> str:
        """What of it is measured, and what is scaled."""
        told = []
        if self.over:
            told.append(f"{_runs(self.over)} as those that are over took ({', '.join(self.machines)})")
        if self.timed:
            told.append(
                f"{_runs(self.timed)} as timed here over a few updates "
                f"({self.kinds_timed} of {self.kinds} kinds of run)"
            )
        if self.guessed:
            late = f": {self.untimed} of {self.kinds} kinds of run were not timed" if self.untimed else ""
            told.append(f"{_runs(self.guessed)} scaled from others, a guess{late}")
        return "; ".join(told)


@dataclass
class _Known:
    """Seconds of an update of one kind by n_dis, and where they are from."""

    over: dict[int, float] = field(default_factory=dict)
    timed: dict[int, float] = field(default_factory=dict)

    def determines(self, n_dis: Iterable[int]) -> bool:
        """Whether runs that are over tell what updates of all of these take."""
        return len(self.over) > 1 or {*n_dis} <= {*self.over}

    @property
    def points(self) -> dict[int, float]:
        """What is known: of those timed here, where those that are over did not do."""
        return self.timed or self.over


def estimate(trials: Sequence[Planned], slot: Slot | None, runs: Path) -> Estimate | None:
    """What all ``trials`` will cost in that slot; None where nothing is known of any.

    Runs of one kind (network, data, batch, normalizer) share what an update costs, a + b n_dis. What runs
    below ``runs`` took that are over, on the same machine, goes before what is timed here; kinds are timed
    from that of most work on, while BUDGET_SECONDS last. What is left is scaled, which is a guess.

    Args:
        trials: the runs.
        slot: where they are to run; None for GPUs where there is none: nothing is timed.
        runs: a folder.
    """
    with quiet():
        groups = _groups(trials)
        finished = list(finished_runs(runs, groups, slot))
        known = {
            kind: _Known(medians(finished, kind))
            for kind in {**groups, **{run.kind: run for run in finished}}
        }
        sizes = _sizes(groups)
        if slot is not None:
            _time(groups, known, sizes, slot)
        if not any(each.points for each in known.values()):
            return None
        return _sum(groups, known, sizes, tuple(dict.fromkeys(run.machine for run in finished)))


class _Group(NamedTuple):
    """Trials of one kind."""

    first: Planned
    steps: dict[int, list[int]]  # generator updates of each, by n_dis

    def products(self, kind: Kind, size: Size) -> float:
        return sum(sum(steps) * size.products(kind, n_dis) for n_dis, steps in self.steps.items())


def _groups(trials: Iterable[Planned]) -> dict[Kind, _Group]:
    found: dict[Kind, _Group] = {}
    for trial in trials:
        group = found.setdefault(Kind.of(trial.settings), _Group(trial, {}))
        group.steps.setdefault(trial.settings["model"]["n_dis"], []).append(trial.settings["generator_steps"])
    return found


def _sizes(groups: Mapping[Kind, _Group]) -> _Sizes:
    found: _Sizes = {}
    for kind, group in groups.items():
        if kind.networks not in found:  # runs under another normalizer share them
            cli = FitCLI(group.first.arguments)
            cli.build(load=False)
            found[kind.networks] = Size.of(cli.model)
    return found


# ---- timing ----------------------------------------------------------------------------------------------


def _time(groups: Mapping[Kind, _Group], known: Mapping[Kind, _Known], sizes: _Sizes, slot: Slot) -> None:
    """Time kinds that are not known, that of most work first, as far as the budget goes."""
    started = time.perf_counter()
    unknown = [kind for kind, group in groups.items() if not known[kind].determines(group.steps)]
    unknown.sort(key=lambda kind: groups[kind].products(kind, sizes[kind.networks]), reverse=True)
    speeds: list[float] = []  # seconds a product
    with _threads(slot.threads):
        for kind in unknown:
            left = BUDGET_SECONDS - (time.perf_counter() - started)
            first = sizes[kind.networks].products(kind, 1)
            if speeds and first * statistics.median(speeds) > left:
                continue
            arguments, most = groups[kind].first.arguments, max(groups[kind].steps)
            found = seconds_an_update(arguments, most, left / 2, cpu=not slot.gpus)  # others want some, too
            known[kind].timed.update(found)
            speeds += [
                seconds / sizes[kind.networks].products(kind, n_dis) for n_dis, seconds in found.items()
            ]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# ---- all together ----------------------------------------------------------------------------------------


def _sum(
    groups: Mapping[Kind, _Group],
    known: Mapping[Kind, _Known],
    sizes: _Sizes,
    machines: tuple[str, ...],
) -> Estimate:
    total = Estimate(Between(0.0, 0.0), kinds=len(groups), machines=machines)
    for kind, group in groups.items():
        here = known[kind]
        for n_dis, steps in group.steps.items():
            points = here.over if n_dis in here.over else here.points
            an_update = _at(points, n_dis) if points else _as_others(kind, n_dis, known, sizes)
            exact = n_dis in points or len(points) > 1
            basis = "guessed" if not exact else "timed" if points is here.timed else "over"
            total = replace(
                total,
                seconds=total.seconds + an_update * sum(steps),
                **{basis: getattr(total, basis) + len(steps)},
            )
        total = replace(
            total,
            kinds_timed=total.kinds_timed + bool(here.timed),
            untimed=total.untimed + (not here.points),
        )
    return total


def _at(points: Mapping[int, float], n_dis: int) -> Between:
    """Seconds of an update: measured, on the line through two that are, or scaled from one.

    >>> _at({1: 3.0, 5: 11.0}, 10), _at({2: 3.0}, 2)
    (Between(low=21.0, high=21.0), Between(low=3.0, high=3.0))
    >>> [round(seconds, 2) for seconds in _at({1: 1.0}, 5)]
    [3.0, 4.4]
    """
    if n_dis in points:
        return Between(points[n_dis], points[n_dis])
    least, most = min(points), max(points)
    if least < most:
        slope = max(0.0, (points[most] - points[least]) / (most - least))
        value = max(points[least] + slope * (n_dis - least), points[least] * min(1.0, n_dis / least))
        return Between(value, value)
    scaled = [points[least] * (1 - b + b * n_dis) / (1 - b + b * least) for b in DISCRIMINATOR]
    return Between(min(scaled), max(scaled))


def _as_others(kind: Kind, n_dis: int, known: Mapping[Kind, _Known], sizes: _Sizes) -> Between:
    """By the products of an update, as fast as kinds that are known are; best those of the same networks."""
    speeds: dict[bool, list[float]] = {True: [], False: []}
    for other, of in known.items():
        same = (other.network, other.dataset) == (kind.network, kind.dataset)
        speeds[same] += [
            seconds / sizes[other.networks].products(other, at) for at, seconds in of.points.items()
        ]
    near = speeds[True] or speeds[False]
    products = sizes[kind.networks].products(kind, n_dis)
    middle = math.sqrt(min(near) * max(near))
    low, high = min(min(near), middle / APART), max(max(near), middle * APART)
    return Between(low * products, high * products)


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"
