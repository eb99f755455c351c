"""Runs at the settings of the papers' tables, and what a table says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from snlab.results.reading import collect
from snlab.results.tables import Cell, Table, make
from snlab.tracking.run_folder import FINISHED
from snlab.tracking.scores import write_score

SETTINGS = {
    "A": (5, 1e-4, 0.5, 0.9), "B": (1, 1e-4, 0.5, 0.999), "C": (1, 2e-4, 0.5, 0.999),
    "D": (5, 1e-3, 0.5, 0.9), "E": (5, 1e-3, 0.5, 0.999), "F": (5, 1e-3, 0.9, 0.999),
    "resnet": (5, 2e-4, 0.0, 0.9),
}  # fmt: skip
EMBEDDED = "embedded-digits"  # the name under which the Lab's runs have a digest
TWIN = "fashion_mnist(size=16)"


def write(
    lab: Any, method: str, setting: str, fid: float | None, *, inception: float = 5.0, seed: int = 0,
    dataset: str = TWIN, extractor: str = EMBEDDED, outcome: str = FINISHED, until: int = 200,
    name: str = "", **model: Any,
) -> Path:  # fmt: skip
    """One run at a setting of Table 1: its scores improve until the last update, when they are as given."""
    n_dis, lr, beta1, beta2 = SETTINGS[setting]

    def metrics(normalizer: str, seed: int, step: int, progress: float) -> dict[str, Any]:
        if fid is None:
            return {"loss/discriminator": 1.0}
        early = 0.0 if step == until else 3.0
        return {
            f"fid/{extractor}": fid + early, f"inception_score/{extractor}": inception - early / 10,
            f"kid/{extractor}": fid / 1000,
        }  # fmt: skip

    count = len(list(lab.root.iterdir())) if lab.root.exists() else 0
    return lab.write(
        method, seed, dataset, outcome, until, metrics=metrics, name=f"run{count:03d}{name}",
        **({"n_dis": n_dis, "adam": {"lr": lr, "beta1": beta1, "beta2": beta2}} | model),
    )  # fmt: skip


def edit(folder: Path, **values: Any) -> None:
    """Change a run's configuration, each option by its dotted name."""
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    for key, value in values.items():
        *heads, last = key.split("__")
        place = config
        for head in heads:
            place = place.setdefault(head, {})
        place[last] = value
    path.write_text(yaml.safe_dump(config))


def as_paper(folder: Path, protocol: str = "miyato2018") -> Path:
    """Make a run one with Inception's features."""
    edit(folder, measure__fidelity="inception", measure__protocol=protocol)
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    path.write_text(json.dumps(summary | {"extractors": {"inception-v3-compat": "f" * 64}}))
    return folder


def digest_of(folder: Path, name: str) -> str:
    return str(json.loads((folder / "summary.json").read_text())["extractors"][name])


def keep(folder: Path, fid: float, kept_as: str = "best", **changed: Any) -> None:
    """Add a score to a run, as ``snlab evaluate`` does."""
    name, protocol = changed.pop("extractor", EMBEDDED), changed.pop("protocol", "embedded")
    scores = {f"fid/{name}/{protocol}": fid, f"inception_score/{name}/{protocol}": 10 * fid}
    told = {"name": name, "sha256": changed.pop("sha256", None) or digest_of(folder, name)}
    entry = {
        "protocol": protocol, "generator_step": 200, "weights": "raw", "extractor": told,
        "checkpoint": {"file": f"checkpoints/{kept_as}.ckpt", "sha256": "0", "kept_as": kept_as},
        "scores": scores, "draws": [{"latents": "other-1", "scores": scores}],
    }  # fmt: skip
    write_score(folder, entry | changed)


def tables(lab: Any, name: str = "miyato2018/table2", dataset: str | None = None) -> list[Table]:
    return make(name, collect(lab.root).runs, dataset=dataset)


def cell(table: Table, row: str, key: str) -> Cell:
    column = [column.key for column in table.columns].index(key)
    (found,) = [cells[column] for cells in table.rows if cells[0].text == row]
    return found


def last(folder: Path, name: str) -> float:
    """The score in the last line of a run's metrics.jsonl, read without any of the package's code."""
    return float(json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])[name])
