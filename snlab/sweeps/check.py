"""A sweep against snlab itself: every name, value and metric is tried out before anything starts."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

from jsonargparse import ArgumentParser

from snlab.callbacks.measurement import Measurement
from snlab.core.errors import UserError, nearest
from snlab.core.messages import plain_messages
from snlab.sweeps.command_line import ARGUMENTS, refuse_option
from snlab.sweeps.distributions import Choice, Parameter
from snlab.sweeps.document import Sweep, in_words
from snlab.sweeps.reading import shown
from snlab.training.arguments import FitCLI
from snlab.training.asked import CONFIG, check_asked, is_mapping, leaves, settings_of, within
from snlab.training.claim import Claim
from snlab.training.measurements import MeasureOptions, check_weights, measurements
from snlab.training.trainer_options import check_monitors

PREVIEWED = 12  # draws of an endless search that are tried out, and shown


@dataclass(frozen=True)
class Planned:
    """One trial before it runs: its parameters, the words after ``snlab fit``, and its run's identity.

    ``settings`` are the complete ones that the words come to.
    """

    configuration: dict[str, Any]
    arguments: list[str]
    identity: str
    folder: Path
    wants: str = ""  # its data and measurements, alike in trials that want the same files of a machine
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, sweep: Sweep, configuration: Mapping[str, Any], root: Path) -> Planned:
        """The trial with its run below ``root``/SWEEP.

        UserError where a name in it is unknown, or where a value of it would not stand in the run.
        """
        words = [
            *mirrored(sweep),  # before what the file says, which is kept
            *sweep.arguments(configuration),
            f"--runs={root / sweep.name}",
            "--resume",
        ]
        with _in_one_line():
            settings = FitCLI(words).settings
            check_asked(words, settings, configuration)
            claim = Claim.of(settings)
        wants = json.dumps([settings["data"], settings["measure"]], sort_keys=True, default=str)
        return cls(dict(configuration), words, claim.identity, claim.folder, wants, settings)


def mirrored(sweep: Sweep) -> list[str]:
    """How a run is mirrored to W&B unless the command or a parameter says otherwise: offline, as a group."""
    words = ["--wandb.mode=offline", f"--wandb.group={sweep.name}"]
    places = [key for key in ("project", "entity") if sweep.document.get(key)]
    return words + [f"--wandb.{key}={sweep.document[key]}" for key in places]


def plan(sweep: Sweep, root: Path) -> list[Planned]:
    """The distinct trials of a grid or a capped random search, or the first of an endless one.

    Of a bayesian search, random draws from its space: what it will run is not known beforehand. UserError,
    in one line that begins with the file, where one of them could not be run.
    """
    with quiet():
        found: dict[str, Planned] = {}
        for i, configuration in enumerate(sweep.configurations()):
            if i >= PREVIEWED and (
                sweep.method == "bayes" or (sweep.method == "random" and not sweep.run_cap)
            ):
                break
            try:
                trial = Planned.of(sweep, configuration, root)
            except UserError as error:
                raise UserError(f"{sweep.path}: {in_words(configuration)}: {error}") from error
            found.setdefault(trial.identity, trial)  # two spellings of one trial are one trial
        return list(found.values())


def total(sweep: Sweep, planned: Sequence[Planned]) -> int | None:
    """How many runs the sweep has, of which ``planned`` are what ``plan`` gave; None for endlessly many."""
    if sweep.method == "bayes" or (sweep.method == "random" and sweep.run_cap is None):
        return sweep.run_cap
    return len(planned)


def check_files(trials: Iterable[Planned]) -> None:
    """UserError where data or published weights that a trial wants are not on this machine; reads no data."""
    with quiet():
        for trial in {trial.wants: trial for trial in trials}.values():
            cli = FitCLI(trial.arguments)
            cli.build(load=False)
            if cli.datamodule.dataset.stored is not None:
                cli.datamodule.dataset.stored.check()
            check_weights(_measurements(cli))


def check(sweep: Sweep) -> None:
    """UserError, in one line that begins with the file, unless every run of the sweep could be built.

    Known by their shapes, data and published weights need not be here: ``check_files`` looks for them.
    """
    try:
        with quiet():
            _check(sweep)
    except UserError as error:
        raise UserError(f"{sweep.path}: {error}") from error


def _check(sweep: Sweep) -> None:
    fixed = [word for word in sweep.command if word not in ARGUMENTS]
    try:
        with _in_one_line():
            cli = FitCLI(fixed)
    except UserError as error:
        raise UserError(f"command: {error}") from error
    if cli.settings["run_folder"] is not None:
        refuse_option("command: ", "run_folder")
    _check_names(sweep, cli.parser)
    base = {p.name: _tried(p, sweep.method)[0] for p in sweep.parameters}
    built: dict[str, set[str]] = {}
    for parameter in sweep.parameters:
        for value in _tried(parameter, sweep.method):
            configuration = {**base, parameter.name: value}
            try:
                with _in_one_line():
                    logged = _logged(sweep.arguments(configuration), built, configuration)
            except UserError as error:
                name = _to_blame(sweep, configuration, parameter.name)
                raise UserError(f"parameter {name}, value {shown(configuration[name])}: {error}") from error
            if sweep.metric is not None and sweep.metric.name not in logged:
                raise UserError(
                    f"metric {shown(sweep.metric.name)} is never logged where {parameter.name} is "
                    f"{shown(value)}; {nearest(sweep.metric.name, logged)}"
                )


def _to_blame(sweep: Sweep, configuration: Mapping[str, Any], tried: str) -> str:
    """Whose value a run refuses by itself: the one that was tried, or one that stood beside it."""
    for name in (tried, *configuration):
        try:
            with _in_one_line():
                _logged(sweep.arguments({name: configuration[name]}), {})
        except UserError:
            return name
    return tried


def _check_names(sweep: Sweep, parser: ArgumentParser) -> None:
    """UserError for a parameter that is no option of a sweep's, or sets what another one sets."""
    known, open_ended = _options(parser)
    set_by: dict[str, str] = {}
    for parameter in sweep.parameters:
        name = parameter.name
        refuse_option("parameter ", name)
        if name not in known and not any(name.startswith(f"{option}.") for option in open_ended):
            raise UserError(f"unknown parameter {shown(name)}; {nearest(name, known)}")
        for path in _sets(parameter, sweep.method):
            refuse_option(f"parameter {name}: ", path)
            for other, owner in set_by.items():
                if owner != name and within(path, other):
                    raise UserError(f"parameters {owner} and {name} both set {max(path, other, key=len)}")
            set_by[path] = name


