"""What must be said beside numbers: which runs are not in them, and what keeps runs from being compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from snlab.metrics.protocols import PROTOCOLS
from snlab.results.extractors import extractors
from snlab.results.reading import DAMAGED
from snlab.results.scores import own_protocol
from snlab.tracking.run_folder import FINISHED, Run, Skipped

VERSIONS = ("snlab", "torch")  # whose versions may change a result
NAMED = 6  # folders that a note names, before it only counts


def skipped_note(skipped: Sequence[Skipped]) -> list[str]:
    """One line that counts and names the folders that were not read; none where all were."""
    if not skipped:
        return []
    folders = "run folder" if len(skipped) == 1 else "run folders"
    return [f"{len(skipped)} {folders} skipped: {listed([f'{s.folder.name} ({s.reason})' for s in skipped])}"]


def damage_note(runs: Iterable[Run]) -> list[str]:
    """One line that counts and names the runs whose record is damaged."""
    found = [f"{run.folder.name} ({run.summary.get('reason')})" for run in runs if run.outcome == DAMAGED]
    return [f"{len(found)} damaged, which is no result: {listed(found)}"] if found else []


def wandb_note(runs: Iterable[Run]) -> list[str]:
    """One line that counts the runs that were read from W&B, and says what it lacks of their scores."""
    count = sum(run.on_wandb for run in runs)
    if not count:
        return []
    return [f"{count} read from W&B, which lacks the scores that snlab evaluate added to run folders"]


def listed(items: Sequence[str]) -> str:
    rest = len(items) - NAMED
    return "; ".join([*items[:NAMED], *([f"and {rest} more"] if rest > 0 else [])])


def version_note(runs: Iterable[Run]) -> list[str]:
    """One line where finished runs come from different versions of what computes them."""
    found: dict[str, dict[str, None]] = {name: {} for name in VERSIONS}
    for run in (run for run in runs if run.outcome == FINISHED):
        told = run.summary.get("versions")
        for name in VERSIONS:
            version = told.get(name) if isinstance(told, Mapping) else None
            found[name][str(version or "unknown")] = None
    differing = [f"{name} {joined(sorted(seen))}" for name, seen in found.items() if len(seen) > 1]
    if not differing:
        return []
    return [f"the runs come from different versions ({', '.join(differing)}), which may be what differs"]


def length_note(runs: Iterable[Run]) -> list[str]:
    """One line where runs are of different lengths."""
    lengths = sorted({run.generator_steps for run in runs})
    if len(lengths) < 2:
        return []
    return [
        f"the runs are of different lengths ({joined(list(map(str, lengths)))} generator updates): "
        "only those of one length are compared"
    ]


def interval_note(runs: Iterable[Run]) -> list[str]:
    """One line where runs were measured at different intervals."""
    found: dict[str, None] = {}
    for run in runs:
        measure = run.config.get("measure")
        if isinstance(measure, Mapping) and "every" in measure:
            found[str(measure["every"])] = None
    if len(found) < 2:
        return []
    return [
        f"the runs were measured at different intervals (measure.every {joined(sorted(found))}): drift and "
        "stability of the logit, which look back at the last measurements, may differ by that"
    ]


def joined(words: Sequence[str]) -> str:
    """All of them as a sentence has them.

    >>> joined(["a", "b", "c"]), joined(["a"])
    ('a, b and c', 'a')
    """
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last


def machine_note(runs: Iterable[Run]) -> list[str]:
    """One line where finished runs come from different machines."""
    machines = {str(run.summary.get("machine")) for run in runs if run.outcome == FINISHED}
    if len(machines) < 2:
        return []
    return ["the runs come from different machines, so their images a second cannot be compared"]


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


def protocol_notes(runs: Sequence[Run]) -> list[str]:
    """One line for each protocol by which the runs scored themselves."""
    by = dict.fromkeys(
        (own_protocol(run, extractor.name), extractor.label)
        for extractor in extractors(runs)
        for run in runs
        if extractor.scored(run)
    )
    labels: dict[str, list[str]] = {}
    for protocol, label in by:
        labels.setdefault(protocol, []).append(label)
    return [
        f"scores with features of {joined(found)}: protocol {name}: {PROTOCOLS[name].description}"
        for name, found in labels.items()
        if name in PROTOCOLS
    ]
