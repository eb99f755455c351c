"""The papers' tables as data: the one reader of ``experiments/papers/*.yaml``, which checks what it reads.

A score's source is its table and its row; a row says which runs are the same experiment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from snlab.core import names
from snlab.core.errors import UserError, nearest
from snlab.core.registry import parse
from snlab.core.resources import papers as files
from snlab.results.schema import WrongError, count, each, mapping, named, number, text
from snlab.results.studies import STUDIES


class Metric(NamedTuple):
    """A score that papers print: ``better`` is 1 where more is better; decimals of its mean and its std."""

    header: str
    better: Literal[-1, 1]
    decimals: tuple[int, int]


METRICS = {
    names.INCEPTION_SCORE: Metric("inception score", 1, (2, 2)),
    names.FID: Metric("FID", -1, (1, 2)),
    names.KID: Metric("KID", -1, (4, 4)),
}


@dataclass(frozen=True)
class Score:
    """A score as a paper prints it; ``std`` None where it prints none."""

    mean: float
    std: float | None = None


class Setting(NamedTuple):
    """Adam's learning rate and decay rates, and discriminator updates a generator update."""

    lr: float
    beta1: float
    beta2: float
    n_dis: int

    def __str__(self) -> str:
        return f"lr {self.lr:g}, betas {self.beta1:g} and {self.beta2:g}, n_dis {self.n_dis}"


@dataclass(frozen=True)
class Wanted:
    """What a run must have to stand in a row.

    Args:
        networks: the network by the data set's key in the table; under "" that of every other.
        normalizer: by registered names; an option that is not written is at its default.
        loss: likewise.
        settings: names of the paper's settings, of which the best is shown.
        updates: generator updates, in multiples of the table's.
        options: the other settings of a configuration that count, by dotted name.
    """

    networks: Mapping[str, str]
    normalizer: str
    loss: str
    settings: tuple[str, ...]
    updates: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PaperRow:
    """One row: ``wanted`` None where there is nothing to run, ``scores`` by data set and metric."""

    method: str
    scores: Mapping[str, Mapping[str, Score]]
    section: str = ""
    note: str = ""
    wanted: Wanted | None = None


