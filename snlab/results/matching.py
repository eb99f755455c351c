"""Which runs stand in which row of a paper's table, and in which part of it.

A part is of one data set, network width, protocol, feature extractor and number of generator updates: no run
of another enters it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from snlab.core import names
from snlab.core.errors import UserError, nearest
from snlab.core.registry import Spec, parse
from snlab.metrics.protocols import PROTOCOLS
from snlab.results.extractors import Extractor, digest_of, extractors
from snlab.results.papers import PaperTable, Setting, Wanted
from snlab.tracking.run_folder import MODULE, OVER, Run

# Of what the papers' tables name: the options' defaults, so that one that is written out is no other.
DEFAULTS: dict[str, dict[str, Any]] = {
    "weight_clipping": {"c": 0.01, "layers": "convolutions"},
    "gradient_penalty": {"weight": 10.0, "kind": "two_sided", "target": 1.0},
    "batch_norm": {"gain": False},
    "layer_norm": {"gain": False},
    "weight_norm": {"gain": False},
    "frobenius_norm": {"gain": False},
    "orthonormal": {"weight": 0.001, "initialise": True},
    "spectral_norm": {
        "iterations": 1, "initial_iterations": 0, "of": "matrix", "exact": False, "bidirectional": False,
        "scale": 1.0, "gain": False,
    },
    "standard_cnn": {"width": 1.0, "latent_dim": 128, "variant": "paper", "last_width": 1.0},
    "resnet": {
        "architecture": "cifar10", "width": 1.0, "width_d": 1.0, "latent_dim": 128, "fused": True,
        "conditional": None, "class_weight_d": 1.0, "class_weight_g": 0.1,
    },
    "stl10": {"size": 48}, "imagenet": {"size": 128}, "mnist": {"size": 32}, "fashion_mnist": {"size": 32},
    "photos": {"size": 32}, "digits": {"size": 16},
}  # fmt: skip
INCEPTION = PROTOCOLS["miyato2018"].extractor
EMBEDDED = PROTOCOLS["embedded"].extractor  # how the name of a data set's own extractor begins


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


# ---- names -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def plain(text: str) -> str:
    """The spelling without options at their defaults, terms sorted; text that is no name stays as it is.

    >>> plain("spectral_norm(gain=true, iterations=1)+gradient_penalty(weight=10)"), plain("stl10(size=48)")
    ('gradient_penalty+spectral_norm(gain=true)', 'stl10')
    """
    try:
        return "+".join(sorted(str(_plain(term)) for term in parse(text)))
    except UserError:
        return text


def _plain(term: Spec) -> Spec:
    defaults = DEFAULTS.get(term.name, {})
    written = term.options.items()
    return Spec(term.name, {k: v for k, v in written if k not in defaults or not _same(v, defaults[k])})


def _same(value: Any, other: Any) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)


@lru_cache(maxsize=1024)
def split_width(network: str) -> tuple[str, float]:
    """A network without its width, in plain spelling, and the width; NaN where that is no number.

    >>> split_width("resnet(architecture=wgan_gp, width=0.25)")
    ('resnet(architecture=wgan_gp)', 0.25)
    """
    try:
        terms = parse(network)
    except UserError:
        return network, math.nan
    width = terms[0].options.get("width", 1.0)
    number = isinstance(width, int | float) and not isinstance(width, bool)
    # A fused resampling is the same function.
    kept = {key: value for key, value in terms[0].options.items() if key not in ("width", "fused")}
    text = "+".join(str(term) for term in [Spec(terms[0].name, kept), *terms[1:]])
    return plain(text), float(width) if number else math.nan


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
    if not width > 0:
        return
    column = column_of(table, run.dataset)
    for index, row in enumerate(table.rows):
        wanted = row.wanted
        if (
            wanted is not None
            and base == split_width(_network(wanted, column, table))[0]
            and plain(normalizer) == plain(wanted.normalizer)
            and plain(loss) == plain(wanted.loss)
            and all(_same(_at(run.config, key), value) for key, value in wanted.options.items())
        ):
            for name in wanted.settings:
                if _is_at(table.settings[name], model):
                    yield Place(run, index, name, width)


def _network(wanted: Wanted, column: str, table: PaperTable) -> str:
    found = wanted.networks
    return found.get(column) or found.get("") or found[next(iter(table.datasets))]


def _is_at(setting: Setting, model: Mapping[str, Any]) -> bool:
    adam = model.get("adam")
    if not isinstance(adam, Mapping) or model.get("n_dis") != setting.n_dis:
        return False
    pairs = ((adam.get(key), getattr(setting, key)) for key in ("lr", "beta1", "beta2"))
    return all(isinstance(v, int | float) and math.isclose(v, wanted) for v, wanted in pairs)


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
            for extractor in _extractors(place.run, found):
                key = (dataset, place.width, _protocol(place.run, extractor), extractor)
                keyed.setdefault(key, []).append(place)
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


def _extractors(run: Run, found: Sequence[Extractor]) -> list[Extractor]:
    """Those whose scores the run has, or would have, had it come so far."""
    told = run.summary.get("extractors")
    known = {name.removeprefix(f"{names.FID}/") for name in run.names(f"{names.FID}/")}
    known |= set(told) if isinstance(told, Mapping) else set()
    if not known:
        kind = INCEPTION if _measured(run).get("fidelity") == "inception" else EMBEDDED
        known = {e.name for e in found if e.name.startswith(kind)} or {kind}
    own = [e for e in found if e.name in known and e.scored(run)]
    there = {e.name for e in own}
    return own + [Extractor(name, digest_of(run, name)) for name in sorted(known - there)]


def _protocol(run: Run, extractor: Extractor) -> str:
    """By which protocol a run's scores of an extractor are."""
    if extractor.name.startswith(EMBEDDED):
        return EMBEDDED
    return str(_measured(run).get("protocol", "miyato2018"))


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
