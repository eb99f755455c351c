"""The papers' tables with ours beside: against numbers computed by hand from the runs' metrics.jsonl."""

from __future__ import annotations

import csv
import io
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml

from snlab.core.errors import UserError
from snlab.core.resources import sweeps
from snlab.results.matching import places, plain, split_width
from snlab.results.papers import paper_table
from snlab.results.reading import collect
from snlab.results.tables import Cell, Table, make, render
from snlab.tracking.run_folder import DIVERGED, FAILED, FINISHED, UNFINISHED, Run

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


def tables(lab: Any, name: str = "miyato2018/table2", dataset: str | None = None) -> list[Table]:
    return make(name, collect(lab.root).runs, dataset=dataset)


def cell(table: Table, row: str, key: str) -> Cell:
    column = [column.key for column in table.columns].index(key)
    (found,) = [cells[column] for cells in table.rows if cells[0].text == row]
    return found


def last(folder: Path, name: str) -> float:
    """The score in the last line of a run's metrics.jsonl, read without any of the package's code."""
    return float(json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])[name])


# ---- numbers ---------------------------------------------------------------------------------------------


def test_the_best_setting_by_each_score_with_mean_and_deviation_by_hand(lab: Any) -> None:
    folders: dict[str, list[Path]] = {}
    for setting, fid, inception in (("A", 30.0, 4.0), ("C", 28.0, 5.0), ("E", 33.0, 6.0)):
        for seed, more in enumerate((0.0, 0.7, 2.0)):
            folder = write(lab, "spectral_norm", setting, fid + more, inception=inception + more, seed=seed)
            folders.setdefault(setting, []).append(folder)
    (table,) = tables(lab)
    for key, best, metric in (("fid", "C", "fid"), ("inception_score", "E", "inception_score")):
        values = [last(folder, f"{metric}/{EMBEDDED}") for folder in folders[best]]
        found = cell(table, "spectral norm", key)
        assert found.numbers is not None
        assert found.numbers.mean == pytest.approx(statistics.mean(values), rel=1e-12)
        assert found.numbers.std == pytest.approx(statistics.stdev(values), rel=1e-12)
        assert found.numbers.n == 3
        assert cell(table, "spectral norm", f"{key}_setting").text == best
    assert cell(table, "spectral norm", "fid").full == "28.9 ± 1.0 (n=3)"
    assert cell(table, "spectral norm", "settings").text == "A, C, E"
    assert (
        "of fewer settings than the paper's best: standard CNN, spectral norm at A, C, E alone" in table.notes
    )


def test_all_settings_run_is_said_in_short(lab: Any) -> None:
    for setting in "ABCDEF":
        write(lab, "spectral_norm", setting, 30.0)
    (table,) = tables(lab)
    assert cell(table, "spectral norm", "settings").text == "all 6"
    assert not any("of fewer settings" in note for note in table.notes)


def test_a_cell_never_run_says_so_and_is_never_0(lab: Any) -> None:
    write(lab, "spectral_norm", "A", 30.0)
    (table,) = tables(lab)
    for key in ("fid", "inception_score", "settings", "outcomes"):
        assert cell(table, "weight norm", key).text == "not run"
    for key in ("fid", "settings"):
        assert cell(table, "real data", key).text == "–"  # nothing is to be run there
    row = next(r for r in csv.DictReader(io.StringIO(render(table, "csv"))) if r["method"] == "weight norm")
    assert (row["fid"], row["fid_std"], row["fid_n"], row["outcomes"]) == ("", "", "0", "not run")
    assert float(row["fid_paper"]) == 34.7


def test_paper_and_difference_stand_beside_runs_of_the_papers_own_kind(lab: Any) -> None:
    for seed, fid in enumerate((29.0, 30.0)):
        as_paper(
            write(
                lab,
                "spectral_norm",
                "B",
                fid,
                inception=7.5,
                seed=seed,
                dataset="cifar10",
                until=100_000,
                extractor="inception-v3-compat",
                network="standard_cnn",
            )
        )
    (table,) = tables(lab)
    assert cell(table, "spectral norm", "fid_paper").full == "29.3"
    assert cell(table, "spectral norm", "inception_score_paper").full == "7.42 ± 0.08"
    assert cell(table, "weight clipping", "fid_paper").full == "42.6"
    difference = cell(table, "spectral norm", "fid_difference")
    assert difference.numbers is not None
    assert difference.numbers.mean == pytest.approx(29.5 - 29.3)
    assert difference.text == "+0.2"
    assert cell(table, "weight norm", "fid_difference").text == "–"
    assert "orientation" not in " ".join(table.notes)
    assert [c.title for c in table.columns if c.key == "fid"] == ["FID (inception-v3-compat)"]