@dataclass(frozen=True)
class PaperTable:
    """One table; ``datasets`` has a data set of ours for each key of the scores, the main one first."""

    name: str
    paper: str
    source: str
    title: str
    protocol: str
    generator_updates: int
    datasets: Mapping[str, str]
    settings: Mapping[str, Setting]
    rows: tuple[PaperRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def metrics(self) -> list[str]:
        """The scores that it prints, in the order of METRICS."""
        printed = {name for row in self.rows for scores in row.scores.values() for name in scores}
        return [name for name in METRICS if name in printed]

    def source_of(self, row: PaperRow) -> str:
        """Where a row's scores stand: paper, table, row."""
        return f"{self.paper}, {self.source}, row {', '.join(filter(None, (row.section, row.method)))!r}"


@dataclass(frozen=True)
class Source:
    """Where an item's runs come from: ``sweeps`` by name; ``cost`` in words, empty where not measured."""

    sweeps: tuple[str, ...]
    cost: str = ""


@dataclass(frozen=True)
class Item:
    """What can be reproduced: tables and figures of a paper, and by data set, its own first, from what.

    ``limits`` are what its numbers do not show, whatever they are.
    """

    name: str  # PAPER/ITEM
    title: str
    tables: tuple[str, ...]
    figures: tuple[str, ...]
    data: Mapping[str, Source]
    limits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Paper:
    """One paper's tables, and what of it can be reproduced, by name.

    A study of our own is one without numbers of others: ``authors`` and ``arxiv`` are empty, there are no
    ``tables``, and those of its items are our studies' own.
    """

    name: str
    cited: str  # authors and year, in short
    title: str
    authors: str
    arxiv: str
    tables: Mapping[str, PaperTable]
    items: Mapping[str, Item]


def papers() -> dict[str, Path]:
    """The file of every paper by its name."""
    return files()


@cache
def paper(name: str) -> Paper:
    """The paper of that name; UserError for an unknown one, or for a file that is not as it should be."""
    known = papers()
    if name not in known:
        raise UserError(f"unknown paper {name!r}; {nearest(name, known)}")
    return read_paper(known[name])


def paper_table(name: str) -> PaperTable:
    """The table of the name PAPER/TABLE; UserError for an unknown one."""
    first = name.partition("/")[0]
    tables = {f"{first}/{table}": found for table, found in paper(first).tables.items()}
    if name not in tables:
        raise UserError(f"unknown table {name!r}; {known_of(name, tables)}")
    return tables[name]


def table_names() -> list[str]:
    """Every table of every paper, as PAPER/TABLE."""
    return [f"{name}/{table}" for name in papers() for table in paper(name).tables]


def known_of(name: str, known: Iterable[str]) -> str:
    """The hint that ends an "unknown name" line: what that paper has, else the nearest name.

    >>> known_of("a2020/table9", ["a2020/table7", "a2020/table8", "b/table1"]), known_of("c", ["b/table1"])
    ('a2020 has table7, table8', 'known: b/table1')
    """
    known = [*known]
    owner = f"{name.partition('/')[0]}/"
    theirs = [each.removeprefix(owner) for each in known if each.startswith(owner)]
    return f"{owner[:-1]} has {', '.join(theirs)}" if theirs else nearest(name, known)


def paper_item(name: str) -> Item:
    """The item of the name PAPER/ITEM; UserError for an unknown one."""
    items = {item.name: item for each in papers() for item in paper(each).items.values()}
    if name not in items:
        raise UserError(f"unknown table or figure {name!r}; {known_of(name, items)}")
    return items[name]


# ---- reading ---------------------------------------------------------------------------------------------


def read_paper(path: Path) -> Paper:
    """One file; UserError with one line that says what is wrong, and where in the file."""
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from error
    try:
        return _paper(path.stem, loaded)
    except WrongError as error:
        raise UserError(f"{path}: {error}") from error


def _paper(name: str, loaded: Any) -> Paper:
    if isinstance(loaded, dict) and "tables" not in loaded:  # ours
        got = mapping(loaded, "the file", {"paper", "title", "reproductions"})
        got |= {"authors": "", "arxiv": "", "settings": {}, "tables": {}}
    else:
        got = mapping(
            loaded, "the file", {"paper", "title", "authors", "arxiv", "settings", "tables", "reproductions"}
        )
    settings = {
        key: _setting(value, f"settings.{key}") for key, value in named(got["settings"], "settings").items()
    }
    words = {key: text(got[key], key) for key in ("paper", "title", "authors", "arxiv")}
    tables = {
        key: _table(key, value, words["paper"], settings)
        for key, value in named(got["tables"], "tables").items()
    }
    items = {
        key: _item(f"{name}/{key}", value, f"reproductions.{key}", tables or _studied(name))
        for key, value in named(got["reproductions"], "reproductions").items()
    }
    return Paper(name, words["paper"], words["title"], words["authors"], words["arxiv"], tables, items)


def _studied(owner: str) -> list[str]:
    """The tables of our own studies of that name."""
    return [table for first, _, table in (name.partition("/") for name in STUDIES) if first == owner]


def _item(name: str, value: Any, where: str, tables: Collection[str]) -> Item:
    got = mapping(value, where, {"title", "data"}, {"tables", "figures", "limits"})
    shown = each(got.get("tables", []), f"{where}.tables", text)
    for table in shown:
        if table not in tables:
            raise WrongError(f"{where}.tables has {table!r}; {nearest(table, tables)}")
    return Item(
        name=name,
        title=text(got["title"], f"{where}.title"),
        tables=shown,
        figures=each(got.get("figures", []), f"{where}.figures", text),
        data={
            key: _source(source, f"{where}.data.{key}")
            for key, source in named(got["data"], f"{where}.data").items()
        },
        limits=each(got.get("limits", []), f"{where}.limits", text),
    )


def _source(value: Any, where: str) -> Source:
    got = mapping(value, where, {"sweeps"}, {"cost"})
    return Source(each(got["sweeps"], f"{where}.sweeps", text), text(got.get("cost", ""), f"{where}.cost"))


def _setting(value: Any, where: str) -> Setting:
    got = mapping(value, where, {"lr", "beta1", "beta2", "n_dis"})
    lr, beta1, beta2 = (number(got[key], f"{where}.{key}") for key in ("lr", "beta1", "beta2"))
    return Setting(lr, beta1, beta2, count(got["n_dis"], f"{where}.n_dis"))


def _table(name: str, value: Any, cited: str, settings: Mapping[str, Setting]) -> PaperTable:
    where = f"tables.{name}"
    wanted = {"source", "title", "protocol", "generator_updates", "datasets", "rows"}
    got = mapping(value, where, wanted, {"notes"})
    sets = named(got["datasets"], f"{where}.datasets")
    datasets = {key: _spec(spec, f"{where}.datasets.{key}") for key, spec in sets.items()}
    return PaperTable(
        name=name,
        paper=cited,
        source=text(got["source"], f"{where}.source"),
        title=text(got["title"], f"{where}.title"),
        protocol=text(got["protocol"], f"{where}.protocol"),
        generator_updates=count(got["generator_updates"], f"{where}.generator_updates"),
        datasets=datasets,
        settings=settings,
        rows=each(got["rows"], f"{where}.rows", lambda row, at: _row(row, at, datasets, settings)),
        notes=each(got.get("notes", []), f"{where}.notes", text),
    )


def _row(value: Any, where: str, datasets: Collection[str], settings: Collection[str]) -> PaperRow:
    got = mapping(value, where, {"method", "scores"}, {"section", "note", "run"})
    scores = {
        key: _scores(of, f"{where}.scores.{key}")
        for key, of in mapping(got["scores"], f"{where}.scores", set(), datasets).items()
    }
    return PaperRow(
        method=text(got["method"], f"{where}.method"),
        scores=scores,
        section=text(got.get("section", ""), f"{where}.section"),
        note=text(got.get("note", ""), f"{where}.note"),
        wanted=_wanted(got["run"], f"{where}.run", datasets, settings) if "run" in got else None,
    )


def _scores(value: Any, where: str) -> dict[str, Score]:
    return {
        key: _score(pair, f"{where}.{key}") for key, pair in mapping(value, where, set(), METRICS).items()
    }


def _score(value: Any, where: str) -> Score:
    if not isinstance(value, list) or len(value) != 2:
        raise WrongError(f"{where} is {value!r}; [mean, standard deviation or null] is wanted")
    mean, std = value
    return Score(number(mean, where), None if std is None else number(std, where))


def _wanted(value: Any, where: str, datasets: Collection[str], settings: Collection[str]) -> Wanted:
    got = mapping(value, where, {"network", "normalizer", "loss", "settings"}, {"updates", "options"})
    network, at = got["network"], f"{where}.network"
    networks = mapping(network, at, set(), datasets) if isinstance(network, dict) else {"": network}
    chosen = each(got["settings"], f"{where}.settings", text)
    for name in chosen:
        if name not in settings:
            raise WrongError(f"{where}.settings has {name!r}; {nearest(name, settings)}")
    return Wanted(
        networks={key: _spec(name, f"{at}.{key}" if key else at) for key, name in networks.items()},
        normalizer=_spec(got["normalizer"], f"{where}.normalizer"),
        loss=_spec(got["loss"], f"{where}.loss"),
        settings=chosen,
        updates=count(got.get("updates", 1), f"{where}.updates"),
        options=named(got.get("options", {}), f"{where}.options"),
    )


def _spec(value: Any, where: str) -> str:
    try:
        parse(text(value, where))
    except UserError as error:
        raise WrongError(f"{where}: {error}") from error
    return str(value)
