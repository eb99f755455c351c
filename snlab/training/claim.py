"""Which folder a run is to have, and that it is this process's alone while it trains.

A run's identity ends its folder's name, so the same trial finds its own folder again: it goes on there, or is
not run a second time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from snlab.core import registry
from snlab.core.errors import UserError
from snlab.tracking.run_folder import CONFIG, METRICS, OVER, Run, RunWriter, identity
from snlab.training.build import canonical

LOCK = ".lock"


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
        # The trial's folder may have been named by another spelling of the same options.
        there = sorted(Path(settings["runs"]).glob(f"*-{name}"))
        if there:
            return cls(settings, name, there[0])
        words = f"{_word(settings['data']['dataset'])}-{_word(settings['model']['normalizer'])}"
        return cls(
            settings, name, Path(settings["runs"]) / f"{words}-seed{settings['seed_everything']}-{name}"
        )

    def finished(self) -> Run | None:
        """The run, where it is over already; UserError where the folder holds another configuration."""
        if not (self.folder / CONFIG).exists():
            return None
        run = Run.read(self.folder)
        if self._identity_of(run) != self.identity:
            raise UserError(
                f"run folder {self.folder} holds another configuration "
                f"({_difference(run.config, self.settings)}); choose another --run_folder"
            )
        return run if run.outcome in OVER else None

    @contextmanager
    def held(self) -> Iterator[RunWriter]:
        """Keep the folder to this process; UserError where only --resume may go on with what it holds."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / LOCK, timeout=0):
                writer = RunWriter(self.folder)
                if not (self.folder / CONFIG).exists():
                    writer.write_config(self.settings)
                elif not self.settings["resume"] and (self.folder / METRICS).exists():
                    raise UserError(
                        f"run folder {self.folder} holds this run, unfinished; add --resume to go on with it"
                    )
                yield writer
        except Timeout:
            raise UserError(f"run folder {self.folder} is in use by another process") from None
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            raise UserError(f"run folder {self.folder} cannot be written: {error.strerror}") from error

    def _identity_of(self, run: Run) -> str | None:
        try:
            return identity(canonical(run.config))
        except (KeyError, TypeError, UserError):
            return None  # a configuration that this version does not know


def _word(value: Any) -> str:
    """A name with its options as part of a file name."""
    return re.sub(r"[^\w.+=-]+", "_", registry.label(value)).strip("_")[:80]


def _difference(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> str:
    """The first setting in which two configurations differ, in words."""
    for key in dict.fromkeys([*new, *old]):
        before, now = old.get(key), new.get(key)
        if before != now and key not in ("runs", "run_folder", "resume", "wandb"):
            if isinstance(before, Mapping) and isinstance(now, Mapping):
                return _difference(before, now, f"{prefix}{key}.")
            return f"{prefix}{key} is {before} there and {now} here"
    return "it was written by another version"
