"""Which folder a run is to have, and that it is this process's alone while it trains.

A run's identity ends its folder's name, so the same trial finds its own folder again: it goes on there, or is
not run a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from glob import escape
from pathlib import Path
from typing import Any

from filelock import FileLock

from snlab.core.errors import UserError
from snlab.tracking.identity import computes, identity
from snlab.tracking.places import LOCK, folder_words, move_aside, repeats, told
from snlab.tracking.run_folder import CONFIG, METRICS, OVER, Run, RunWriter
from snlab.training.build import canonical
from snlab.training.waiting import taken


@dataclass(frozen=True)
class Claim:
    """The folder that a configuration's run belongs in."""

    settings: dict[str, Any]
    identity: str
    folder: Path

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Claim:
        """The claim of a complete configuration; UserError where it names something unknown."""
        name = identity(canonical(settings))
        if settings["run_folder"] is not None:
            return cls(settings, name, Path(settings["run_folder"]))
        runs = Path(settings["runs"])
        words = folder_words(
            settings["data"]["dataset"], settings["model"]["normalizer"], settings["seed_everything"]
        )
        with told(runs, "read"):
            # The trial's folder may have been named by another spelling of the same options.
            there = sorted(runs.glob(f"*-{name}")) or _named_before(runs, words, name)
        return cls(settings, name, there[0] if there else runs / f"{words}-{name}")

    def finished(self) -> Run | None:
        """The run, where it is over already; UserError where the folder holds another configuration."""
        with told(self.folder, "read"):
            if not (self.folder / CONFIG).exists():
                return None
        run = Run.read(self.folder)
        if _identity_of(run) != self.identity:
            raise UserError(
                f"run folder {self.folder} holds another configuration "
                f"({_difference(run.config, self.settings)}); choose another --run_folder"
            )
        return run if run.outcome in OVER else None

    @contextmanager
    def held(self, anew: bool = False) -> Iterator[RunWriter]:
        """Keep the folder to this process; UserError where only --resume may go on with what it holds.

        A process that waited for another goes on with what that leaves. Stopped where a signal ends the wait.

        Args:
            anew: move aside what the folder holds, and begin an empty one.
        """
        with ExitStack() as kept:
            with told(self.folder, "written"):
                if anew:
                    move_aside(self.folder)
                self.folder.mkdir(parents=True, exist_ok=True)
                waited = kept.enter_context(taken(FileLock(self.folder / LOCK), self.folder))
                writer = RunWriter(self.folder)
                if not (self.folder / CONFIG).exists():
                    writer.write_config({**self.settings, "again": False})  # fed back, it is the same run
                elif not (self.settings["resume"] or waited) and (self.folder / METRICS).exists():
                    raise UserError(
                        f"run folder {self.folder} holds this run, unfinished; add --resume to go on with it"
                    )
            yield writer

    @property
    def repeats(self) -> int:
        """How often the run was begun anew."""
        return repeats(self.folder)


def _named_before(runs: Path, words: str, name: str) -> list[Path]:
    """The folder of a run of this identity that an earlier version, whose names have ten digits, began."""
    found = sorted(runs.glob(f"{escape(words)}-{10 * '[0-9a-f]'}"))
    return [folder for folder in found if _identity_in(folder) == name]


@cache
def _identity_in(folder: Path) -> str | None:
    try:
        return _identity_of(Run.read(folder))
    except UserError:
        return None


def _identity_of(run: Run) -> str | None:
    try:
        return identity(canonical(run.config))
    except (KeyError, TypeError, UserError):
        return None  # a configuration that this version does not know


def _difference(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> str:
    """The first setting in which two configurations differ, in words."""
    for key in dict.fromkeys([*new, *old]):
        before, now = old.get(key), new.get(key)
        if before != now and computes(f"{prefix}{key}"):
            if isinstance(before, Mapping) and isinstance(now, Mapping):
                return _difference(before, now, f"{prefix}{key}.")
            return f"{prefix}{key} is {before} there and {now} here"
    return "it was written by another version"
