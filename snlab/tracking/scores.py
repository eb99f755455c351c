"""Scores of a run's checkpoints, in its folder: the one writer and reader of them. Never imports torch.

RUN/scores/PROTOCOL-STEP.json    {"protocol", "generator_step", "scored": [entries]}

An entry is one set of weights scored by one extractor on one choice of latents. Its ``scores`` are by full
name, METRIC/EXTRACTOR/PROTOCOL: so a score of another protocol is another number, as it is to be.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from snlab.core.files import write_atomically
from snlab.core.names import GENERATOR_STEP
from snlab.tracking.run_folder import finite

SCORES = "scores"
LAST, BEST, NAMED = "last", "best", "named"  # which of a run's checkpoints: the third is neither
WAIT = 60.0  # seconds to wait for another process that writes into the same folder


def full_name(score: str, protocol: str) -> str:
    """A logged score's name with its protocol.

    >>> full_name("fid/embedded-digits", "embedded")
    'fid/embedded-digits/embedded'
    """
    return f"{score}/{protocol}"


def spread(draws: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """The standard deviation (n - 1) over draws of latents of every score; None for a single draw.

    >>> spread([{"fid": 1.0}, {"fid": 3.0}]), spread([{"fid": 1.0}])
    ({'fid': 1.4142135623730951}, {'fid': None})
    """
    if len(draws) < 2:
        return dict.fromkeys(draws[0])
    means = mean(draws)
    return {
        name: math.sqrt(math.fsum((draw[name] - means[name]) ** 2 for draw in draws) / (len(draws) - 1))
        for name in means
    }


def mean(draws: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean over draws of latents of every score; of one draw, its scores to the last digit."""
    if len(draws) == 1:
        return dict(draws[0])
    return {name: math.fsum(draw[name] for draw in draws) / len(draws) for name in draws[0]}


def write_score(run_folder: Path, entry: Mapping[str, Any]) -> Path:
    """Add ``entry`` to the scores of its protocol and step; returns their file.

    One of the same checkpoint, weights, extractor and latents takes the place of the earlier one. OSError
    where the folder cannot be written: nothing of the run is touched in any case.
    """
    protocol, step = entry["protocol"], entry[GENERATOR_STEP]
    path = run_folder / SCORES / f"{protocol}-{step:08d}.json"
    path.parent.mkdir(exist_ok=True)
    new = finite(entry)
    with FileLock(path.parent / ".lock", timeout=WAIT):
        kept = [old for old in _entries(path) if _same(old) != _same(new)]
        content = {"protocol": protocol, GENERATOR_STEP: step, "scored": [*kept, new]}
        write_atomically(path, json.dumps(content, indent=1) + "\n")
    return path


def read_scores(run_folder: Path) -> list[dict[str, Any]]:
    """Every entry of a run, by protocol and step, in the order in which they were written."""
    return [entry for path in sorted((run_folder / SCORES).glob("*-*.json")) for entry in _entries(path)]


def _entries(path: Path) -> list[dict[str, Any]]:
    """The entries of one file; none where there is no such file, or it is no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = content["scored"]
        return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry["scores"], dict)]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return []


def _same(entry: Mapping[str, Any]) -> str:
    """What two entries of one protocol and step have in common where they are of the same."""
    draws = [draw.get("latents") for draw in entry.get("draws", ())]
    return json.dumps([entry.get("checkpoint"), entry.get("weights"), entry.get("extractor"), draws])
