"""``snlab show``: one run, as much as a screen holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from snlab.core.names import GENERATOR_STEP
from snlab.core.text import duration
from snlab.results import looks
from snlab.results.defaults import not_default
from snlab.results.groups import said
from snlab.results.reading import recorded
from snlab.results.repeating import command
from snlab.results.terminal.curves import Curve, main_curves
from snlab.results.terminal.facts import RUNNING, state
from snlab.results.terminal.finding import identity_of
from snlab.results.terminal.listing import number
from snlab.results.terminal.screen import state_text, text, whole
from snlab.results.terminal.sparkline import sparkline
from snlab.tracking.run_folder import METRICS, MODULE, Run
from snlab.tracking.scores import read_scores

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

WIDEST_CURVE, NARROWEST_CURVE = 40, 8  # characters
NAMED = ("data.dataset", "model.normalizer", "seed_everything")  # which the head says


def shown(run: Run, width: int) -> RenderableType:
    """The run's head, its main curves, what is not at its default, on what it ran, and how to repeat it."""
    from rich.console import Group

    parts: list[RenderableType] = [_head(run)]
    for title, rows in (
        ("run", list(_about(run))),
        ("configuration that is not at its default", _settings(run)),
        ("scores of its checkpoints", list(_scores(run))),
        ("versions", _versions(run)),
    ):
        if rows:
            parts += ["", text(title, "bold"), _pairs(rows)]
    curves = main_curves(run)
    if curves:
        parts[1:1] = ["", text("curves", "bold"), _curves(curves, width)]
    return Group(*parts, "", text("to repeat it", "bold"), *_repeat(run))


def _head(run: Run) -> Text:
    now = state(run)
    step = run.summary.get(GENERATOR_STEP, max(run.rows, default=0))
    took = run.summary.get("seconds")
    head = (
        text("")
        .append_text(text(run.folder.resolve().name, "bold"))
        .append("\n")
        .append_text(state_text(now))
    )
    head.append(f" at update {step} of {run.generator_steps}")
    head.append(f", after {duration(took)}" if isinstance(took, int | float) else "")
    reason = run.summary.get("reason")
    return head.append_text(text(f": {reason}")) if reason else head


def _about(run: Run) -> Iterator[tuple[str, Any]]:
    yield "identity", identity_of(run)
    yield "data set", looks.label(run.dataset)
    yield "normalizer", looks.label(run.normalizer)
    yield "seed", run.seed
    if MODULE in run.config:
        yield "trained by", f"{run.config[MODULE]}, a LightningModule of yours"
    for key in ("machine", "device"):
        if run.summary.get(key) is not None:
            yield key, run.summary[key]
    yield from _times(run)
    yield "folder", run.folder
    if run.wandb_url is not None:
        yield "W&B", run.wandb_url


def _times(run: Run) -> Iterator[tuple[str, str]]:
    """When it began and ended, by what it recorded; of one that runs, when it last measured."""
    for word in ("begun", "ended"):
        if (then := recorded(run, word)) is not None:
            yield word, _ago(then)
    if state(run) == RUNNING:  # here and now, so the file's time is the run's own
        with suppress(OSError):
            yield "last measured", _ago(datetime.fromtimestamp((run.folder / METRICS).stat().st_mtime, UTC))


def _ago(then: datetime) -> str:
    """A time by the clock here, and how long ago it is.

    >>> _ago(datetime.now(UTC)).endswith(", 0 s ago")
    True
    """
    seconds = (datetime.now(UTC) - then).total_seconds()
    return f"{then.astimezone():%Y-%m-%d %H:%M:%S}, {duration(max(seconds, 0.0))} ago"


def _settings(run: Run) -> list[tuple[str, Any]]:
    return [(key, said(value)) for key, value in not_default(run.config).items() if key not in NAMED]


def _scores(run: Run) -> Iterator[tuple[str, str]]:
    """What ``snlab evaluate`` has left in the folder."""
    for entry in read_scores(run.folder):
        which, step, weights = (entry.get(key) for key in ("checkpoint", GENERATOR_STEP, "weights"))
        for name, value in entry["scores"].items():
            yield name, f"{number(value)} ({which} checkpoint, update {step}, {weights})"


def _versions(run: Run) -> list[tuple[str, Any]]:
    found = run.summary.get("versions")
    told = {**found} if isinstance(found, Mapping) else {}
    told |= {"commit": run.summary["commit"]} if run.summary.get("commit") else {}
    return [("", ", ".join(f"{name} {version}" for name, version in told.items()))] if told else []


def _pairs(rows: list[tuple[str, Any]]) -> RenderableType:
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", ratio=1)
    for name, value in rows:
        table.add_row(text(name), text(value))
    return table


def _curves(curves: list[Curve], width: int) -> RenderableType:
    """A line a curve: its name, its picture, and the numbers that it goes from and to."""
    from rich.table import Table

    numbers = [f"{number(curve.values[0])} → {number(curve.values[-1])}" for curve in curves]
    longest = max(len(curve.name) for curve in curves)
    room = width - longest - max(map(len, numbers)) - len(" log") - 6
    picture = max(min(room, WIDEST_CURVE), NARROWEST_CURVE)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    for curve, span in zip(curves, numbers, strict=True):
        drawn, log = sparkline(curve.steps, curve.values, picture)
        table.add_row(text(curve.name), text(drawn, "cyan"), text(span + (" log" if log else "")))
    return table


def _repeat(run: Run) -> list[Text]:
    line = command(run)
    if line is None:
        return [text("the loop that trained it, with the settings above")]
    return [whole(line)]
