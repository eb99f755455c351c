"""A sweep file: W&B's own format, read and checked against W&B's rules. What it asks of snlab: check.py."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from snlab.core.errors import UserError, nearest
from snlab.core.resources import sweep_file
from snlab.sweeps.parameters import Parameter, is_number, read_parameters

METHODS = ("grid", "random", "bayes")
KEYS = {
    "name", "description", "program", "method", "metric", "parameters", "early_terminate", "command",
    "run_cap", "project", "entity", "settings", "controller",
}  # fmt: skip
GOALS = ("minimize", "maximize")
COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")  # W&B's own, where a file has none
ARGUMENTS = ("${args}", "${args_no_equals}")


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


@dataclass(frozen=True)
class Sweep:
    """One sweep file, read."""

    path: Path
    name: str
    method: str
    parameters: tuple[Parameter, ...]
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
        if self.method == "grid":
            axes = [parameter.values() or () for parameter in self.parameters]
            found: Iterator[dict[str, Any]] = (
                dict(zip((p.name for p in self.parameters), values, strict=True))
                for values in itertools.product(*axes)
            )
        else:
            found = (
                {p.name: p.draw(_quantile(f"{self.digest}/{i}/{p.name}")) for p in self.parameters}
                for i in itertools.count()
            )
        return itertools.islice(found, self.run_cap)


def read_sweep(name: str | Path) -> Sweep:
    """The sweep in a file, or one that ships with the package by its name; UserError in one line."""
    path = sweep_file(str(name))
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"sweep file {path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UserError(f"sweep file {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise UserError(f"sweep file {path} holds no mapping; method and parameters are needed")
    try:
        return _read(path, document)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def in_words(configuration: Mapping[str, Any]) -> str:
    """A trial's parameters, for a reader.

    >>> in_words({"model.adam.lr": 0.0002616193462793065, "model.normalizer": "none"})
    'model.adam.lr=0.0002616 model.normalizer=none'
    """
    shown = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in configuration.items()}
    return " ".join(f"{name}={value}" for name, value in shown.items())


def _read(path: Path, document: dict[str, Any]) -> Sweep:
    for key in document:
        if key not in KEYS:
            raise UserError(f"unknown key {key!r}; {nearest(str(key), KEYS)}")
    method = document.get("method")
    if method not in METHODS:
        raise UserError(f"unknown method {method!r}; {nearest(str(method), METHODS)}")
    parameters = document.get("parameters")
    if not isinstance(parameters, dict) or not parameters:
        raise UserError("parameters wants a mapping of at least one parameter")
    found = tuple(read_parameters(parameters))
    metric = _metric(document.get("metric"))
    hyperband = _hyperband(document.get("early_terminate"))
    if metric is None and (method == "bayes" or hyperband):
        raise UserError(f"{'method bayes' if method == 'bayes' else 'early_terminate'} wants a metric")
    if method == "grid":
        for parameter in found:
            if parameter.values() is None:
                raise UserError(f"parameter {parameter.name}: a grid wants values, not a distribution")
    run_cap = document.get("run_cap")
    if run_cap is not None and (not isinstance(run_cap, int) or isinstance(run_cap, bool) or run_cap < 1):
        raise UserError(f"run_cap wants a whole number of at least 1, got {run_cap!r}")
    name = str(document.get("name") or path.stem)
    if not name.strip() or "/" in name or name.startswith("."):
        raise UserError(f"name {name!r} cannot name a folder")
    return Sweep(path, name, method, found, metric, hyperband, run_cap, _command(document), document)


def _metric(options: Any) -> Metric | None:
    if options is None:
        return None
    if not isinstance(options, dict) or not isinstance(options.get("name"), str):
        raise UserError(f"metric wants a name and a goal, got {options!r}")
    for key in options:
        if key not in ("name", "goal", "target"):
            raise UserError(f"metric has no key {key!r}; {nearest(str(key), ('name', 'goal', 'target'))}")
    goal = options.get("goal", "minimize")
    if goal not in GOALS:
        raise UserError(f"metric: unknown goal {goal!r}; {nearest(str(goal), GOALS)}")
    target = options.get("target")
    if target is not None and not is_number(target):
        raise UserError(f"metric: target wants a number, got {target!r}")
    return Metric(options["name"], goal, target)


def _hyperband(options: Any) -> Hyperband | None:
    """W&B's two forms: brackets at min_iter * eta^k, or at max_iter / eta^k for k = s to 1."""
    if options is None:
        return None
    known = ("type", "min_iter", "max_iter", "s", "eta", "strict")
    if not isinstance(options, dict) or options.get("type") != "hyperband":
        raise UserError(f"early_terminate wants type: hyperband, got {options!r}")
    for key, value in options.items():
        if key not in known:
            raise UserError(f"early_terminate has no key {key!r}; {nearest(str(key), known)}")
        if key not in ("type", "strict") and (not isinstance(value, int) or value < 1):
            raise UserError(f"early_terminate: {key} wants a whole number of at least 1, got {value!r}")
    eta = options.get("eta", 3)
    if eta < 2:
        raise UserError(f"early_terminate: eta wants a whole number of at least 2, got {eta}")
    if ("min_iter" in options) == ("max_iter" in options):
        raise UserError("early_terminate wants either min_iter, or max_iter and s")
    if "min_iter" in options:
        return Hyperband(options["min_iter"], None, eta)
    if "s" not in options:
        raise UserError("early_terminate: max_iter wants s, the number of brackets")
    return Hyperband(max(1, options["max_iter"] // eta ** options["s"]), options["max_iter"], eta)


def _command(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The words after ``snlab fit``; UserError where the command would not run it with the parameters."""
    written = document.get("command", list(COMMAND))
    if not isinstance(written, list) or not written:
        raise UserError(f"command wants a list of words, got {written!r}")
    words = [str(word) for word in written]
    program = [str(document.get("program"))] if document.get("program") else ["${program}"]
    words = [w for word in words for w in (program if word == "${program}" else [word])]
    words = [word for word in words if word != "${env}"]
    for start in (["snlab"], ["${interpreter}", "-m", "snlab"], ["python", "-m", "snlab"]):
        if words[: len(start) + 1] == [*start, "fit"]:
            rest = words[len(start) + 1 :]
            break
    else:
        raise UserError(
            f"command {' '.join(map(str, written))!r} does not run snlab fit: [snlab, fit, ..., ${{args}}]"
        )
    for word in rest:
        if word.startswith("${") and word not in ARGUMENTS:
            raise UserError(f"command: unknown macro {word}; {nearest(word, ARGUMENTS)}")
    if sum(word in ARGUMENTS for word in rest) != 1:
        raise UserError("command wants ${args} once: it is where the parameters reach snlab fit")
    return tuple(rest)


def _nested(sweep: Sweep, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as W&B hands it to a run: parameters nested in the file as one mapping."""
    result: dict[str, Any] = {}
    for name, value in configuration.items():
        head, _, tail = name.partition(".")
        if tail and "parameters" in (sweep.document["parameters"].get(head) or {}):
            inner = result.setdefault(head, {})
            *path, last = tail.split(".")
            for key in path:
                inner = inner.setdefault(key, {})
            inner[last] = value
        else:
            result[name] = value
    return result


def _quantile(text: str) -> float:
    """A number in [0, 1) that ``text`` alone decides: the same draw on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48
