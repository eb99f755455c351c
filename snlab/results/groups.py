"""Which runs are compared with which: only like with like.

Runs that agree in everything but the seed, and how often they were measured, form a group. Groups of one
data set are compared; where they differ in more than the normalizer, the difference is their setting, and
only one setting's are compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from snlab.core.registry import label
from snlab.results import looks
from snlab.results.reading import DAMAGED
from snlab.tracking.identity import completed, computes, identity, only_measures, trial
from snlab.tracking.run_folder import DIVERGED, FAILED, FINISHED, MODULE, OVER, Run


@dataclass(frozen=True)
class Group:
    """All seeds of one trial: ``runs`` agree in everything but the seed and how often they were measured.

    ``setting`` says what sets the group apart from others with this data set and normalizer ("loss=hinge");
    empty where nothing does; ``options`` has the same as pairs of a name and a value. ``repeated`` are runs
    left out because they repeat a seed.
    """

    dataset: str
    normalizer: str
    setting: str
    runs: tuple[Run, ...]
    repeated: tuple[Run, ...] = ()
    options: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The normalizer in words, for where the setting stands above."""
        return looks.label(self.normalizer)

    @property
    def label(self) -> str:
        """The normalizer in words and, where there is one, the setting."""
        return f"{self.name} [{self.setting}]" if self.setting else self.name

    @property
    def repeats(self) -> int:
        """How many runs were left out because they repeat a seed."""
        return len(self.repeated)

    @cached_property
    def finished(self) -> list[Run]:
        return self.of(FINISHED)

    @property
    def whole(self) -> list[Run]:
        """The runs whose record is undamaged: what they logged can be drawn."""
        return [run for run in self.runs if run.outcome != DAMAGED]

    @property
    def finished_or_whole(self) -> list[Run]:
        """The finished runs; all that are whole, where none has finished."""
        return self.finished or self.whole

    def of(self, *outcomes: str) -> list[Run]:
        return [run for run in self.runs if run.outcome in outcomes]

    @property
    def failures(self) -> float:
        """The share of diverged and failed runs among those that came to an end; NaN while none has."""
        ended = len(self.of(FINISHED, DIVERGED, FAILED))
        return (ended - len(self.finished)) / ended if ended else float("nan")

    def layers(self, prefix: str) -> list[str]:
        """The layers logged as ``prefix/LAYER``, in the discriminator's order."""
        found = {name: None for run in self.whole for name in run.names(f"{prefix}/")}
        return [name.removeprefix(f"{prefix}/") for name in found]


def by_dataset(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of each data set, the data set with most runs first."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.dataset, []).append(run)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def group(runs: Sequence[Run]) -> list[Group]:
    """The groups of ``runs``, by data set, then setting, then normalizer in the order of looks.ORDER."""
    groups: list[Group] = []
    for dataset, members in by_dataset(runs).items():
        trials: dict[str, list[Run]] = {}
        for run in members:
            trials.setdefault(trial(run.config), []).append(run)
        differing_in = options([those[0].config for those in trials.values()], but=only_measures)
        found = [
            replace(one_trial(dataset, those, spelled(own)), options=tuple(own.items()))
            for those, own in zip(trials.values(), differing_in, strict=True)
        ]
        found = _told_apart(found, list(trials))
        groups += sorted(found, key=lambda g: (looks.natural(g.setting), looks.order(g.normalizer)))
    return groups


def by_setting(groups: Iterable[Group]) -> dict[tuple[str, str], list[Group]]:
    """The groups that may be compared with one another, by their data set and setting, in the order given."""
    found: dict[tuple[str, str], list[Group]] = {}
    for g in groups:
        found.setdefault((g.dataset, g.setting), []).append(g)
    return found


def one_trial(dataset: str, trial: Sequence[Run], text: str = "") -> Group:
    """The group of runs that agree in everything but the seed, each seed once."""
    # The same seed twice is the same trial twice: counting both would promise more seeds than there are.
    seeds: dict[int, Run] = {}
    # Rather one that came to its end, then one that measured more.
    ranked = sorted(
        trial, key=lambda run: (run.seed, run.outcome not in OVER, -len(run.names()), str(run.folder))
    )
    repeated = tuple(run for run in ranked if seeds.setdefault(run.seed, run) is not run)
    return Group(dataset, trial[0].normalizer, text, tuple(seeds.values()), repeated)


def once(runs: Sequence[Run]) -> list[Run]:
    """The undamaged runs, each trial once, rather as it ended than as it was left: no seed counts twice."""
    best: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (run.outcome not in OVER, str(run.folder))):
        if run.outcome != DAMAGED:
            best.setdefault(identity(run.config), run)
    kept = {run.folder for run in best.values()}
    return [run for run in runs if run.folder in kept]


