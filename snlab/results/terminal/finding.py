"""Runs by what people type: a folder, or the beginning of an identity or of a folder's name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from snlab.core.errors import UserError, nearest
from snlab.results.notes import listed
from snlab.results.reading import examined
from snlab.tracking.identity import identity
from snlab.tracking.run_folder import CONFIG, Run, Skipped, read_runs

SHORTEST = 7  # digits of an identity, where so many are enough to tell runs apart


def find(words: Sequence[str], roots: Sequence[str | Path]) -> list[Run]:
    """The run that each word names.

    UserError where a word names none, or several, or one that cannot be read.

    Args:
        words: each a run's folder; else its identity, its folder's name, or the beginning of one of them.
        roots: below which folders runs are looked for.
    """
    known: list[Run] | None = None
    skipped: list[Skipped] = []
    found = []
    for word in words:
        if (Path(word) / CONFIG).is_file():
            found.append(_examined(Run.read(word)))
            continue
        if known is None:
            known, skipped = _below(roots)
        found.append(_named(word, known, skipped, roots))
    return found


def _below(roots: Sequence[str | Path]) -> tuple[list[Run], list[Skipped]]:
    """Every run below the roots, once, and what cannot be read."""
    found: dict[Path, Run] = {}
    broken: dict[Path, Skipped] = {}
    for root in roots:
        runs, skipped = read_runs(root)
        found |= {run.folder.resolve(): run for run in runs}
        broken |= {skip.folder.resolve(): skip for skip in skipped}
    return list(found.values()), list(broken.values())


def _named(word: str, runs: Sequence[Run], skipped: Sequence[Skipped], roots: Sequence[str | Path]) -> Run:
    names = {run.folder: _names(run) for run in runs}
    whole = [run for run in runs if word in names[run.folder]]
    begun = [run for run in runs if any(name.startswith(word) for name in names[run.folder])]
    matching = whole or begun
    if len(matching) == 1:
        return _examined(matching[0])
    if matching:
        choices = listed([str(run.folder) for run in matching])
        raise UserError(f"{word!r} fits {len(matching)} runs: {choices}")
    for skip in skipped:
        if skip.folder.name.startswith(word):
            raise UserError(f"{skip.folder} is not a readable run folder: {skip.reason}")
    places = ", ".join(map(str, roots))
    hint = nearest(word, {name for pair in names.values() for name in pair})
    told = hint if hint.startswith("did you mean") else "snlab runs lists them"
    raise UserError(f"no run {word!r} in {places}; {told}")


def _names(run: Run) -> tuple[str, ...]:
    try:
        return (identity_of(run), run.folder.name)
    except (AttributeError, TypeError, ValueError):  # a configuration that no run writes
        return (run.folder.name,)


def _examined(run: Run) -> Run:
    """The run, its outcome DAMAGED where its record is; UserError where it holds what no run writes."""
    try:
        return examined(run)
    except (AttributeError, OSError, OverflowError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{run.folder} holds what no run writes: {reason}") from error


def identity_of(run: Run) -> str:
    """A run's identity: as its summary has it; before it has one, as its folder's name ends."""
    told = run.summary.get("identity")
    ending = re.search(r"-([0-9a-f]{10,12})$", run.folder.name)
    return str(told) if told else ending[1] if ending else identity(run.config)


def short(identities: Sequence[str]) -> dict[str, str]:
    """Each identity's beginning that no other has, of at least SHORTEST digits.

    >>> short(["0123456789ab", "0123456777cd", "ffffffffffff"])
    {'0123456789ab': '012345678', '0123456777cd': '012345677', 'ffffffffffff': 'fffffff'}
    """
    different = sorted(set(identities))
    found = {}
    for before, own, after in zip(["", *different], different, [*different[1:], ""], strict=False):
        shared = max(_shared(own, before), _shared(own, after))
        found[own] = own[: max(SHORTEST, shared + 1)]
    return {own: found[own] for own in dict.fromkeys(identities)}


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
