"""W&B custom charts of this package: Vega-Lite files, in the colours of a project's normalizers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snlab.results.looks import palette

FOLDER = Path(__file__).parent / "charts"
TITLES = {
    "spectra": "snlab: spectra of each layer",
    "settings": "snlab: scores at the settings A to F",
    "outcomes": "snlab: how runs ended",
}
NORMALIZER = "${field:normalizer}"  # W&B puts a panel's column in its place


@dataclass(frozen=True)
class Custom:
    """A chart as W&B keeps it, for all projects of a user or a team.

    W&B never changes one that it has, so the name has the content's hash: another content is another chart.
    """

    name: str
    title: str
    spec: dict[str, Any]


def customs(normalizers: Iterable[str]) -> dict[str, Custom]:
    """The charts by their short names, in the colours of these normalizers."""
    looks = palette(normalizers)
    colours = {spec: look.colour for spec, look in looks.items()}
    return {name: _custom(name, title, colours) for name, title in TITLES.items()}


def _custom(name: str, title: str, colours: Mapping[str, str]) -> Custom:
    spec = read(name)
    for encoding in encodings(spec):
        if encoding.get("color", {}).get("field") == NORMALIZER:
            encoding["color"]["scale"] = {"domain": [*colours], "range": [*colours.values()]}
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:10]
    return Custom(f"snlab-{name}-{digest}", title, spec)


def read(name: str) -> dict[str, Any]:
    """One of the files as it is."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def encodings(spec: Any) -> Iterator[dict[str, Any]]:
    """Every encoding of a chart, those of its layers and of what it repeats included."""
    if isinstance(spec, dict):
        if isinstance(spec.get("encoding"), dict):
            yield spec["encoding"]
        for key in ("spec", "layer"):
            yield from encodings(spec.get(key))
    elif isinstance(spec, list):
        for part in spec:
            yield from encodings(part)
