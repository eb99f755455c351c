"""A sweep file: W&B's own format, read and checked against W&B's rules. What it asks of snlab: check.py."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snlab.core.errors import UserError, nearest
from snlab.core.nesting import nested
from snlab.core.resources import sweep_file
from snlab.sweeps.command_line import ARGUMENTS, fit_words
from snlab.sweeps.distributions import Choice, Parameter
from snlab.sweeps.objective import Hyperband, Metric, read_hyperband, read_metric
from snlab.sweeps.parameters import read_parameters
from snlab.sweeps.reading import read_yaml, shown

METHODS = ("grid", "random", "bayes")
KEYS = {
    "name", "description", "program", "method", "metric", "parameters", "early_terminate", "command",
    "run_cap", "project", "entity", "controller", "apiVersion", "kind",
}  # fmt: skip
TEXTS = ("name", "description", "program", "project", "entity", "apiVersion", "kind")
MOST_RUNS = 1000  # each is parsed before anything starts, and has a place in the study
LONGEST_NAME = 100  # characters: of a folder, and of W&B's group


@dataclass(frozen=True)
class Sweep:
    """One sweep file, read."""

    path: Path
    name: str
    method: str
    parameters: tuple[Parameter, ...]
    """In W&B's order: by name, nested ones where their group's name stands."""
    metric: Metric | None
    hyperband: Hyperband | None
    run_cap: int | None
    command: tuple[str, ...]
    """What follows ``snlab fit``, with a macro where the parameters go."""
    document: Mapping[str, Any]
    """As it stands in the file, and as W&B gets it."""

    @property
    def digest(self) -> str:
        """What tells this sweep's trials from those of a changed file: eight hexadecimal digits."""
        kept = {
            key: self.document.get(key) for key in ("method", "parameters", "command", "metric", "run_cap")
        }
        text = json.dumps([kept, self.document.get("early_terminate")], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def importing(self, modules: Sequence[str]) -> Sweep:
        """The same sweep, every run of which imports ``modules`` too."""
        return replace(self, command=(*(f"--import={module}" for module in modules), *self.command))

    @property
    def count(self) -> int | None:
        """How many configurations it has, None for endlessly many; two of them may be one run."""
        if self.method != "grid":
            return self.run_cap
        whole = math.prod(parameter.count or 1 for parameter in self.parameters)
        return whole if self.run_cap is None else min(whole, self.run_cap)

    def arguments(self, configuration: Mapping[str, Any]) -> list[str]:
        """The words after ``snlab fit`` for one configuration, spelt by W&B's own agent code."""
        from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

        given = {name: {"value": value} for name, value in _nested(self, configuration).items()}
        macros = create_sweep_command_args({"args": given})
        words: list[str] = []
        for word in self.command:
            words += macros[word[2:-1]] if word in ARGUMENTS else [word]
        return words

    def configurations(self) -> Iterator[dict[str, Any]]:
        """Every configuration of a grid, in W&B's order; a random search's draws, endless without run_cap."""
        numbers = itertools.count() if self.count is None else range(self.count)
        return (self._grid_point(i) if self.method == "grid" else self._draw(i) for i in numbers)

    def _grid_point(self, number: int) -> dict[str, Any]:
        """That of a number from 0, the last parameter's values the fastest to change."""
        point: dict[str, Any] = {}
        for parameter in reversed(self.parameters):
            number, index = divmod(number, parameter.count or 1)
            point[parameter.name] = parameter.value(index)
        return {parameter.name: point[parameter.name] for parameter in self.parameters}

    def _draw(self, number: int) -> dict[str, Any]:
        return {p.name: p.draw(_quantile(f"{self.digest}/{number}/{p.name}")) for p in self.parameters}


def read_sweep(name: str | Path) -> Sweep:
    """The sweep in a file, or one that ships with the package by its name; UserError in one line."""
    path = sweep_file(str(name))
    try:
        document = read_yaml(path)
        if not isinstance(document, dict):
            raise UserError("holds no mapping; method and parameters are needed")
    except UserError as error:
        raise UserError(f"sweep file {path}: {error}") from error
    try:
        return _read(path, document)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def in_words(configuration: Mapping[str, Any]) -> str:
    """A trial's parameters, for a reader.

    >>> in_words({"model.adam.lr": 0.0002616193462793065, "model.normalizer": "none"})
    'model.adam.lr=0.0002616 model.normalizer=none'
    """
    return " ".join(f"{name}={_in_words(value)}" for name, value in configuration.items())


def _in_words(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if text.isprintable() else repr(text)


def _read(path: Path, document: dict[str, Any]) -> Sweep:
    for key in document:
        if key not in KEYS:
            raise UserError(f"unknown key {shown(key)}; {nearest(key, KEYS)}")
    for key in TEXTS:
        if not isinstance(document.get(key), str | None):
            raise UserError(f"{key} wants text, got {shown(document[key])}")
    if not isinstance(document.get("controller"), dict | None):
        raise UserError(f"controller wants a mapping, got {shown(document['controller'])}")
    method = document.get("method")
    if method not in METHODS:
        raise UserError(f"unknown method {shown(method)}; {nearest(str(method), METHODS)}")
    parameters = document.get("parameters")
    if not isinstance(parameters, dict) or not parameters:
        raise UserError("parameters wants a mapping of at least one parameter")
    found = tuple(read_parameters(parameters))
    metric = read_metric(document.get("metric"))
    hyperband = read_hyperband(document.get("early_terminate"))
    if metric is None and (method == "bayes" or hyperband):
        raise UserError(f"{'method bayes' if method == 'bayes' else 'early_terminate'} wants a metric")
    if method == "grid":
        for parameter in found:
            _check_axis(parameter)
    run_cap = document.get("run_cap")
    if run_cap is not None and (not isinstance(run_cap, int) or isinstance(run_cap, bool) or run_cap < 1):
        raise UserError(f"run_cap wants a whole number of at least 1, got {shown(run_cap)}")
    name = path.stem if document.get("name") is None else document["name"]
    if not _names_a_folder(name):
        raise UserError(f"name {shown(name)} cannot name a folder")
    sweep = Sweep(path, name, method, found, metric, hyperband, run_cap, fit_words(document), document)
    if sweep.count is not None and sweep.count > MOST_RUNS:
        cure = "lower run_cap"
        if method == "grid":
            cure = "run_cap: N takes the first N, and method: random with run_cap: N draws N"
        raise UserError(f"{in_digits(sweep.count)} runs, and a sweep has at most {MOST_RUNS:,}; {cure}")
    return sweep


def _check_axis(parameter: Parameter) -> None:
    if parameter.count is None:
        raise UserError(f"parameter {parameter.name}: a grid wants values, not a distribution")
    if isinstance(parameter, Choice) and len(set(parameter.probabilities)) > 1:
        raise UserError(
            f"parameter {parameter.name}: a grid takes every value once, whatever its probability"
        )


def _names_a_folder(name: str) -> bool:
    if not name.strip() or not name.isprintable() or len(name.encode()) > LONGEST_NAME:
        return False
    return "/" not in name and not name.startswith(".")


def in_digits(count: int) -> str:
    """
    >>> in_digits(1_000_000), in_digits(10**300)
    ('1,000,000', 'about 10^300')
    """
    return f"{count:,}" if count < 10**15 else f"about 10^{round(math.log10(count))}"


def _nested(sweep: Sweep, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as W&B hands it to a run: parameters nested in the file as one mapping."""
    return nested(
        (_path(name, sweep.document["parameters"]) or (name,), value) for name, value in configuration.items()
    )


def _path(name: str, parameters: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The keys under which a parameter stands in the file, several where it is nested."""
    for key, options in parameters.items():
        if "parameters" not in options:
            if key == name:
                return (key,)
        elif name.startswith(f"{key}."):
            inner = _path(name.removeprefix(f"{key}."), options["parameters"])
            if inner is not None:
                return (key, *inner)
    return None


def _quantile(text: str) -> float:
    """A number in [0, 1) that ``text`` alone decides: the same draw on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48
