"""Code that is not snlab's: modules imported by their name, installed plugins, and dotted names.

What such a module registers (``@DATASETS.register("blobs")``, ...) is then a name like ours.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from snlab.core.errors import UserError, nearest

PLUGINS = "snlab.plugins"
"""The group of entry points under which an installed package names the module that registers its own."""

AFTER_FAILURE: list[Callable[[], None]] = []
"""Called where a module failed to import: what it had registered before is then forgotten."""


def find_from_working_directory() -> None:
    """Have modules found in the working directory, after all others, as ``python -m`` finds them there."""
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.append(str(Path.cwd()))


def imported(name: str, place: str) -> ModuleType:
    """The module of that name.

    UserError, which begins with ``place`` and has the module's own error, where it cannot be imported.
    """
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        for forget in AFTER_FAILURE:
            forget()
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        raise UserError(f"{place}: {kind}{' '.join(str(error).split())}") from error


def import_all(names: Iterable[str]) -> None:
    """Import the modules that ``--import`` names, found from the working directory too."""
    find_from_working_directory()
    for name in names:
        if not all(word.isidentifier() for word in name.split(".")):
            raise UserError(f"--import {name}: a module is wanted as Python imports it, as in package.module")
        imported(name, f"--import {name}")


@cache
def import_plugins() -> None:
    """Import every installed package's plugin, once a process; a warning for each that fails."""
    for point in entry_points(group=PLUGINS):
        package = point.dist.name if point.dist is not None else "an unknown package"
        try:
            imported(point.module, f"plugin {point.name} of {package} is left out")
        except UserError as error:
            warnings.warn(str(error), stacklevel=1)


def attribute(name: str, place: str) -> Any:
    """What ``package.module.thing`` names, its modules imported.

    UserError, which begins with ``place``, where a module cannot be imported or has no such thing.
    """
    known, *words = name.split(".")
    found: Any = imported(known, place)
    for word in words:
        path = f"{known}.{word}"
        if not hasattr(found, word) and hasattr(found, "__path__") and find_spec(path) is not None:
            imported(path, place)
        if not hasattr(found, word):
            raise UserError(f"{place}: {known} has no {word!r}; {nearest(word, _own_names(found))}")
        found, known = getattr(found, word), path
    return found


def _own_names(owner: Any) -> list[str]:
    """The public classes and functions of a module, but those that it has imported."""
    if not isinstance(owner, ModuleType):
        return [name for name in dir(owner) if not name.startswith("_")]
    return [
        name
        for name, value in vars(owner).items()
        if not name.startswith("_")
        and callable(value)
        and getattr(value, "__module__", None) == owner.__name__
    ]
