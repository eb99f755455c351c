"""Which runs are compared with which: only like with like.

Runs that agree in everything but the seed form a group. Groups of one data set are compared; where they
differ in more than the normalizer, the difference is part of their name. Scores measured with different
feature extractors are never one score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from snlab.core import names
from snlab.results import colours
from snlab.tracking.run_folder import DIVERGED, FAILED, FINISHED, OVER, Run, find_runs, identity

# ---- groups of seeds -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """All seeds of one trial: ``runs`` agree in everything but the seed.

    ``setting`` says what sets the group apart from others with this data set and normalizer ("loss=hinge");
    empty where nothing does. ``repeats`` counts runs left out because they repeat a seed.
    """

    dataset: str
    normalizer: str
    setting: str
    runs: tuple[Run, ...]
    repeats: int = 0

    @property
    def key(self) -> str:
        """What the group's colour hangs on: the normalizer and, where there is one, the setting."""
        return f"{self.normalizer} [{self.setting}]" if self.setting else self.normalizer

    @property
    def label(self) -> str:
        name = colours.label(self.normalizer)
        return f"{name} [{self.setting}]" if self.setting else name

    @cached_property
    def finished(self) -> list[Run]:
        return self.of(FINISHED)

    @property
    def finished_or_all(self) -> list[Run]:
        """The finished runs; all, where none has finished."""
        return self.finished or list(self.runs)

    def of(self, *outcomes: str) -> list[Run]:
        return [run for run in self.runs if run.outcome in outcomes]

    @property
    def failures(self) -> float:
        """The share of diverged and failed runs among those that came to an end; NaN while none has."""
        ended = len(self.of(FINISHED, DIVERGED, FAILED))
        return (ended - len(self.finished)) / ended if ended else float("nan")

    def layers(self, prefix: str) -> list[str]:
        """The layers logged as ``prefix/LAYER``, in the discriminator's order."""
        found = {name: None for run in self.runs for name in run.names(f"{prefix}/")}
        return [name.removeprefix(f"{prefix}/") for name in found]


def collect(root: str | Path) -> list[Run]:
    """Every run below ``root``; UserError where there is none."""
    return find_runs(root)