def test_beside_a_twin_the_papers_scores_are_named_and_no_difference_is_taken(lab: Any) -> None:
    write(lab, "spectral_norm", "B", 29.0)
    (table,) = tables(lab)
    titles = {column.key: column.title for column in table.columns}
    assert titles["fid_paper"] == "FID, paper, cifar10"
    assert titles["fid"] == f"FID ({EMBEDDED})"
    assert "fid_difference" not in titles
    assert any("of cifar10, width 1, 100000 generator updates" in note for note in table.notes)


def test_stl10_has_its_own_scores_network_and_rows(lab: Any) -> None:
    folder = write(
        lab, "spectral_norm", "resnet", 40.0, dataset="stl10(size=48)", until=100_000, loss="hinge",
        extractor="inception-v3-compat", network="resnet(architecture=stl10)",
    )  # fmt: skip
    as_paper(folder)
    (table,) = tables(lab)
    assert cell(table, "spectral norm, hinge loss, 2x updates", "fid_paper").full == "43.2"
    resnet = [row for row, section in zip(table.rows, table.sections, strict=True) if section == "ResNet"]
    keys = [column.key for column in table.columns]
    found = {row[0].text: row[keys.index("fid")].full for row in resnet}
    assert found == {"orthonormal, hinge loss": "not run", "spectral norm, hinge loss": "40.0 (n=1)"}


def test_twice_the_updates_are_of_the_table_of_once(lab: Any) -> None:
    write(lab, "spectral_norm", "B", 50.0, until=200)
    write(lab, "spectral_norm", "B", 45.0, until=400)
    long, short = tables(lab)
    assert "400 generator updates" in long.title
    assert cell(short, "spectral norm", "fid").text == "50.0"
    assert cell(short, "spectral norm, 2x updates", "fid").text == "45.0"
    assert cell(long, "spectral norm", "fid").text == "45.0"
    assert "spectral norm, 2x updates" not in [row[0].text for row in long.rows]  # no score, and no run


# ---- diverged and unfinished -----------------------------------------------------------------------------


def test_a_setting_with_a_diverged_run_is_behind_and_named(lab: Any) -> None:
    for seed, outcome in enumerate((FINISHED, DIVERGED)):
        write(lab, "weight_norm", "D", 10.0, seed=seed, outcome=outcome, until=200)
    write(lab, "weight_norm", "F", None, outcome=DIVERGED)
    write(lab, "weight_norm", "A", 40.0)
    (table,) = tables(lab)
    assert cell(table, "weight norm", "fid").full == "40.0 (n=1)"
    assert cell(table, "weight norm", "fid_setting").text == "A"
    assert cell(table, "weight norm", "diverged").text == "D 1/2, F"
    assert any("counts as the worst score" in note for note in table.notes)


def test_where_every_setting_diverged_in_part_the_best_says_so(lab: Any) -> None:
    for seed, outcome in enumerate((FINISHED, DIVERGED)):
        write(lab, "weight_norm", "D", 10.0, seed=seed, outcome=outcome)
    write(lab, "layer_norm", "F", None, outcome=DIVERGED)
    (table,) = tables(lab)
    assert cell(table, "weight norm", "fid").full == "10.0 (n=1, 1/2 diverged)"
    assert cell(table, "layer norm", "fid").full == "diverged"


def test_what_did_not_finish_is_a_word_and_counted(lab: Any) -> None:
    write(lab, "weight_norm", "A", 12.0, outcome=UNFINISHED)
    write(lab, "layer_norm", "A", 12.0, outcome=FAILED)
    write(lab, "batch_norm", "A", None)
    write(lab, "spectral_norm", "A", 12.0)
    (table,) = tables(lab)
    found = {name: cell(table, name, "fid").full for name in ("weight norm", "layer norm", "batch norm")}
    assert found == {"weight norm": "unfinished", "layer norm": "failed", "batch norm": "not scored"}
    assert "2 left out of the scores: failed, unfinished" in [
        note.replace("unfinished, failed", "failed, unfinished") for note in table.notes
    ]


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


