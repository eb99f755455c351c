"""Checks of what a YAML file holds: each gives back what it was handed, or says what is wrong, and where."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from snlab.core.errors import nearest

T = TypeVar("T")


class WrongError(Exception):
    """Where in the file, and what is wrong there."""


def named(value: Any, where: str) -> dict[str, Any]:
    """A mapping whose keys are text. WrongError for anything else."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise WrongError(f"{where} is {value!r}; a mapping of names is wanted")
    return value


def mapping(
    value: Any, where: str, required: Collection[str], optional: Collection[str] = ()
) -> dict[str, Any]:
    """A mapping with all of the required keys, and no other than these and the optional ones."""
    found = named(value, where)
    known = {*required, *optional}
    for key in found:
        if key not in known:
            raise WrongError(f"{where} has an unknown {key!r}; {nearest(key, known)}")
    for key in sorted(required):
        if key not in found:
            raise WrongError(f"{where} has no {key!r}")
    return found


def each(value: Any, where: str, read: Callable[[Any, str], T]) -> tuple[T, ...]:
    """What ``read(item, where)`` makes of each item of a list."""
    if not isinstance(value, list):
        raise WrongError(f"{where} is {value!r}; a list is wanted")
    return tuple(read(item, f"{where}[{index}]") for index, item in enumerate(value))


def text(value: Any, where: str) -> str:
    """It is text. WrongError for anything else."""
    if not isinstance(value, str):
        raise WrongError(f"{where} is {value!r}; text is wanted")
    return value


def number(value: Any, where: str) -> float:
    """A finite number. WrongError for anything else."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number:
        raise WrongError(f"{where} is {value!r}; a number is wanted")
    return float(value)


def count(value: Any, where: str) -> int:
    """A whole number of at least 1. WrongError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise WrongError(f"{where} is {value!r}; a whole number of at least 1 is wanted")
    return value