def _options(parser: ArgumentParser) -> tuple[list[str], list[str]]:
    """The names of all options, and those whose value, an object of some class, has options of its own."""
    hints = {action.dest: get_args(getattr(action, "_typehint", None)) for action in parser._actions}
    known, open_ended = list(hints), []
    for name, kinds in hints.items():
        for kind in kinds:
            if is_dataclass(kind):
                known += [f"{name}.{field.name}" for field in fields(kind)]
            elif (isinstance(kind, type) and kind.__module__ != "builtins") or get_args(kind):
                open_ended.append(name)
    return known, open_ended


def _sets(parameter: Parameter, method: str) -> list[str]:
    """The settings that a parameter alone sets, by their dotted paths: not those of an experiment's file."""
    values = _tried(parameter, method)
    if parameter.name != CONFIG:
        trees = [dict(leaves({parameter.name: value})) for value in values]
    else:
        trees = [settings_of(value) for value in values if is_mapping(value)]
    return list(dict.fromkeys(path for tree in trees for path in tree))


def _tried(parameter: Parameter, method: str) -> Sequence[Any]:
    """Every value of a list; of a distribution its ends and its middle."""
    if isinstance(parameter, Choice):
        return [parameter.value(index) for index in range(parameter.count)]
    if method == "grid" and parameter.count is not None:
        return [parameter.value(index) for index in (0, parameter.count // 2, parameter.count - 1)]
    return [parameter.draw(quantile) for quantile in (0.5, 0.0, 1 - 1e-9)]


def _logged(
    arguments: list[str], built: dict[str, set[str]], asked: Mapping[str, Any] | None = None
) -> set[str]:
    """The names that a run of these arguments logs, from the run itself, built and not trained."""
    cli = FitCLI(arguments)
    settings = cli.settings
    check_asked(arguments, settings, asked or {})
    identity = Claim.of({**settings, "seed_everything": 0}).identity
    if identity not in built:  # seeds share everything that could be wrong
        cli.build(load=False)  # the data of a sweep may be on another machine
        built[identity] = set[str]().union(*(m.logs(cli.model) for m in _measurements(cli)))
        check_monitors(cli.callbacks, built[identity])
    return built[identity]


def _measurements(cli: FitCLI) -> list[Measurement]:
    return measurements(MeasureOptions(**cli.settings["measure"]), cli.model, cli.datamodule.dataset, 0)


@contextmanager
def _in_one_line() -> Iterator[None]:
    """UserError for whatever a library, or a user's class, makes of a strange value."""
    try:
        yield
    except UserError:
        raise
    except SystemExit as error:  # an option that prints and ends
        raise UserError("snlab fit would train nothing") from error
    except Exception as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise UserError(f"{kind}{' '.join(str(error).split())}") from error


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
