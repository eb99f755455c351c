"""What a sweep asked of a run against what the run's command line came to: nothing is overridden unseen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from snlab.core.errors import UserError
from snlab.core.nesting import nested
from snlab.core.resources import experiment
from snlab.training.arguments import FitCLI
from snlab.training.build import canonical
from snlab.training.spelling import as_json

CONFIG = "config"  # the parameter whose value is an experiment, or a mapping of several settings


def check_asked(arguments: Sequence[str], settings: dict[str, Any], asked: Mapping[str, Any]) -> None:
    """UserError unless every value that a sweep asked for stands in its run's settings.

    A value stands where saying it once more, last, changes nothing. An experiment's file stands where only
    options of the command line, each said by its name, change what it says.

    Args:
        arguments: the words after ``snlab fit``.
        settings: what FitCLI made of them.
        asked: the sweep's parameters and their values.
    """
    for name, value in asked.items():
        wanted = dict(leaves({name: value}))
        again = f"--{name}={value}"
        if name == CONFIG:
            wanted = _of_config(value, arguments)
            tree = nested((path.split("."), leaf) for path, leaf in wanted.items())
            again = f"--{CONFIG}={json.dumps(tree, default=str)}"
        if all(_equal(_at(settings, path), leaf) for path, leaf in wanted.items()):
            continue
        found = _difference(canonical(settings), canonical(FitCLI([*arguments, again]).settings))
        if found is not None:
            path, got, asked_for = found
            raise UserError(
                f"{path} is to be {asked_for} by the sweep's parameter {name}, and would be {got}: "
                "an option, a --config or a parameter after it overrides it"
            )


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping, with its dotted path.

    >>> dict(leaves({"model": {"n_dis": 1, "adam.lr": 2}}))
    {'model.n_dis': 1, 'model.adam.lr': 2}
    """
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def is_mapping(config: Any) -> bool:
    """Whether a value of ``config`` is a mapping, or text of one, and not the name of an experiment."""
    return isinstance(config, Mapping) or str(config).startswith("{")


def settings_of(config: Any) -> dict[str, Any]:
    """The settings that a value of ``config`` sets, an experiment's or a mapping's, by their dotted paths."""
    if isinstance(config, Mapping):
        return dict(leaves(config))
    text = as_json(config) if is_mapping(config) else experiment(str(config)).read_text(encoding="utf-8")
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{CONFIG} {config} is not YAML: {' '.join(str(error).split())}") from error
    return dict(leaves(found)) if isinstance(found, Mapping) else {}


def _of_config(value: Any, arguments: Sequence[str]) -> dict[str, Any]:
    """What is to stand of a value of ``config``: of a file, what no option on the command line names."""
    if is_mapping(value):
        return settings_of(value)
    matches = (re.match(r"--([\w.]+)", word) for word in arguments)
    said = {match[1] for match in matches if match} - {CONFIG}
    return {
        path: leaf
        for path, leaf in settings_of(value).items()
        if not any(within(path, name) for name in said)
    }


def within(one: str, other: str) -> bool:
    """Whether two dotted paths name the same setting, or one a setting inside the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _at(settings: Any, path: str) -> Any:
    for word in path.split("."):
        settings = settings.get(word) if isinstance(settings, Mapping) else None
    return settings


def _equal(a: Any, b: Any) -> bool:
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def _difference(run: Mapping[str, Any], again: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first setting that is another where the value is said again: its path, and both."""
    there = dict(leaves(run))
    for path, value in leaves(again):
        if not _equal(there.get(path), value):
            return path, there.get(path), value
    return None
