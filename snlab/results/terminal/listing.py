"""``snlab runs``: a line a run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from snlab.core import names
from snlab.core.text import duration
from snlab.results import looks
from snlab.results.extractors import Extractor, extractors
from snlab.results.groups import by_dataset, differences
from snlab.results.notes import extractor_notes, skipped_note
from snlab.results.reading import Collected, record
from snlab.results.tables.table import NOTHING
from snlab.results.terminal.facts import (
    ALIASES,
    BROKEN,
    SCORE,
    STATE,
    TIME,
    UPDATES,
    Facts,
    check_key,
    conditions,
    facts,
    order,
    without_any,
)
from snlab.results.terminal.finding import short
from snlab.results.terminal.screen import state_text, text
from snlab.results.tidy import OF_RUN
from snlab.tracking.run_folder import FINISHED, Run, Skipped, finite

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

NARROW = 72  # columns of a terminal: below, normalizer and data set share a column
WORDY = ("data set", "normalizer")  # columns that may have several lines
VALUE = "value"  # what stands in the place of the score
WORDS = 80  # characters of a name in a line
NOTE = 1500  # characters of what is said below


@dataclass(frozen=True)
class Listing:
    """The runs to list, in order; those that were read but not wanted, only to be counted.

    ``settings`` says of each folder what tells its run from others of its data set, as `Group.setting` does.
    ``measured`` is a logged name that takes the score's place. ``missed`` says what was wanted of no run.
    """

    runs: list[Facts]
    others: int
    skipped: list[Skipped]
    settings: dict[str, str]
    measured: str | None = None
    missed: tuple[str, ...] = ()

    def drawn(self, width: int) -> RenderableType:
        """A table to a terminal's width, and below it what must be said.

        So that a run has one line, settings stand by number, and below, where there is no room for them; and
        so does the data set where all have one.
        """
        from rich.console import Group
        from rich.table import Table

        between = 1 if width < NARROW else 2
        titles = ["run", STATE, *WORDY, "seed", UPDATES, VALUE if self.measured else SCORE, TIME]
        rows, below = self._rows({}), []
        if _wide(titles, rows, between) > width:
            told = {self.settings[one.known["folder"]] for one in self.runs} - {""}
            numbers = {setting: i for i, setting in enumerate(sorted(told, key=looks.natural), 1)}
            rows, below = self._rows(numbers), [f"[{i}]: {setting}" for setting, i in numbers.items()]
        if _wide(titles, rows, between) > width:
            datasets = {looks.label(one.run.dataset) for one in self.runs}
            if len(datasets) == 1:
                below.append(f"{titles.pop(2)}: {datasets.pop()}")
            elif width < NARROW:
                titles[2:4] = [", ".join(reversed(WORDY))]
        table = Table(box=None, padding=(0, between, 0, 0), pad_edge=False, header_style="bold")
        for title in titles:
            words = title not in ("run", STATE, *titles[-4:])
            left = words or title in ("run", STATE)
            table.add_column(title, justify="left" if left else "right", no_wrap=not words, overflow="fold")
        for row in rows:
            table.add_row(*(row[title] for title in titles))
        notes = [text(note, "dim", most=NOTE) for note in (*below, *self.notes())]
        return Group(*([table] if self.runs else []), *notes)

    def _rows(self, numbers: Mapping[str, int]) -> list[dict[str, Text]]:
        """Of each run its cells by their columns; settings by their ``numbers``, else in words."""
        identities = short([one.known["identity"] for one in self.runs])
        labels = _labels([one.run for one in self.runs])
        rows = []
        for one in self.runs:
            setting = self.settings[one.known["folder"]]
            normalizer = looks.label(one.run.normalizer)
            normalizer += f" [{numbers.get(setting, setting)}]" if setting else ""
            cells = (text(looks.label(one.run.dataset), most=WORDS), text(normalizer, most=2 * WORDS))
            both = cells[1].copy().append("\n").append_text(text(cells[0].plain, "dim"))
            rows.append({
                "run": text(identities[one.known["identity"]], "bold"), STATE: state_text(one.known[STATE]),
                **dict(zip(WORDY, cells, strict=True)), ", ".join(reversed(WORDY)): both,
                "seed": text(one.run.seed), **self._numbers(one, labels.get(one.known["folder"])),
            })  # fmt: skip
        return rows

    def _numbers(self, one: Facts, label: Extractor | None) -> dict[str, Text]:
        done, seconds = one.known[UPDATES], one.known[TIME]
        updates = str(done) if one.run.outcome == FINISHED else f"{done}/{one.run.generator_steps}"
        value = number(one.get(self.measured or SCORE))
        if label is not None and label.shared and not self.measured:
            value = f"{value} @{label.label.rpartition('@')[2]}"
        took = duration(seconds) if isinstance(seconds, int | float) else NOTHING
        score = VALUE if self.measured else SCORE
        return {UPDATES: text(updates), score: text(value), TIME: text(took)}

    def notes(self) -> list[str]:
        """What must be said below the list."""
        scores: dict[str, dict[str, None]] = {}
        for one in self.runs:
            if one.score is not None and self.measured is None:
                scores.setdefault(one.score, {})[looks.label(one.run.dataset)] = None
        notes = [f"score of {', '.join(of)}: {name}" for name, of in scores.items()]
        notes += [f"{VALUE}: {self.measured}, as last logged"] if self.measured else []
        notes += extractor_notes([one.run for one in self.runs])
        notes += [f"{_runs(self.others)} left out by --filter"] if self.others else []
        return [*self.missed, *notes, *skipped_note(self.skipped)]


def listing(
    found: Collected, sort: str | None = None, reverse: bool = False, wanted: Sequence[str] = ()
) -> Listing:
    """The runs of which every condition ``wanted`` holds, sorted.

    UserError for a condition that does not read as one, for a key that no run has, and for a misspelt value.

    Args:
        found: the runs, and the folders that cannot be read.
        sort: by which key; without, by data set, normalizer, setting and seed.
        reverse: the largest first. What a run does not have comes last either way.
        wanted: conditions, as in ``state=finished and model.n_dis>1``.
    """
    asked = conditions(wanted)
    every = [facts(run) for run in found.runs]
    for condition in asked:
        check_key("--filter", condition.key, every)
    missed = tuple(without_any(asked, every))
    chosen = [one for one in every if all(condition.holds(one) for condition in asked)]
    settings = _settings(found.runs)
    datasets = list(by_dataset(found.runs))

    def usual(one: Facts) -> Any:
        run = one.run
        setting = looks.natural(settings[one.known["folder"]])
        return datasets.index(run.dataset), looks.order(run.normalizer), setting, run.seed

    chosen.sort(key=usual, reverse=reverse and sort is None)
    if sort is None:
        return Listing(chosen, len(every) - len(chosen), found.skipped, settings, missed=missed)
    key = ALIASES.get(sort, sort)
    check_key("--sort", key, every)
    place = order(key)
    known = sorted((one for one in chosen if place(one)[0] < 2), key=place, reverse=reverse)
    unknown = [one for one in chosen if place(one)[0] == 2]
    measured = key if any(key in one.run.names(key) for one in chosen) else None
    return Listing([*known, *unknown], len(every) - len(chosen), found.skipped, settings, measured, missed)


def as_json(of: Listing) -> str:
    """A list of objects, one a run in the order listed, then one a folder that cannot be read."""
    rows = []
    for one in of.runs:
        made = record(one.run)
        row = {key: made[key] for key in OF_RUN if key != "outcome"} | {
            "identity": one.known["identity"], "folder": one.known["folder"], STATE: one.known[STATE],
            "generator_steps": one.run.generator_steps, "setting": of.settings[one.known["folder"]],
            SCORE: {"name": one.score, "value": one.known[SCORE]} if one.score else None,
            "metrics": {key: value for key, value in made.items() if key not in OF_RUN},
        }  # fmt: skip
        rows.append(row)
    for folder, reason in of.skipped:
        rows += [{"run": folder.name, "folder": str(folder), STATE: BROKEN, "reason": reason}]
    return json.dumps(finite(rows), indent=1, ensure_ascii=False)


def number(value: Any) -> str:
    """A number by its first four digits; a dash where there is none.

    >>> number(44.3019), number(0.0), number(123456.0), number(math.nan), number("hinge")
    ('44.3', '0', '1.235e+05', '–', 'hinge')
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NOTHING if value is None else str(value)
    return f"{value:.4g}" if math.isfinite(value) else NOTHING


def _settings(runs: Sequence[Run]) -> dict[str, str]:
    """For each folder what tells its run from others of its data set, but seed and normalizer."""
    found: dict[str, str] = {}
    for members in by_dataset(runs).values():
        told = differences([run.config for run in members])
        found |= {str(run.folder): text for run, text in zip(members, told, strict=True)}
    return found


def _labels(runs: Sequence[Run]) -> dict[str, Extractor]:
    """For each folder the extractor that its score comes from."""
    found: dict[str, Extractor] = {}
    for members in by_dataset(runs).values():
        for extractor in extractors(members):
            for run in members:
                if extractor.scored(run) and run.names(f"{names.FID}/{extractor.name}"):
                    found.setdefault(str(run.folder), extractor)
    return found


def _wide(titles: Sequence[str], rows: Sequence[Mapping[str, Text]], between: int) -> int:
    """How many characters a table takes with nothing folded, so many between its columns."""
    widths = (max([len(title), *(row[title].cell_len for row in rows)]) for title in titles)
    return sum(widths) + between * (len(titles) - 1)


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
