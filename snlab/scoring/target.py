"""Which checkpoint is meant, and what it holds."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from snlab.callbacks.checkpoint import BestCheckpoint
from snlab.core.errors import UserError
from snlab.core.names import GENERATOR_STEP
from snlab.tracking.checkpoints import (
    SUFFIX,
    AtomicCheckpointIO,
    best_checkpoints,
    checkpoints,
    is_whole,
    newest_good,
)
from snlab.tracking.run_folder import CHECKPOINTS, CONFIG, MODULE, Run
from snlab.tracking.scores import BEST, LAST, NAMED


@dataclass(frozen=True)
class Target:
    """One checkpoint of one run.

    Args:
        run: whose it is.
        path: its file, which is what was written.
        kept_as: ``last``, ``best``, or ``named``, where it is neither.
    """

    run: Run
    path: Path
    kept_as: str

    def read(self) -> dict[str, Any]:
        """What the file holds; UserError where that is no checkpoint of ``snlab fit``."""
        try:
            found = AtomicCheckpointIO().load_checkpoint(self.path)
        except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise UserError(f"{self.path} is no checkpoint: {' '.join(str(error).split())[:120]}") from error
        if not isinstance(found, dict) or not {"state_dict", "global_step"} <= found.keys():
            raise UserError(f"{self.path} is no checkpoint of snlab fit: it holds no networks")
        return found

    def told(self, held: dict[str, Any]) -> dict[str, Any]:
        """What a score says of the checkpoint: its file, and how it was chosen."""
        state = held.get("callbacks", {}).get(BestCheckpoint.__qualname__) if self.kept_as == BEST else None
        return {
            "file": str(self.path.relative_to(self.run.folder)),
            "sha256": hashlib.sha256(self.path.read_bytes()).hexdigest(),
            "kept_as": self.kept_as,
            "chosen_by": state
            and {
                "metric": state["metric"],
                "value": state["value"],
                GENERATOR_STEP: state[GENERATOR_STEP],
                "among": state["measured"],
                "latents": "run",
            },
        }


def find(place: Path, which: str | None) -> Target:
    """The checkpoint at ``place``, or the last or best (``which``) of the run there.

    UserError where there is none, or it is damaged.
    """
    if place.is_dir():
        return _of_run(_run(place), which or LAST)
    if not place.exists():
        raise UserError(f"no run folder and no checkpoint {place}")
    if which is not None:
        raise UserError(f"--checkpoint {which} chooses in a run's folder; {place} is a file")
    if place.suffix != SUFFIX:
        raise UserError(f"{place} is no checkpoint: those of snlab fit end in {SUFFIX}")
    place = place.resolve()
    folder = place.parent.parent
    if place.parent.name != CHECKPOINTS or not (folder / CONFIG).is_file():
        raise UserError(
            f"{place} is in no run's folder, whose {CONFIG} says what its networks are; "
            f"a checkpoint is scored where it was saved, in RUN/{CHECKPOINTS}"
        )
    run = _run(folder)
    if not is_whole(place):
        raise UserError(f"{place} is damaged, or has no {place.name}.sha256 beside it")
    if place in best_checkpoints(place.parent):
        return Target(run, place, BEST)
    return Target(run, place, LAST if place == newest_good(place.parent) else NAMED)


def _run(folder: Path) -> Run:
    """The run in ``folder``; UserError where that is none, or its networks cannot be made again."""
    folder = folder.resolve()
    if not (folder / CONFIG).is_file():
        inside = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}"))
        hint = f"; it holds {len(inside)}, such as {folder / inside[0]}" if inside else ""
        raise UserError(f"{folder} is no run's folder: it has no {CONFIG}{hint}")
    run = Run.read(folder)
    if MODULE in run.config:
        raise UserError(
            f"{folder} is a run of {run.config[MODULE]}; only networks of snlab fit can be made again"
        )
    return run


def _of_run(run: Run, which: str) -> Target:
    folder = run.folder / CHECKPOINTS
    if which == BEST:
        found = next((path for path in best_checkpoints(folder) if is_whole(path)), None)
        if found is None:
            raise UserError(f"{run.folder} has no best checkpoint: snlab fit --keep_best true keeps it")
        return Target(run, found, BEST)
    newest = newest_good(folder)
    if newest is None:
        reason = "its checkpoints are damaged" if checkpoints(folder) else f"it is {run.outcome}"
        raise UserError(f"{run.folder} has no checkpoint to score: {reason}")
    return Target(run, newest, LAST)


def generator_weights(held: dict[str, Any], prefix: str) -> dict[str, torch.Tensor]:
    """Of a checkpoint's state dict what begins with ``prefix``, without it."""
    state = held["state_dict"]
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
