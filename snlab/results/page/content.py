"""Everything that the page shows, as one JSON value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snlab.results import looks
from snlab.results.figures.style import headline
from snlab.results.findings import findings
from snlab.results.groups import Group, by_setting, group
from snlab.results.page import panels as of
from snlab.results.page.comparison import differences, normalizers, tables
from snlab.results.page.runs import about, environment
from snlab.results.page.samples import last_of_every_run, through_training
from snlab.results.page.series import Curves, clock, points_for, scalars, t_factors
from snlab.results.page.spectra import spectra
from snlab.tracking.run_folder import Run, Skipped


def content(runs: Sequence[Run], skipped: Sequence[Skipped] = ()) -> dict[str, Any]:
    """The page's data: what the scripts in ``web`` are given, as plain values that become JSON.

    ``runs[i]`` is known by its place i everywhere else. ``comparisons`` are the sets of groups that may be
    compared (one data set, one setting): every row of panels is one of them.
    """
    groups = group(runs)
    compared = list(by_setting(groups).values())
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
    samples, spectrum = through_training(compared, number), spectra(compared, number)
    last = last_of_every_run(runs, number)
    return {
        "lead": lead(runs, groups),
        "findings": findings(runs) if runs else [],
        "notes": [*_thinned(curves), *samples.pop("notes"), *spectrum.pop("notes"), *last.pop("notes")],
        "skipped": [{"name": s.folder.name, "folder": str(s.folder), "reason": s.reason} for s in skipped],
        "normalizers": normalizers(groups),
        "groups": [_group(g, number) for g in groups],
        "comparisons": [_comparison(members, groups, number) for members in compared],
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
    return {
        "normalizer": g.normalizer, "label": g.label, "setting": g.setting, "dataset": g.dataset,
        "runs": [number[id(run)] for run in g.runs], "whole": [number[id(run)] for run in g.whole],
    }  # fmt: skip


def _comparison(members: Sequence[Group], groups: Sequence[Group], number: dict[int, int]) -> dict[str, Any]:
    places = {id(g): place for place, g in enumerate(groups)}
    found = []
    for panel in of.panels(members):
        shown: dict[str, Any] = {"section": panel.section, "name": panel.name, "title": panel.title}
        shown |= {} if panel.optimum is None else {"optimum": panel.optimum}
        shown |= {"log": True} if panel.log else {}
        shown |= {} if panel.runs is None else {"runs": [number[id(run)] for run in panel.runs]}
        found.append(shown)
    return {
        "dataset": members[0].dataset,
        "setting": members[0].setting,
        "title": headline(members),
        "groups": [places[id(g)] for g in members],
        "panels": found,
        "layers": of.layers(members),
    }
