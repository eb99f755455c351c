"""The run folder: the one place that writes it, and the one that reads it. Never imports torch.

RUN/config.yaml      the complete configuration
    metrics.jsonl    one JSON object a line, each with its generator_step; only ever appended to
    summary.json     written last, in one piece, with the outcome
    checkpoints/     samples/     wandb/
    wandb/url        where W&B shows the run, where it is mirrored online
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from snlab.core.errors import UserError
from snlab.core.files import write_atomically
from snlab.core.names import GENERATOR_STEP
from snlab.core.registry import label
from snlab.tracking.history import History, read_rows
from snlab.tracking.history_cache import keep, kept_history

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
SUMMARY = "summary.json"
CHECKPOINTS = "checkpoints"
SAMPLES = "samples"
WANDB_URL = "wandb/url"  # where on W&B a mirrored run is shown: its address, in one line
MODULE = "module"  # in the configuration, where the run was of a LightningModule of the user's: its class
REAL = "real"  # in SAMPLES, beside the generated: real samples, and the centres of a mixture's modes
MODES = "modes"
_CHECKPOINT = f"{CHECKPOINTS}/step-*.ckpt"
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is libyaml's, and 7 times as fast
_UNREADABLE = " is not a readable run folder: "

FINISHED = "finished"
DIVERGED = "diverged"  # non-finite loss or weights: a result, not an error
FAILED = "failed"
KILLED = "killed"
LOST = "another process of this run ended"  # a reason for which a run is killed
TIME_IS_UP = "max_time reached"  # another
UNFINISHED = "unfinished"  # no summary: still running, or ended without a word
STOPPED = "stopped"  # before its last update, by a callback of its own configuration
OVER = (FINISHED, DIVERGED, STOPPED)  # outcomes that running the same trial again would only repeat

ON_WANDB = "wandb:"  # begins the "folder" of a run that was read from W&B
BEFORE = ".before-"  # ends the name of a run that was trained again, with a number


# ---- writing --------------------------------------------------------------------------------------------


class RunWriter:
    """Writes one run folder; creating one creates nothing until something is written."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def write_config(self, config: Mapping[str, Any]) -> None:
        write_atomically(self.folder / CONFIG, yaml.safe_dump(dict(config), sort_keys=False))

    def append_metrics(self, generator_step: int, metrics: Mapping[str, Any]) -> None:
        """Add one line; numbers that are not finite are written as null, as JSON has no word for them."""
        row = {GENERATOR_STEP: generator_step, **{name: finite(value) for name, value in metrics.items()}}
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def go_on_from(self, generator_step: int) -> None:
        """Drop what a run that goes on from ``generator_step`` writes anew: later lines, and the summary."""
        (self.folder / SUMMARY).unlink(missing_ok=True)
        path = self.folder / METRICS
        if path.exists():
            kept = [row for row in read_rows(path) if row[GENERATOR_STEP] <= generator_step]
            write_atomically(path, "".join(json.dumps(row) + "\n" for row in kept))

    def write_wandb_url(self, url: str) -> None:
        write_atomically(self.folder / WANDB_URL, f"{url}\n")

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """The run's last word. What a long one logged goes into the cache, for whoever looks at it first."""
        text = json.dumps({name: finite(value) for name, value in summary.items()}, indent=1)
        write_atomically(self.folder / SUMMARY, text + "\n")
        keep(self.folder / METRICS)


