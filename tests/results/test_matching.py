"""Which runs stand in a row of a paper's table, and which never do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from snlab.core.resources import sweeps
from snlab.results.matching import places
from snlab.results.papers import paper_table
from snlab.results.spelling import plain, split_width
from snlab.tracking.run_folder import Run
from tests.results.table_runs import EMBEDDED, as_paper, cell, edit, tables, write

# ---- who stands in no row, or in another part ------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"until": 500},
        {"dataset": "photos"},
        {"dataset": "fashion_mnist"},
        {"network": "standard_cnn(width=0.5)"},
        {"extractor": "embedded-other"},
    ],
    ids=str,
)
def test_another_length_data_set_width_or_extractor_is_another_part(other: Any, lab: Any) -> None:
    write(lab, "spectral_norm", "A", 30.0, seed=0)
    write(lab, "spectral_norm", "A", 32.0, seed=1)
    write(lab, "spectral_norm", "A", 1.0, seed=2, **other)
    found = tables(lab)
    assert len(found) == 2
    assert {cell(table, "spectral norm", "fid").full for table in found} == {
        "31.0 ± 1.4 (n=2)", "1.00 (n=1)",
    }  # fmt: skip
    assert len({table.title for table in found}) == 2


def test_another_protocol_is_another_part(lab: Any) -> None:
    for seed, protocol in enumerate(("miyato2018", "50k")):
        folder = write(
            lab, "spectral_norm", "A", 30.0 + seed, seed=seed, dataset="cifar10",
            extractor="inception-v3-compat", network="standard_cnn", until=100_000,
        )  # fmt: skip
        as_paper(folder, protocol)
    other, own = sorted(tables(lab), key=lambda table: table.title)
    assert "protocol 50k" in other.title
    assert [cell(t, "spectral norm", "fid").full for t in (own, other)] == ["30.0 (n=1)", "31.0 (n=1)"]
    assert not any(column.key == "fid_difference" for column in other.columns)


def test_other_weights_of_an_extractor_are_another_part(lab: Any) -> None:
    for seed, digest in enumerate(("a" * 64, "b" * 64)):
        folder = write(lab, "spectral_norm", "A", 30.0 + seed, seed=seed)
        path = folder / "summary.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"extractors": {EMBEDDED: digest}}))
    found = tables(lab)
    assert [cell(table, "spectral norm", "fid").full for table in found] == ["30.0 (n=1)", "31.0 (n=1)"]
    assert [f"{EMBEDDED} @{d * 7}" in table.title for table, d in zip(found, "ab", strict=True)] == [True] * 2


@pytest.mark.parametrize(
    "other",
    [
        {"method": "none"},
        {"method": "spectral_norm(iterations=2)"},
        {"method": "gradient_penalty(weight=1)"},
        {"method": {"class_path": "mine.spectral_norm"}},
        {"network": "mlp"},
        {"network": "standard_cnn(width=0.25, last_width=2)"},
        {"network": "resnet(width=0.25)"},  # at a setting of the CNN's
        {"loss": "least_squares"},
        {"adam": {"lr": 3e-4, "beta1": 0.5, "beta2": 0.9}},
        {"n_dis": 2},
        {"batch_size": 32},
        {"ema_decay": 0.999},
        {"decay_from": 0},
    ],
    ids=str,
)
def test_runs_of_no_row_are_counted_below(other: Any, lab: Any) -> None:
    write(lab, "spectral_norm", "A", 30.0)
    write(lab, other.pop("method", "spectral_norm"), "A", 1.0, seed=1, name="other", **other)
    (table,) = tables(lab)
    assert cell(table, "spectral norm", "fid").full == "30.0 (n=1)"
    assert not any(c.numbers and c.numbers.mean == 1.0 for row in table.rows for c in row)
    assert any(note.startswith("1 run of this data set is of no row's") for note in table.notes)


@pytest.mark.parametrize(
    ("method", "network"),
    [
        ("spectral_norm(iterations=1)", "standard_cnn(width=0.25)"),
        ("spectral_norm", "standard_cnn(latent_dim=128, width=0.25)"),
    ],
)
def test_a_default_written_out_is_no_other(method: str, network: str, lab: Any) -> None:
    write(lab, method, "A", 30.0, network=network)
    (table,) = tables(lab)
    assert cell(table, "spectral norm", "fid").full == "30.0 (n=1)"


def test_ways_of_one_setting_are_not_pooled_and_named(lab: Any) -> None:
    write(lab, "spectral_norm", "A", 30.0)
    edit(write(lab, "spectral_norm", "A", 31.0, seed=1, name="noisy"), data__noise=True)
    (table,) = tables(lab)
    assert cell(table, "spectral norm", "fid").full == "30.0 (n=1)"
    assert any("run in 2 ways (data.noise=" in note for note in table.notes)


def test_a_seed_counts_once(lab: Any) -> None:
    write(lab, "spectral_norm", "A", 30.0, name="one")
    write(lab, "spectral_norm", "A", 30.0, name="two")
    (table,) = tables(lab)
    assert cell(table, "spectral norm", "fid").full == "30.0 (n=1)"
    assert any(note.startswith("1 left out: the same trial") for note in table.notes)


# ---- the sweeps that make them ---------------------------------------------------------------------------


def trials(name: str) -> list[dict[str, Any]]:
    """What a sweep's file says of each of its runs, as a run's configuration: read here, by itself."""
    document = yaml.safe_load(sweeps()[name].read_text(encoding="utf-8"))
    base = next(word.partition("=")[2] for word in document["command"] if word.startswith("--config="))
    path = sweeps()[name].parent.parent / "experiments" / f"{base}.yaml"
    start = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = [merged(start, *given(document["command"]))]
    for key, parameter in document["parameters"].items():
        values = parameter.get("values", [parameter.get("value")])
        found = [merged(config, nested(key, value)) for config in found for value in values]
    return found


def given(command: list[str]) -> list[dict[str, Any]]:
    pairs = [word.removeprefix("--").partition("=") for word in command if "=" in word]
    return [nested(key, yaml.safe_load(value)) for key, _, value in pairs if key != "config"]


def nested(key: str, value: Any) -> dict[str, Any]:
    if key == "config":
        return value
    for word in reversed(key.split(".")):
        value = {word: value}
    return value


def merged(config: dict[str, Any], *changes: dict[str, Any]) -> dict[str, Any]:
    for change in changes:
        config = config | {
            key: merged(config[key], value) if isinstance(value, dict) and key in config else value
            for key, value in change.items()
        }
    return config


SWEEPS = [
    ("table2_cifar10", "table2", {"standard CNN"}), ("table2_stl10", "table2", None),
    ("table2_fashion_mnist", "table2", {"standard CNN"}), ("settings_photos", "table2", {"standard CNN"}),
    ("table2_resnet_cifar10", "table2", {"ResNet"}), ("table2_resnet_stl10", "table2", {"ResNet"}),
    ("table2_resnet_fashion_mnist", "table2", {"ResNet"}), ("table2_resnet_photos", "table2", {"ResNet"}),
    ("table2_2x_updates_stl10", "table2", None),
    ("table7", "table7", {"standard CNN", "ResNet"}), ("table7_photos", "table7", {"standard CNN", "ResNet"}),
    ("table7_fashion_mnist", "table7", {"standard CNN", "ResNet"}),
    ("table8", "table8", {"ResNet"}), ("table8_photos", "table8", {"ResNet"}),
    ("table8_fashion_mnist", "table8", {"ResNet"}),
]  # fmt: skip
MIMICRY = ["cifar10", "cifar100", "stl10_48", "imagenet_32", "imagenet_128"]


@pytest.mark.parametrize(("sweep", "name", "sections"), SWEEPS, ids=[sweep for sweep, *_ in SWEEPS])
def test_every_run_of_a_tables_sweep_stands_in_a_row(
    sweep: str, name: str, sections: set[str] | None
) -> None:
    table = paper_table(f"miyato2018/{name}")
    reached: set[int] = set()
    for config in trials(sweep):
        found = list(places(table, Run(Path(sweep), config, {})))
        assert found, config
        once = [place for place in found if table.rows[place.row].wanted.updates == 1]  # type: ignore[union-attr]
        assert len(once) == 1, config
        reached |= {place.row for place in found}
    if sections is not None:
        rows = {i for i, row in enumerate(table.rows) if row.section in sections}
        double = {i for i in rows if table.rows[i].wanted.updates == 2}  # type: ignore[union-attr]
        assert rows - double <= reached


@pytest.mark.parametrize("name", MIMICRY)
def test_a_sweep_of_mimicrys_has_every_row_of_its_table(name: str) -> None:
    table = paper_table(f"mimicry2020/{name}")
    found = [[*places(table, Run(Path(name), config, {}))] for config in trials(f"mimicry2020_{name}")]
    assert all(len(row) == 1 for row in found)
    assert {place.row for (place,) in found} == {i for i, row in enumerate(table.rows) if row.wanted}
    assert all(config["measure"]["protocol"] == table.protocol for config in trials(f"mimicry2020_{name}"))
    assert {plain(config["data"]["dataset"]) for config in trials(f"mimicry2020_{name}")} == {
        plain(spec) for spec in table.datasets.values()
    }


def test_the_twin_of_mimicrys_stands_in_its_table() -> None:
    table = paper_table("mimicry2020/cifar10")
    found = [[*places(table, Run(Path("x"), c, {}))] for c in trials("mimicry2020_fashion_mnist")]
    assert sorted({place.row for (place,) in found}) == [0, 1, 2]


def test_names_are_compared_without_their_defaults() -> None:
    assert plain("resnet(width_d=1, latent_dim=128)") == "resnet"
    assert plain("b+a") == "a+b"
    assert plain("not a name(") == "not a name("
    assert plain("spectral_norm(scale=true)") == "spectral_norm(scale=true)"
    assert plain("spectral_norm(scale=1, iterations=1)") == "spectral_norm"
    assert split_width("standard_cnn(width=true)")[1] != split_width("standard_cnn(width=true)")[1]  # NaN
