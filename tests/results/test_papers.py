"""The papers' numbers: every one as in the copied facts, and every row one that can be built."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml

from snlab.core.errors import UserError
from snlab.core.registry import Registry, parse
from snlab.data import DATASETS
from snlab.losses import LOSSES
from snlab.metrics.protocols import PROTOCOLS
from snlab.networks import NETWORKS
from snlab.normalizers import NORMALIZERS
from snlab.results.papers import (
    PaperRow,
    PaperTable,
    Score,
    paper,
    paper_table,
    papers,
    read_paper,
    table_names,
)
from snlab.results.spelling import DEFAULTS

FACTS = Path(__file__).parent / "facts"


def facts(name: str) -> dict[str, Any]:
    return yaml.safe_load((FACTS / f"{name}.yaml").read_text(encoding="utf-8"))


def as_score(value: Any) -> Score | None:
    """A fact: [mean, std or null], a mean alone, or null."""
    if value is None:
        return None
    return Score(*value) if isinstance(value, list) else Score(value)


def numbers(row: PaperRow, dataset: str) -> dict[str, Score]:
    return dict(row.scores.get(dataset, {}))


def present(**scores: Any) -> dict[str, Score]:
    found = {name: as_score(value) for name, value in scores.items()}
    return {name: score for name, score in found.items() if score is not None}


def test_settings_are_those_of_table_1():
    known = facts("miyato2018")
    wanted = known["table_1_settings"] | {"resnet": known["resnet_rows"]}
    found = {name: setting._asdict() for name, setting in paper_table("miyato2018/table2").settings.items()}
    assert found == wanted


def test_every_number_of_table_2():
    table, known = paper_table("miyato2018/table2"), facts("miyato2018")["table_2"]
    assert len(table.rows) == len(known) == 19
    for row, fact in zip(table.rows, known, strict=True):
        extra = [f"{fact[key]} {key}" for key in ("loss", "updates") if key in fact]
        assert row.method == ", ".join([fact["method"], *extra])
        for key in ("cifar10", "stl10"):
            wanted = present(inception_score=fact[f"is_{key}"], fid=fact[f"fid_{key}"])
            assert numbers(row, key) == wanted, row.method


@pytest.mark.parametrize("number", [7, 8])
def test_every_number_of_tables_7_and_8(number: int):
    table, known = paper_table(f"miyato2018/table{number}"), facts("miyato2018")[f"table_{number}"]
    assert len(table.rows) == len(known)
    for row, fact in zip(table.rows, known, strict=True):
        assert numbers(row, "cifar10") == present(inception_score=fact["is"], fid=fact["fid"]), row.method
        if fact["architecture"] == "quoted":
            assert row.wanted is None
            continue
        assert row.wanted is not None
        network, normalizer = row.wanted.networks[""], row.wanted.normalizer
        assert ("standard_cnn" in network) == (fact["architecture"] == "standard cnn")
        assert parse(network)[0].options.get("width_d") == fact.get("width_d")
        assert (
            fact["reparametrisation"] == "none" or fact["reparametrisation"].replace(" ", "_") in normalizer
        )
        assert ("auxiliary_classifier" in network) == (number == 8)


def test_every_number_of_mimicry():
    known = facts("mimicry2020")
    alone = known.pop("reproduction_of_miyato2018_resnet_cifar10")
    found = paper("mimicry2020").tables
    assert [*found] == [*known, "reproduction_of_miyato2018"]
    for name, methods in known.items():
        rows = {row.method: numbers(row, name) for row in found[name].rows}
        wanted = {
            method: present(inception_score=s["is"], fid=s["fid"], kid=s["kid"])
            for method, s in methods.items()
        }
        assert rows == wanted, name
    table = found["reproduction_of_miyato2018"]
    assert numbers(table.rows[0], "cifar10") == present(fid=alone["fid"])
    protocol = PROTOCOLS[table.protocol]
    assert (protocol.n_real, protocol.n_fake) == (alone["n_real"], alone["n_fake"])


def test_a_score_says_its_source():
    table = paper_table("miyato2018/table2")
    assert table.source_of(table.rows[14]) == (
        "Miyato et al. 2018, Table 2, row 'ResNet, spectral norm, hinge loss'"
    )


ROWS = [
    pytest.param(table, row, id=f"{name}-{row.method}")
    for name in table_names()
    for table in [paper_table(name)]
    for row in table.rows
    if row.wanted
]


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_a_row_can_be_built(table: PaperTable, row: PaperRow):
    assert row.wanted is not None
    NORMALIZERS.build_all(row.wanted.normalizer)
    LOSSES.build(row.wanted.loss)
    for network in row.wanted.networks.values():
        NETWORKS.build(network)
    for dataset in table.datasets.values():
        DATASETS.canonical(dataset)
    assert set(table.metrics) <= set(PROTOCOLS[table.protocol].metrics)
    assert row.wanted.settings


def test_the_defaults_are_those_of_what_is_registered():
    registries: list[Registry[Any]] = [NORMALIZERS, NETWORKS, DATASETS]
    for name, defaults in DEFAULTS.items():
        (registry,) = [registry for registry in registries if name in registry.names()]
        (pair,) = registry.factories(name)
        parameters = inspect.signature(pair[1]).parameters.values()
        assert defaults == {p.name: p.default for p in parameters}, name
    named = {
        term.name
        for table in map(paper_table, table_names())
        for row in table.rows
        if row.wanted
        for text in (row.wanted.normalizer, *row.wanted.networks.values(), *table.datasets.values())
        for term in parse(text)
    }
    assert named <= {*DEFAULTS, "cifar10", "cifar100"}


# ---- what is wrong in a file -----------------------------------------------------------------------------


def edited(tmp_path: Path, change: Any) -> Path:
    loaded = copy.deepcopy(yaml.safe_load(papers()["miyato2018"].read_text(encoding="utf-8")))
    change(loaded)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(loaded, allow_unicode=True), encoding="utf-8")
    return path


def row_of(loaded: Any, index: int) -> Any:
    return loaded["tables"]["table2"]["rows"][index]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("arxiv"), "the file has no 'arxiv'"),
        (lambda d: d["tables"]["table2"].update(protocl="x"),
         "tables.table2 has an unknown 'protocl'; did you mean 'protocol'?"),
        (lambda d: row_of(d, 1)["scores"]["cifar10"].update(fid=[1, 2, 3]),
         r"rows\[1\].scores.cifar10.fid is \[1, 2, 3\]; \[mean, standard deviation or null\] is wanted"),
        (lambda d: row_of(d, 1)["scores"]["cifar10"].update(fid=["12", None]), "is '12'; a number is wanted"),
        (lambda d: row_of(d, 1)["scores"]["cifar10"].update(fid=[float("nan"), None]), "a number is wanted"),
        (lambda d: row_of(d, 1)["scores"].update(cifar=1), "unknown 'cifar'; did you mean 'cifar10'?"),
        (lambda d: row_of(d, 1)["scores"]["cifar10"].update(fidd=[1, 2]), "did you mean 'fid'?"),
        (lambda d: row_of(d, 1)["run"].update(settings=["A", "G"]), r"rows\[1\].run.settings has 'G'; known"),
        (lambda d: row_of(d, 1)["run"].update(normalizer="a(b"), r"rows\[1\].run.normalizer: .* does not"),
        (lambda d: row_of(d, 1)["run"].update(updates=0), "updates is 0; a whole number of at least 1"),
        (lambda d: d["settings"]["A"].update(n_dis=True), "settings.A.n_dis is True; a whole number"),
        (lambda d: d["tables"]["table2"].update(rows={}), "rows is {}; a list is wanted"),
        (lambda d: d.update(tables=[1]), "tables is .1.; a mapping of names is wanted"),
        (lambda d: d.update(title=3), "title is 3; text is wanted"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_where_is_one_line(change: Any, said: str, tmp_path: Path):
    path = edited(tmp_path, change)
    with pytest.raises(UserError, match=said) as error:
        read_paper(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[1", "", "- a", "\xff"])
def test_a_file_that_is_no_paper(text: str, tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"mine\.yaml: "):
        read_paper(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("miyato208/table2", "did you mean 'miyato2018'?"),
        ("miyato2018/table3", "unknown table 'miyato2018/table3'; miyato2018 has table2, table7, table8"),
        ("miyato2018", "unknown table 'miyato2018'; miyato2018 has table2, table7, table8"),
    ],
)
def test_an_unknown_paper_or_table(name: str, said: str):
    with pytest.raises(UserError) as error:
        paper_table(name)
    assert said in str(error.value)