def finite(value: Any) -> Any:
    """``value`` with null for every number that is not finite: JSON has no word for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


# ---- reading --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run, read: of a run folder, or of W&B, whose ``folder`` is none and whose history is ``loaded``."""

    folder: Path
    config: dict[str, Any]
    summary: dict[str, Any]
    loaded: History | None = field(default=None, repr=False, compare=False)

    @classmethod
    def read(cls, folder: str | Path) -> Run:
        folder = Path(folder)
        try:
            config = yaml.load((folder / CONFIG).read_text(encoding="utf-8"), YAML_LOADER)
            path = folder / SUMMARY
            summary = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise UserError(f"{folder}{_UNREADABLE}{_one_line(error)}") from error
        if not isinstance(config, dict) or not isinstance(summary, dict):
            raise UserError(f"{folder}{_UNREADABLE}{CONFIG} or {SUMMARY} holds no mapping")
        return cls(folder, config, summary)

    @property
    def normalizer(self) -> str:
        return label(self.config.get("model", {}).get("normalizer", "none"))

    @property
    def dataset(self) -> str:
        return label(self.config.get("data", {}).get("dataset", "unknown"))

    @property
    def seed(self) -> int:
        return int(self.config.get("seed_everything", 0))

    @property
    def generator_steps(self) -> int:
        return int(self.config.get("generator_steps", 0))

    @property
    def outcome(self) -> str:
        outcome = str(self.summary.get("outcome", UNFINISHED))
        if outcome == FINISHED and self.summary.get("generator_step", math.inf) < self.generator_steps:
            return UNFINISHED  # as --trainer.fast_dev_run once left it
        return outcome

    @property
    def wandb_url(self) -> str | None:
        """Where W&B shows the run; None where it was not mirrored online."""
        try:
            url = (self.folder / WANDB_URL).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return None
        return url if url.startswith(("https://", "http://")) else None

    @property
    def on_wandb(self) -> bool:
        """Whether it was read from W&B, which has neither its samples nor its spectra as numbers."""
        return str(self.folder).startswith(ON_WANDB)

    @cached_property
    def history(self) -> History:
        """What was logged, as columns; OSError where the folder's metrics cannot be read."""
        path = self.folder / METRICS
        if self.loaded is not None:
            return self.loaded
        return kept_history(path) if path.exists() else History()

    @cached_property
    def rows(self) -> dict[int, dict[str, Any]]:
        """What was logged, by generator step: the lines of one step are one row. ``series`` is quicker."""
        return self.history.rows()

    def series(self, name: str) -> tuple[list[int], list[Any]]:
        """Steps and values of one logged name; null is given as NaN."""
        found = self.history.of(name)
        if found is None:
            return [], []
        steps, values = found
        return steps.tolist(), values.numbered()

    def numbers(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Steps int64 (n,) and values float64 (n,) of one logged scalar, NaN for null.

        None where it was never logged, or is no scalar. The arrays are the run's own: not to be written to.
        """
        found = self.history.of(name)
        values = None if found is None else found[1].floats()
        return None if found is None or values is None else (found[0], values)

    def names(self, prefix: str = "") -> list[str]:
        """Every logged name that starts with ``prefix``, in order of first appearance."""
        return [name for name in self.history.columns if name.startswith(prefix)]

    def last(self, name: str) -> float:
        """The last logged value of ``name``; NaN where there is none."""
        value = self.history.last(name)
        return math.nan if value is None else float(value)

    @property
    def last_step(self) -> int:
        """The last generator step that something was logged at; 0 where nothing was."""
        return self.history.last_step or 0


class Skipped(NamedTuple):
    """A folder that some run left, and why it cannot be read."""

    folder: Path
    reason: str


def find_runs(root: str | Path) -> list[Run]:
    """Every run below ``root`` that can be read, sorted by folder; UserError where no run is there."""
    return read_runs(root)[0]


def read_runs(root: str | Path) -> tuple[list[Run], list[Skipped]]:
    """The runs below ``root`` (or ``root`` itself), and the folders of runs that cannot be read.

    Both are sorted by folder. UserError where there is neither.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"no folder {root}: --runs wants a folder that holds runs")
    found, skipped = run_folders(root)
    runs = []
    for folder in found:
        try:
            runs.append(Run.read(folder))
        except UserError as error:
            skipped.append(Skipped(folder, str(error).removeprefix(f"{folder}{_UNREADABLE}")))
    if not runs and not skipped:
        raise UserError(f"no run in {root}: snlab fit and snlab demo write run folders, each with a {CONFIG}")
    return runs, sorted(skipped)


def run_folders(root: Path) -> tuple[list[Path], list[Skipped]]:
    """Folders with a configuration below ``root``, links to a run followed, and each run once.

    Beside them, what was a run's folder before its configuration went, and folders that cannot be opened.
    """
    found: dict[Path, Path] = {}
    broken: dict[Path, Skipped] = {}
    walked: set[Path] = set()

    def unreadable(error: OSError) -> None:
        folder = Path(error.filename)
        broken[folder] = Skipped(folder, error.strerror or type(error).__name__)

    for path, folders, files in os.walk(root, followlinks=True, onerror=unreadable):
        folder, resolved = Path(path), Path(path).resolve()
        kept = CHECKPOINTS in folders
        folders[:] = sorted(
            name for name in folders if name not in ("wandb", CHECKPOINTS, SAMPLES) and BEFORE not in name
        )
        if CONFIG in files:
            folders.clear()  # a run holds no other
            if found.setdefault(resolved, folder).is_symlink():
                found[resolved] = folder  # under its own name rather than a link's
        elif resolved in walked:
            folders.clear()  # links may lead in circles
        elif {METRICS, SUMMARY} & {*files} or (kept and any(folder.glob(_CHECKPOINT))):
            broken[resolved] = Skipped(folder, f"its {CONFIG} is gone")
        walked.add(resolved)
    return sorted(found.values()), list(broken.values())


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
