"""The dashboard as W&B's own JSON: a workspace and a report, by wandb-workspaces, with no server asked."""

from __future__ import annotations

import hashlib
import html
import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.expr as expr
import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from snlab.core import names
from snlab.dashboard.definitions import Definitions
from snlab.dashboard.project import Project
from snlab.dashboard.sections import (
    BETTER,
    Chart,
    Curves,
    Differences,
    Importance,
    Panel,
    Samples,
    Section,
    sections,
)
from snlab.results.looks import palette
from snlab.tracking.run_folder import DIVERGED, FAILED, KILLED
from snlab.tracking.wandb_tables import SCORE_COLUMNS, SPECTRUM_COLUMNS

WORKSPACE, REPORT = "project-view", "runs"  # kinds of views, in W&B's words
RUNS_SHOWN = 200  # of each panel, at most; W&B's own default is 10
OPENED = ("Comparison", "Scores", "σ")
WIDE, HIGH = 24, 7  # a report's grid is so wide; a row of panels so high
COLUMNS = {names.TABLE_SCORES: SCORE_COLUMNS, names.TABLE_SPECTRA: SPECTRUM_COLUMNS}
NOT_FINISHED = (DIVERGED, FAILED, KILLED)
NOT_WELL = ("failed", "crashed", "killed")  # of W&B's states


@dataclass(frozen=True)
class View:
    """What W&B calls a view, as it is sent.

    Args:
        kind: WORKSPACE or REPORT.
        name: by which it is found again; the same for the same target.
        title: what its reader sees.
        description: of a report.
        spec: the JSON.
    """

    kind: str
    name: str
    title: str
    description: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class Target:
    """Where a dashboard goes, and of which runs it is: all of the project's, or a sweep's."""

    entity: str
    project: str
    sweep: str | None = None

    @property
    def title(self) -> str:
        return f"snlab: sweep {self.sweep}" if self.sweep else "snlab: normalizers"

    def name(self, kind: str) -> str:
        """The view's own name, in the form that W&B gives to those of a workspace and of a report."""
        told = "/".join([kind, self.entity, self.project, self.sweep or ""])
        own = f"snlab{hashlib.sha256(told.encode()).hexdigest()[:10]}"
        return f"nw-{own}-v" if kind == WORKSPACE else own


def workspace(target: Target, project: Project, charts: Charts, definitions: Definitions) -> View:
    """The workspace: every section's panels, runs grouped by normalizer, the columns of the comparison."""
    with _same_ids():
        made = ws.Workspace(
            entity=target.entity,
            project=target.project,
            name=target.title,
            sections=[_section(section, project, charts, definitions) for section in sections(project)],
            settings=ws.WorkspaceSettings(x_axis=names.GENERATOR_STEP, max_runs=RUNS_SHOWN),
            runset_settings=ws.RunsetSettings(
                filters=_filters(target),
                groupby=[expr.Config(column) for column in project.column("model.normalizer")],
                group_colors=_colours(project),
                order=_order(project),
                pinned_columns=_columns(project),
            ),
        )
        spec = made._to_model().spec
    return View(WORKSPACE, target.name(WORKSPACE), target.title, "", _plain(spec))


def report(target: Target, project: Project, charts: Charts, definitions: Definitions) -> View:
    """The report: each section with how it is read, its panels, and the runs below the first.

    Its sets of runs name no project, which is the report's own: so no server is asked when they are made.
    """
    description = "Normalizers compared: scores, singular values, density ratio, Lipschitz bounds, cost."
    with _same_ids():
        blocks: list[Any] = [wr.TableOfContents()]
        for section in sections(project):
            blocks += [
                wr.H1(section.name),
                wr.MarkdownBlock(f"{section.text}\n\n{_guide(section, definitions)}"),
                _grid(section, target, project, charts),
            ]
        blocks += [
            wr.H1("Runs that did not finish"),
            wr.MarkdownBlock("Diverged, failed, killed or lost, with what their configurations differ in."),
            wr.PanelGrid(
                runsets=[_runset("Not finished", target, project, failed=True)],
                panels=[wr.RunComparer(diff_only="split", layout=wr.Layout(w=WIDE, h=2 * HIGH))],
            ),
        ]
        made = wr.Report(
            entity=target.entity,
            project=target.project,
            title=target.title,
            description=description,
            blocks=blocks,
            width="fluid",
        )
        spec = made._to_model().spec
    return View(REPORT, target.name(REPORT), target.title, description, _plain(spec))


Charts = Callable[[str], str]
"""Of the package's charts, by name: what W&B calls it, ENTITY/NAME."""


# ---- sections and panels ---------------------------------------------------------------------------------


def _section(section: Section, project: Project, charts: Charts, definitions: Definitions) -> ws.Section:
    guide = wr.MarkdownPanel(f"{section.text}\n\n{_guide(section, definitions)}")
    return ws.Section(
        name=section.name,
        panels=[guide, *(_panel(panel, project, charts) for panel in section.panels)],
        is_open=section.name in OPENED,
        layout_settings=ws.SectionLayoutSettings(columns=section.columns, rows=2),
        panel_settings=ws.SectionPanelSettings(x_axis=names.GENERATOR_STEP),
    )


