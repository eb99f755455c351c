"""Everything that the page shows, as one JSON value."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from snlab.results import looks
from snlab.results.findings import findings
from snlab.results.groups import Group, group
from snlab.results.page import panels as of
from snlab.results.page.bars import bars
from snlab.results.page.comparison import differences, normalizers, tables
from snlab.results.page.runs import about, environment
from snlab.results.page.samples import last_of_every_run, through_training
from snlab.results.page.series import Curves, clock, points_for, scalars, t_factors
from snlab.results.page.spectra import spectra
from snlab.results.reading import wants_calibration
from snlab.results.settings import SETTINGS, letter_of
from snlab.tracking.run_folder import Run, Skipped

# Parts of a configuration whose options are chosen one by one; of others, as ``adam``, together.
PLACES = ("data", "trainer", "measure")


def content(runs: Sequence[Run], skipped: Sequence[Skipped] = ()) -> dict[str, Any]:
    """The page's data: what the scripts in ``web`` are given, as plain values that become JSON.

    ``runs[i]`` is known by its place i everywhere else, and so is ``groups[i]``. Rows of panels are made in
    the browser, of the groups of one data set that agree in the options that the reader chooses.
    """
    groups = group(runs)
    datasets = [list(members) for _, members in itertools.groupby(groups, key=lambda g: g.dataset)]
    number = {id(run): i for i, run in enumerate(runs)}
    curves = Curves(
        points_for(sum(len(scalars(run)) for run in runs)),
        max((run.generator_steps for run in runs), default=0),
    )
    shown = [about(run) for run in runs]
    for run in (run for g in groups for run in g.whole):
        found = {name: curve for name in scalars(run) if (curve := curves.curve(run, name))}
        shown[number[id(run)]] |= {"curves": found, "clock": clock(run)}
    for place, g in enumerate(groups):
        for run in (*g.runs, *g.repeated):
            shown[number[id(run)]]["group"] = place
    samples, spectrum = through_training(datasets, number), spectra(datasets, number)
    last = last_of_every_run(runs, number)
    return {
        "lead": lead(runs, groups),
        "findings": findings(runs) if runs else [],
        "notes": [*_thinned(curves), *samples.pop("notes"), *spectrum.pop("notes"), *last.pop("notes")],
        "skipped": [{"name": s.folder.name, "folder": str(s.folder), "reason": s.reason} for s in skipped],
        "normalizers": normalizers(groups),
        "groups": [_group(g, number) for g in groups],
        "datasets": [_dataset(members, groups, number) for members in datasets],
        "options": options(groups),
        "letters": {letter: str(setting) for letter, setting in SETTINGS.items()},
        "bars": bars(runs, number),
        "runs": shown,
        "grids": curves.grids,
        "t": t_factors(max((len(g.runs) for g in groups), default=0)),
        "tables": tables(runs, skipped),
        "samples": samples["comparisons"],
        "lastSamples": last["images"],
        "spectra": spectrum["comparisons"],
        "differences": differences(groups),
        "environment": environment(runs),
    }


def lead(runs: Sequence[Run], groups: Sequence[Group]) -> str:
    """What the page is about, in one sentence."""
    if not runs:
        return "No run is there yet."
    specs = sorted({run.normalizer for run in runs}, key=looks.order)
    data = ", ".join(dict.fromkeys(looks.label(g.dataset) for g in groups))
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    return f"{count}: {', '.join(map(looks.label, specs))}; on {data}."


def _thinned(curves: Curves) -> list[str]:
    if not curves.thinned:
        return []
    return [
        f"curves of up to {curves.longest} measurements are shown at up to {curves.points} of them; the pale "
        "edges of a line hold the lowest and the highest value in between, so that no extreme is lost"
    ]


def _group(g: Group, number: dict[int, int]) -> dict[str, Any]:
    first = g.runs[0]
    shown = {
        "normalizer": g.normalizer, "label": g.label, "setting": g.setting, "dataset": g.dataset,
        "options": dict(g.options), "calibrated": wants_calibration(first),
        "runs": [number[id(run)] for run in g.runs], "whole": [number[id(run)] for run in g.whole],
    }  # fmt: skip
    letter = letter_of(first)
    return shown | ({"letter": letter} if letter else {})


def options(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """In what the groups of any data set differ but the normalizer, by name, with the options that it has."""
    found: dict[str, dict[str, None]] = {}
    for key in (key for g in groups for key, _ in g.options):
        head = key.partition(".")[0]
        found.setdefault(key if head in PLACES else head, {})[key] = None
    return [{"name": name, "keys": list(keys)} for name, keys in found.items()]


def _dataset(members: Sequence[Group], groups: Sequence[Group], number: dict[int, int]) -> dict[str, Any]:
    places = {id(g): place for place, g in enumerate(groups)}
    found = []
    for panel in of.panels(members):
        shown: dict[str, Any] = {"section": panel.section, "name": panel.name, "title": panel.title}
        shown |= {} if panel.optimum is None else {"optimum": panel.optimum}
        shown |= {"log": True} if panel.log else {}
        shown |= {"detail": True} if panel.detail else {}
        shown |= {"twin": panel.twin} if panel.twin else {}
        shown |= {} if panel.runs is None else {"runs": [number[id(run)] for run in panel.runs]}
        found.append(shown)
    return {
        "name": members[0].dataset,
        "label": looks.label(members[0].dataset),
        "groups": [places[id(g)] for g in members],
        "panels": found,
        "layers": of.layers(members),
    }
