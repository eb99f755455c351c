"""The user's own code that a configuration names, by a digest of its source: it is part of what a run is."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Told apart by their versions, which a run's summary holds.
LIBRARIES = {"snlab", "torch", "pytorch_lightning", "lightning", "lightning_fabric", *sys.stdlib_module_names}


def ours(found: Any) -> bool:
    """Whether a class or a function is snlab's."""
    return str(found.__module__).split(".")[0] == "snlab"


def sources(settings: Mapping[str, Any]) -> dict[str, str]:
    """Ten digits of the sha256 of the source behind every class and function that ``settings`` name.

    A class stands with those that it inherits from. What snlab and the libraries below it have is left out,
    and what is not imported, which is no code that the configuration runs.
    """
    digests = {name: _digest(name) for name in sorted(set(_words(settings)))}
    return {name: found for name, found in digests.items() if found is not None}


def _words(value: Any) -> Iterator[str]:
    """Every dotted word among the values."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _words(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _words(item)
    elif isinstance(value, str) and "." in value and all(word.isidentifier() for word in value.split(".")):
        yield value


def _digest(name: str) -> str | None:
    return digest(named(name))


def digest(found: Any) -> str | None:
    """Ten digits of the sha256 of the files that hold a class with its bases, or a function.

    None where that is snlab's, or a library's below it.
    """
    files: dict[str, None] = {}
    for owner in found.__mro__ if isinstance(found, type) else (found,):
        module = str(getattr(owner, "__module__", ""))
        file = getattr(sys.modules.get(module), "__file__", None)
        if file is not None and module.split(".")[0] not in LIBRARIES:
            files[file] = None
    if not files:
        return None
    total = hashlib.sha256()
    for file in files:
        total.update(Path(file).read_bytes())
    return total.hexdigest()[:10]


def named(name: str) -> Any:
    """The class or function of that name in an imported module; None where there is none."""
    words = name.split(".")
    for i in range(len(words) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(words[:i]))
        if found is not None:
            for word in words[i:]:
                found = getattr(found, word, None)
            return found if callable(found) else None
    return None