def _grid(section: Section, target: Target, project: Project, charts: Charts) -> wr.PanelGrid:
    width = WIDE // section.columns
    panels = []
    for place, panel in enumerate(section.panels):
        made = _panel(panel, project, charts)
        row, column = divmod(place, section.columns)
        made.layout = wr.Layout(x=column * width, y=row * HIGH, w=width, h=HIGH)
        panels.append(made)
    runs = _runset("Runs", target, project)
    return wr.PanelGrid(runsets=[runs], panels=panels, custom_run_colors=_colours(project, runs))


def _guide(section: Section, definitions: Definitions) -> str:
    """A line for each panel, with its definition; for those of all layers, or extractors, one."""
    told: dict[str, dict[str, None]] = {}
    for panel in section.panels:
        told.setdefault(panel.definition, {})[panel.title.partition(": ")[0]] = None
    lines = definitions.lines({name: "; ".join(titles) for name, titles in told.items()})
    return "\n".join(f"- {html.escape(line, quote=False)}" for line in lines)


def _panel(panel: Panel, project: Project, charts: Charts) -> Any:
    match panel:
        case Curves():
            columns = project.column("model.normalizer")
            return wr.LinePlot(
                title=panel.title,
                x=names.GENERATOR_STEP,
                y=list(panel.metrics),
                metric_regex=panel.pattern,
                log_y=panel.log or None,
                title_x="generator updates",
                # Several forms are grouped by the runs' own grouping alone: a panel has but one key.
                groupby=wr.Config(columns[0]) if len(columns) == 1 else None,
                groupby_aggfunc="mean",
                groupby_rangefunc="minmax",
                max_runs_to_show=RUNS_SHOWN,
                smoothing_type="none",
            )
        case Chart():
            return wr.CustomChart(
                query={"summaryTable": {"tableKey": panel.table}},
                chart_name=charts(panel.name),
                chart_fields={column: column for column in COLUMNS[panel.table]},
                chart_strings={"title": panel.title, **dict(panel.strings)},
            )
        case Samples():
            return wr.MediaBrowser(
                title=panel.title, media_keys=[panel.key], mode="grid", grid_x_axis="step", grid_y_axis="run"
            )
        case Differences():
            return wr.RunComparer(diff_only="split")
        case Importance():
            return wr.ParameterImportancePlot(with_respect_to=panel.metric)


# ---- runs ------------------------------------------------------------------------------------------------


def _runset(name: str, target: Target, project: Project, failed: bool = False) -> wr.Runset:
    columns = _columns(project)
    return wr.Runset(
        name=name,
        filters=_filters(target, failed),
        groupby=[] if failed else [f"config.{column}" for column in project.column("model.normalizer")],
        pinned_columns=columns[:1],
        visible_columns=columns[1:],
    )


def _filters(target: Target, failed: bool = False) -> Any:
    """Of all runs of the project those of the sweep, and those that did not end well."""
    wanted: list[Any] = [expr.Metric("Sweep") == target.sweep] if target.sweep else []
    if failed:
        outcome, state = expr.Summary(names.OUTCOME), expr.Metric("State")
        wanted.append(expr.Or(outcome.isin([*NOT_FINISHED]), state.isin([*NOT_WELL])))
    return expr.And(*wanted) if wanted else ""


def _order(project: Project) -> list[Any]:
    """The best run first, where it is known by what; else the newest."""
    if project.score is None:
        return [expr.Ordering(expr.Metric("CreatedTimestamp"), ascending=False)]
    better = BETTER.get(project.score.rpartition("/")[0], "lower")
    return [expr.Ordering(expr.Summary(project.score), ascending=better == "lower")]


def _columns(project: Project) -> list[str]:
    """The columns of the comparison, as W&B addresses them."""
    options = ("data.dataset", "model.normalizer", "model.loss", "model.network", "seed_everything")
    scores = [score for name in BETTER for score in (project.below(name) or _logged(project, name))]
    summary = [
        names.OUTCOME, names.GENERATOR_STEP, *scores, names.LIPSCHITZ_PRODUCT,
        f"{names.RATIO}/{names.SATURATION}", names.IMAGES_PER_SECOND,
    ]  # fmt: skip
    configured = [f"config:{column}" for option in options for column in project.column(option)]
    return ["run:displayName", "run:state", *configured, *(f"summary:{name}" for name in summary)]


def _logged(project: Project, name: str) -> Sequence[str]:
    return [name] if name in project.metrics else []


def _colours(project: Project, runs: wr.Runset | None = None) -> dict[Any, Any]:
    """Each normalizer's colour: by its name for a workspace, for the set of ``runs`` by W&B's key of a group.

    Where runs have ``model.normalizer`` in two forms a group has no name of its own, and W&B's colours.
    """
    columns = project.column("model.normalizer")
    if len(columns) > 1:
        return {}
    looks = palette(project.normalizers)
    if runs is None:
        return {spec: look.colour for spec, look in looks.items()}
    return {f"{runs._id}-config:{columns[0]}:{spec}": look.colour for spec, look in looks.items()}


# ---- JSON ------------------------------------------------------------------------------------------------


@contextmanager
def _same_ids() -> Iterator[None]:
    """Inside, wandb-workspaces draws the same ids each time: the same dashboard is the same JSON."""
    state = random.getstate()
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(state)


def _plain(spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(spec.model_dump_json(by_alias=True, exclude_none=True))
    return found
