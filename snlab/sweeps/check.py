"""A sweep against snlab itself: every name, value and metric is tried out before anything starts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snlab.core.errors import UserError, nearest
from snlab.core.messages import plain_messages
from snlab.sweeps.document import Sweep
from snlab.sweeps.parameters import Number, Parameter
from snlab.training.arguments import FitCLI
from snlab.training.claim import Claim
from snlab.training.measurements import MeasureOptions, measurements
from snlab.training.trainer_options import check_monitors

PREVIEWED = 12  # draws of an endless search that are tried out, and shown


@dataclass(frozen=True)
class Planned:
    """One trial before it runs: its parameters, the words after ``snlab fit``, and its run's identity."""

    configuration: dict[str, Any]
    arguments: list[str]
    identity: str
    folder: Path

    @classmethod
    def of(cls, sweep: Sweep, configuration: Mapping[str, Any], root: Path) -> Planned:
        """The trial with its run below ``root``/SWEEP; UserError where a name in it is unknown."""
        words = [
            *sweep.arguments(configuration),
            f"--runs={root / sweep.name}",
            "--wandb.mode=offline",
            f"--wandb.group={sweep.name}",
            "--resume",
        ]
        claim = Claim.of(FitCLI(words).settings)
        return cls(dict(configuration), words, claim.identity, claim.folder)


def plan(sweep: Sweep, root: Path) -> list[Planned]:
    """The distinct trials of a grid or a capped random search, or the first of an endless one.

    Of a bayesian search, random draws from its space: what it will run is not known beforehand.
    """
    with quiet():
        found: dict[str, Planned] = {}
        for i, configuration in enumerate(sweep.configurations()):
            if i >= PREVIEWED and (
                sweep.method == "bayes" or (sweep.method == "random" and not sweep.run_cap)
            ):
                break
            trial = Planned.of(sweep, configuration, root)
            found.setdefault(trial.identity, trial)  # two spellings of one trial are one trial
        return list(found.values())


def total(sweep: Sweep, planned: Sequence[Planned]) -> int | None:
    """How many runs the sweep has, of which ``planned`` are what ``plan`` gave; None for endlessly many."""
    if sweep.method == "bayes" or (sweep.method == "random" and sweep.run_cap is None):
        return sweep.run_cap
    return len(planned)


def check(sweep: Sweep) -> None:
    """UserError, in one line that begins with the file, unless every run of the sweep could be built."""
    try:
        with quiet():
            _check(sweep)
    except UserError as error:
        raise UserError(f"{sweep.path}: {error}") from error


def _check(sweep: Sweep) -> None:
    fixed = [word for word in sweep.command if not word.startswith("${")]
    try:
        parser = FitCLI(fixed).parser
    except UserError as error:
        raise UserError(f"command: {error}") from error
    known = [action.dest for action in parser._actions]
    for parameter in sweep.parameters:
        if parameter.name not in known:
            raise UserError(f"unknown parameter {parameter.name!r}; {nearest(parameter.name, known)}")
    base = {p.name: _tried(p)[0] for p in sweep.parameters}
    built: dict[str, set[str]] = {}
    for parameter in sweep.parameters:
        for value in _tried(parameter):
            try:
                logged = _logged(sweep.arguments({**base, parameter.name: value}), built)
            except UserError as error:
                raise UserError(f"parameter {parameter.name}, value {value!r}: {error}") from error
            if sweep.metric is not None and sweep.metric.name not in logged:
                raise UserError(
                    f"metric {sweep.metric.name!r} is never logged where {parameter.name} is {value!r}; "
                    f"{nearest(sweep.metric.name, logged)}"
                )


def _tried(parameter: Parameter) -> Sequence[Any]:
    """Every value of a list; of a distribution its ends and its middle."""
    if isinstance(parameter, Number):
        return [parameter.draw(quantile) for quantile in (0.5, 0.0, 1 - 1e-9)]
    return parameter.values() or ()


def _logged(arguments: list[str], built: dict[str, set[str]]) -> set[str]:
    """The names that a run of these arguments logs, from the run itself, built and not trained."""
    cli = FitCLI(arguments)
    settings = cli.settings
    identity = Claim.of({**settings, "seed_everything": 0}).identity
    if identity not in built:  # seeds share everything that could be wrong
        cli.build()
        options = MeasureOptions(**settings["measure"])
        found = measurements(options, cli.model, cli.datamodule.dataset, 0)
        built[identity] = set[str]().union(*(m.logs(cli.model) for m in found))
        check_monitors(cli.callbacks, built[identity])
    return built[identity]


@contextmanager
def quiet() -> Iterator[None]:
    """No announcement of a library for each of many parsed configurations."""
    seeds = logging.getLogger("lightning_fabric.utilities.seed")
    before = seeds.level
    seeds.setLevel(logging.ERROR)
    try:
        with plain_messages():
            yield
    finally:
        seeds.setLevel(before)