def _told_apart(groups: list[Group], identities: list[str]) -> list[Group]:
    """Groups that share their name and setting, as classes of one name in two modules do, each get a mark."""
    shared = Counter((g.normalizer, g.setting) for g in groups)
    return [
        replace(g, normalizer=f"{g.normalizer} @{name[:7]}") if shared[g.normalizer, g.setting] > 1 else g
        for g, name in zip(groups, identities, strict=True)
    ]


def differences(configs: list[dict[str, Any]]) -> list[str]:
    """For each configuration, what tells it from the others besides seed, data set and normalizer."""
    return [spelled(found) for found in options(configs)]


def spelled(found: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in found.items())


def options(
    configs: list[dict[str, Any]], but: Callable[[str], bool] = lambda _: False
) -> list[dict[str, str]]:
    """For each configuration, the options in which it differs from others besides seed, data set, normalizer.

    Those of LightningModules of the user's have other options than ours: they are told from these by the
    module, and from one another by the rest.

    Args:
        configs: of runs.
        but: of an option's dotted name, whether it does not count.

    Returns:
        Of each, its values in words by the options' names, without the "model." that most begin with.
    """
    theirs = [MODULE in config for config in configs]
    if not any(theirs) or all(theirs):
        return _options(configs, but)
    ours = iter(_options([config for config in configs if MODULE not in config], but))
    others = iter(_options([config for config in configs if MODULE in config], but, always=(MODULE,)))
    return [next(others if own else ours) for own in theirs]


def _options(
    configs: list[dict[str, Any]], but: Callable[[str], bool], always: Sequence[str] = ()
) -> list[dict[str, str]]:
    """For each configuration, the options in which they differ, and those that are ``always`` said."""
    # Of a class whose source has changed the groups have one name and setting, and are told apart by a mark.
    named = ("seed_everything", "data.dataset", "model.normalizer", "sources")
    return [
        {key.removeprefix("model."): said(value) for key, value in found.items() if not but(key)}
        for found in differing(configs, always, but=named)
    ]


def differing(
    configs: Sequence[Mapping[str, Any]], always: Sequence[str] = (), but: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """For each configuration, by dotted name, what of it computes something and is not the same in all.

    Args:
        configs: of runs; a setting that one lacks is None there.
        always: names that are given in any case.
        but: beginnings of names that are left out.
    """
    flat = [flattened(completed(config)) for config in configs]
    keys = [key for key in sorted(set().union(*flat)) if not key.startswith(but) and computes(key)]
    found = [key for key in keys if key in always or len({str(config.get(key)) for config in flat}) > 1]
    return [{key: config.get(key) for key in found} for config in flat]


def said(value: Any) -> str:
    """A setting's value in words: a class as one would call it."""
    return f"[{', '.join(map(label, value))}]" if isinstance(value, list) else label(value)


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A configuration's settings by their dotted names; a class with its arguments is one."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        deeper = isinstance(value, Mapping) and "class_path" not in value
        flat |= flattened(value, f"{prefix}{key}.") if deeper else {f"{prefix}{key}": value}
    return flat