def by_dataset(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of each data set, the data set with most runs first."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.dataset, []).append(run)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def group(runs: Sequence[Run]) -> list[Group]:
    """The groups of ``runs``, by data set, then setting, then normalizer in the order of colours.ORDER."""
    groups: list[Group] = []
    for dataset, members in by_dataset(runs).items():
        trials: dict[str, list[Run]] = {}
        for run in members:
            trials.setdefault(identity({**run.config, "seed_everything": None}), []).append(run)
        settings = _settings([trial[0].config for trial in trials.values()])
        found = [_group(dataset, trial, text) for trial, text in zip(trials.values(), settings, strict=True)]
        groups += sorted(found, key=lambda g: (g.setting, colours.order(g.normalizer)))
    return groups


def _group(dataset: str, trial: list[Run], setting: str) -> Group:
    # The same seed twice is the same trial twice: counting both would promise more seeds than there are.
    seeds: dict[int, Run] = {}
    for run in sorted(trial, key=lambda run: (run.seed, run.outcome not in OVER, str(run.folder))):
        seeds.setdefault(run.seed, run)
    runs = tuple(seeds.values())
    return Group(dataset, trial[0].normalizer, setting, runs, len(trial) - len(runs))


def _settings(configs: list[dict[str, Any]]) -> list[str]:
    """For each configuration, what tells it from the others besides seed, data set and normalizer."""
    flat = [_flatten(config) for config in configs]
    named = ("seed_everything", "data.dataset", "model.normalizer")
    keys = [key for key in sorted(set().union(*flat)) if not key.startswith(named) and _computes(key)]
    differing = [key for key in keys if len({str(config.get(key)) for config in flat}) > 1]
    texts = [{key: f"{key.removeprefix('model.')}={config.get(key)}" for key in differing} for config in flat]
    return [", ".join(text.values()) for text in texts]


def _computes(key: str) -> bool:
    """Whether a dotted key is part of a run's identity, rather than where it runs or how it is shown."""
    head, _, tail = key.partition(".")
    if not tail:
        return identity({head: 1}) != identity({})
    return identity({head: {tail.split(".")[0]: 1}}) not in (identity({head: {}}), identity({}))


def _flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= (
            _flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        )
    return flat


# ---- feature extractors ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Extractor:
    """One feature extractor: a name and the digest of its weights (None where no run says)."""

    name: str
    digest: str | None
    shared: bool = False  # another extractor has this name

    @property
    def label(self) -> str:
        return f"{self.name} @{(self.digest or 'unknown')[:7]}" if self.shared else self.name

    def scored(self, run: Run) -> bool:
        """Whether the scores of ``run`` under this name come from this extractor.

        A run that has not ended says nothing yet of its digest: it belongs to a name's only extractor.
        """
        digest = digest_of(run, self.name)
        return digest == self.digest or (digest is None and not self.shared)


def digest_of(run: Run, extractor: str) -> str | None:
    extractors = run.summary.get("extractors")
    digest = extractors.get(extractor) if isinstance(extractors, Mapping) else None
    return None if digest is None else str(digest)


def extractors(runs: Iterable[Run], score: str = names.FID) -> list[Extractor]:
    """The extractors behind ``score/EXTRACTOR`` in runs of one data set."""
    digests: dict[str, dict[str | None, None]] = {}
    for run in runs:
        for name in (name.removeprefix(f"{score}/") for name in run.names(f"{score}/")):
            digests.setdefault(name, {})[digest_of(run, name)] = None
    found = []
    for name, seen in digests.items():
        # With one known digest, the runs that say nothing are taken for its own; see Extractor.scored.
        known: list[str | None] = [digest for digest in seen if digest is not None]
        found += [Extractor(name, digest, shared=len(known) > 1) for digest in known or [None]]
    return found


def extractor_notes(runs: Iterable[Run]) -> list[str]:
    """One line for each name whose digests differ: those scores stand apart."""
    labels: dict[str, list[str]] = {}
    for extractor in extractors(runs):
        if extractor.shared:
            labels.setdefault(extractor.name, []).append(extractor.label)
    return [
        f"the weights of the feature extractor {name} differ between runs ({', '.join(found)}): "
        "their scores are kept apart, not pooled, and cannot be compared"
        for name, found in labels.items()
    ]


# ---- discriminator ---------------------------------------------------------------------------------------


def sigmas(run: Run, prefix: str = names.SIGMA_EXACT) -> list[float]:
    """σ of every layer at every measurement but that before training; finite values only."""
    rows = [row for step, row in run.rows.items() if step > 0]
    return [v for row in rows for name, v in row.items() if name.startswith(f"{prefix}/") and v is not None]


def ratio_name(runs: Iterable[Run], metric: str) -> str:
    """The logged name of a density-ratio metric: the calibrated one where logits are no log ratio.

    That is so for every loss but the standard one (hinge, Wasserstein), and where it was logged.
    """
    calibrated = f"{names.RATIO}/{names.CALIBRATED}/{metric}"
    for run in runs:
        loss = str(run.config.get("model", {}).get("loss", "standard"))
        if loss.split("(")[0] != "standard" and calibrated in run.names(calibrated):
            return calibrated
    return f"{names.RATIO}/{metric}"


# ---- tidy records ----------------------------------------------------------------------------------------


def record(run: Run) -> dict[str, Any]:
    """One flat row of a run: what it was, how it ended, and the last value of every scalar that it logged."""
    model = run.config.get("model", {})
    scalars = [name for name in run.names() if isinstance(run.series(name)[1][-1], int | float)]
    return {
        "run": run.folder.name,
        "dataset": run.dataset,
        "network": model.get("network"),
        "loss": model.get("loss"),
        "normalizer": run.normalizer,
        "seed": run.seed,
        "outcome": run.outcome,
        "reason": run.summary.get("reason"),
        names.GENERATOR_STEP: run.summary.get("generator_step", max(run.rows, default=0)),
        "seconds": run.summary.get("seconds"),
        "identity": run.summary.get("identity") or identity(run.config),
        **{name: run.last(name) for name in scalars},
    }


def records(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """One record a run, in the order given."""
    return [record(run) for run in runs]
