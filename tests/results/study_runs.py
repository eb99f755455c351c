"""Run folders of our studies, written by hand: each value tells its normalizer, its place and its seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NORMALIZERS = ("none", "spectral_norm")


def spelled(study: str, x: float) -> tuple[str, str]:
    """The data set and the network at one place of a study."""
    size = f"{1 / x:g}"
    return {
        "dimension": (f"gaussian(dim={x:g})", "fixed(shift=1)"),
        "disjoint": (f"line(dim=8, epsilon={x:g})", f"fixed(distribution=line(epsilon={x:g}), shift=0.3)"),
        "modes": (f"mixture(kind={'ring' if x < 10 else 'grid'}, modes={x:g}, std=0.07)", "spline_flow"),
        "samples": (f"gaussian(dim=32, size={x:g}, heldout=5000)", "fixed(shift=1)"),
        "cost": (f"gaussian(std={size})", f"fixed(distribution=gaussian(std={size}), shift={size})"),
    }[study]


def write(
    lab: Any, study: str, normalizer: str, x: float, seed: int = 0, values: Any = (), **options: Any
) -> Path:
    """One run that ends in these values by logged name; half of each before, where a mapping has no steps."""
    dataset, network = spelled(study, x)

    def metrics(n: str, s: int, step: int, progress: float) -> dict[str, Any]:
        found = dict(values(step) if callable(values) else values)
        return found if callable(values) or progress == 1 else {k: v / 2 for k, v in found.items()}

    name = f"{study}-{normalizer}-{x:g}-{seed}-{len([*lab.root.glob('*')])}"
    given = {"dataset": dataset, "network": network, "name": name, "metrics": metrics} | options
    folder: Path = lab.write(normalizer, seed, **given)
    return folder


def last(folder: Path, name: str) -> float:
    """What the folder's last line has of that name."""
    return float(json.loads((folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])[name])
