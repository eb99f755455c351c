"""Which runs stand in which row of a paper's table, and in which part of it.

A part is of one data set, network width, protocol, feature extractor and number of generator updates: no run
of another enters it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snlab.core import names
from snlab.core.errors import UserError, nearest
from snlab.metrics.protocols import PROTOCOLS
from snlab.results.extractors import Extractor, digest_of, extractors
from snlab.results.papers import PaperTable, Wanted
from snlab.results.scores import EMBEDDED, added, own_protocol
from snlab.results.settings import is_at, setting_of
from snlab.results.spelling import plain, same, split_width
from snlab.tracking.run_folder import MODULE, OVER, Run

INCEPTION = PROTOCOLS["miyato2018"].extractor


@dataclass(frozen=True)
class Place:
    """A run in a row: the row's index, the name of the setting, and what the network's width is."""

    run: Run
    row: int
    setting: str
    width: float


@dataclass(frozen=True)
class Part:
    """What all runs of one part of a table share; ``generator_updates`` is of rows of one multiple."""

    dataset: str
    width: float
    protocol: str
    extractor: Extractor
    generator_updates: int


# ---- data sets --------------------------------------------------------------------------------------------


def column_of(table: PaperTable, dataset: str) -> str:
    """The key of the scores beside which runs of ``dataset`` stand: its own, else the table's first."""
    own = [key for key, spec in table.datasets.items() if plain(spec) == plain(dataset)]
    return own[0] if own else next(iter(table.datasets))


def is_own(table: PaperTable, dataset: str) -> bool:
    """Whether the paper has scores of this data set."""
    return plain(dataset) in {plain(spec) for spec in table.datasets.values()}


# ---- rows ------------------------------------------------------------------------------------------------


def places(table: PaperTable, run: Run) -> Iterator[Place]:
    """Every row in which a run stands, whatever its number of updates."""
    model = run.config.get("model", {})
    named = [model.get(key) for key in ("network", "normalizer", "loss")]
    if MODULE in run.config or not all(isinstance(name, str) for name in named):
        return  # of the user's own classes: none that a paper has
    network, normalizer, loss = named
    base, width = split_width(network)
    trained = setting_of(run)
    if not width > 0 or trained is None:
        return
    column = column_of(table, run.dataset)
    for index, row in enumerate(table.rows):
        wanted = row.wanted
        if (
            wanted is not None
            and base == split_width(_network(wanted, column, table))[0]
            and plain(normalizer) == plain(wanted.normalizer)
            and plain(loss) == plain(wanted.loss)
            and all(same(_at(run.config, key), value) for key, value in wanted.options.items())
        ):
            for name in wanted.settings:
                if is_at(trained, table.settings[name]):
                    yield Place(run, index, name, width)


def _network(wanted: Wanted, column: str, table: PaperTable) -> str:
    found = wanted.networks
    return found.get(column) or found.get("") or found[next(iter(table.datasets))]


def _at(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted option; None where it is not there."""
    value: Any = config
    for word in key.split("."):
        value = value.get(word) if isinstance(value, Mapping) else None
    return value


# ---- parts -----------------------------------------------------------------------------------------------


def parts(table: PaperTable, runs: Sequence[Run]) -> list[tuple[Part, list[Place]]]:
    """Every part of a table that runs are in, and who stands in it: the data set with most runs first."""
    keyed: dict[tuple[str, float, str, Extractor], list[Place]] = {}
    datasets: dict[str, list[Run]] = {}
    for run in runs:
        datasets.setdefault(plain(run.dataset), []).append(run)
    for dataset in sorted(datasets, key=lambda name: (-len(datasets[name]), name)):
        members = datasets[dataset]
        found = extractors([run for run in members if run.outcome in OVER])
        for place in (place for run in members for place in places(table, run)):
            for protocol, extractor in scored_by(place.run, found):
                keyed.setdefault((dataset, place.width, protocol, extractor), []).append(place)
    made = []
    for (dataset, width, protocol, extractor), placed in keyed.items():
        for updates in _lengths(table, placed):
            members_of = [
                place for place in placed if place.run.generator_steps == updates * _multiple(table, place)
            ]
            made.append((Part(dataset, width, protocol, extractor, updates), members_of))
    order = {dataset: -len(members) for dataset, members in datasets.items()}
    return sorted(
        made,
        key=lambda pair: (
            order[pair[0].dataset], pair[0].dataset, -pair[0].width, -pair[0].generator_updates,
            pair[0].protocol, pair[0].extractor.label,
        ),
    )  # fmt: skip


def _multiple(table: PaperTable, place: Place) -> int:
    wanted = table.rows[place.row].wanted
    return wanted.updates if wanted else 1


def _lengths(table: PaperTable, placed: Sequence[Place]) -> list[int]:
    """The numbers of updates that tables are of: of rows of one multiple, else what others imply."""
    once = {place.run.generator_steps for place in placed if _multiple(table, place) == 1}
    rest = {place.run.generator_steps // _multiple(table, place) for place in placed}
    return sorted(once or rest)


def scored_by(run: Run, found: Sequence[Extractor]) -> list[tuple[str, Extractor]]:
    """The protocols and extractors of a run's scores: those that it logs, and those that were added.

    None where it measured none; ``found`` are the extractors of all runs of its data set.
    """
    own = [(own_protocol(run, extractor.name), extractor) for extractor in _extractors(run, found)]
    known = {(e.name, e.digest): e for e in found}
    later = [(protocol, known.get((e.name, e.digest), e)) for protocol, e in added(run)]
    return list(dict.fromkeys([*own, *later]))


def _extractors(run: Run, found: Sequence[Extractor]) -> list[Extractor]:
    """Those whose scores the run has, or would have, had it come so far."""
    told = run.summary.get("extractors")
    known = {name.removeprefix(f"{names.FID}/") for name in run.names(f"{names.FID}/")}
    known |= set(told) if isinstance(told, Mapping) else set()
    fidelity = _measured(run).get("fidelity")
    if not known and fidelity != "none":
        kind = INCEPTION if fidelity == "inception" else EMBEDDED
        known = {e.name for e in found if e.name.startswith(kind)} or {kind}
    own = [e for e in found if e.name in known and e.scored(run)]
    there = {e.name for e in own}
    return own + [Extractor(name, digest_of(run, name)) for name in sorted(known - there)]


def _measured(run: Run) -> Mapping[str, Any]:
    measure = run.config.get("measure")
    return measure if isinstance(measure, Mapping) else {}


def of_dataset(runs: Sequence[Run], dataset: str, also: Sequence[str] = ()) -> list[Run]:
    """The runs of a data set, by its name with or without its options; UserError where no run is of it.

    None is an answer for the data sets that ``also`` names.
    """
    wanted, there = plain(dataset), {plain(run.dataset) for run in runs}
    chosen = {name for name in there if name == wanted or ("(" not in dataset and _bare(name) == wanted)}
    if not chosen and wanted not in {plain(name) for name in also}:
        raise UserError(f"no run is of the data set {dataset!r}; {nearest(dataset, there)}")
    return [run for run in runs if plain(run.dataset) in chosen]


def _bare(dataset: str) -> str:
    return dataset.partition("(")[0]
