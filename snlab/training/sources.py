"""The user's own code that a configuration names, by a digest of its source: it is part of what a run is."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Told apart by their versions, which a run's summary holds.
LIBRARIES = {"snlab", "torch", "pytorch_lightning", "lightning", "lightning_fabric", *sys.stdlib_module_names}


def find_from_working_directory() -> None:
    """Have modules found in the working directory, after all others, as ``python -m`` finds them there."""
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.append(str(Path.cwd()))


def sources(settings: Mapping[str, Any]) -> dict[str, str]:
    """Ten digits of the sha256 of the source behind every class and function that ``settings`` name.

    A class stands with those that it inherits from. What snlab and the libraries below it have is left out,
    and what is not imported, which is no code that the configuration runs.
    """
    digests = {name: _digest(name) for name in sorted(set(_words(settings)))}
    return {name: digest for name, digest in digests.items() if digest is not None}


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
    found = named(name)
    files: dict[str, None] = {}
    for owner in found.__mro__ if isinstance(found, type) else (found,):
        module = str(getattr(owner, "__module__", ""))
        file = getattr(sys.modules.get(module), "__file__", None)
        if file is not None and module.split(".")[0] not in LIBRARIES:
            files[file] = None
    if not files:
        return None
    digest = hashlib.sha256()
    for file in files:
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:10]


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