# ---- the other tables ------------------------------------------------------------------------------------


def test_table_7_tells_reparametrised_from_plain(lab: Any) -> None:
    both = {"loss": "wasserstein"}
    write(lab, "gradient_penalty", "A", 20.0, **both)
    write(lab, "spectral_norm(gain=true)+gradient_penalty", "A", 15.0, **both)
    write(lab, "spectral_norm+gradient_penalty", "A", 1.0, **both)  # without γ
    write(lab, "weight_norm(gain=true)+gradient_penalty", "A", 1.0, **both)  # a factor a row
    write(
        lab, "gradient_penalty+spectral_norm(gain=true)", "resnet", 12.0, **both,
        network="resnet(architecture=wgan_gp, width=0.25, width_d=1.5)",
    )  # fmt: skip
    (table,) = tables(lab, "miyato2018/table7")
    found = {
        (section, row[0].text): row[[c.key for c in table.columns].index("fid")].full
        for section, row in zip(table.sections, table.rows, strict=True)
    }
    assert {key: text for key, text in found.items() if text not in ("not run", "–")} == {
        ("standard CNN", "WGAN-GP"): "20.0 (n=1)",
        ("standard CNN", "WGAN-GP with spectral norm"): "15.0 (n=1)",
        ("ResNet", "WGAN-GP with spectral norm, discriminator 1.5 times as wide"): "12.0 (n=1)",
    }
    assert cell(table, "WGAN-GP with frobenius norm", "fid_paper").full == "– (collapsed early)"


def test_table_8_wants_labels(lab: Any) -> None:
    for network, fid in (
        ("resnet(architecture=wgan_gp, conditional=auxiliary_classifier)", 18.0),
        ("resnet(architecture=wgan_gp)", 1.0),
    ):
        write(lab, "gradient_penalty", "resnet", fid, loss="wasserstein", network=network)
    (table,) = tables(lab, "miyato2018/table8")
    assert cell(table, "AC-WGAN-GP", "fid").full == "18.0 (n=1)"


def test_mimicry_has_kid(lab: Any) -> None:
    folder = write(
        lab, "spectral_norm", "resnet", 17.0, inception=8.0, dataset="cifar10", until=100_000, loss="hinge",
        network="resnet", extractor="inception-v3-compat", decay_from=0,
    )  # fmt: skip
    as_paper(folder, "50k")
    (table,) = tables(lab, "mimicry2020/cifar10")
    assert cell(table, "SNGAN", "kid").full == "0.0170 (n=1)"
    assert cell(table, "SNGAN", "kid_paper").full == "0.0125 ± 0.0001"
    assert cell(table, "SNGAN", "kid_difference").text == "+0.0045"
    assert [row[0].text for row in table.rows] == ["WGAN-GP", "SNGAN", "cGAN-PD"]


def test_without_any_run_that_fits_all_rows_are_not_run(lab: Any) -> None:
    write(lab, "none", "A", 30.0)
    (table,) = tables(lab)
    assert "cifar10" in table.title
    assert {cell(table, name, "fid").text for name in ("weight norm", "spectral norm")} == {"not run"}


def test_a_data_set_is_chosen_by_name(lab: Any) -> None:
    write(lab, "spectral_norm", "A", 30.0)
    write(lab, "spectral_norm", "A", 40.0, dataset="photos")
    for wanted, fid in (("fashion_mnist", "30.0"), (TWIN, "30.0"), ("photos(size=32)", "40.0")):
        (table,) = tables(lab, dataset=wanted)
        assert cell(table, "spectral norm", "fid").text == fid
    (table,) = tables(lab, dataset="stl10")  # one of the paper's: nothing was run
    assert cell(table, "spectral norm", "fid").text == "not run"
    assert cell(table, "spectral norm", "fid_paper").text == "53.1"
    with pytest.raises(UserError, match="did you mean 'photos'"):
        tables(lab, dataset="photo")
    with pytest.raises(UserError, match="no run is of the data set 'fashion_mnist"):
        tables(lab, dataset="fashion_mnist(size=32)")


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


def test_names_are_compared_without_their_defaults() -> None:
    assert plain("resnet(width_d=1, latent_dim=128)") == "resnet"
    assert plain("b+a") == "a+b"
    assert plain("not a name(") == "not a name("
    assert split_width("standard_cnn(width=true)")[1] != split_width("standard_cnn(width=true)")[1]  # NaN
