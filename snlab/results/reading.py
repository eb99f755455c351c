"""The runs that results are made of: what is damaged is set apart, and what cannot be read is named."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from snlab.core import names
from snlab.core.errors import UserError
from snlab.core.progress import counted, progress
from snlab.tracking.damage import damage
from snlab.tracking.history_cache import unread
from snlab.tracking.identity import identity
from snlab.tracking.reading_ahead import reading_ahead
from snlab.tracking.run_folder import METRICS, Run, Skipped, read_runs
from snlab.tracking.wandb_runs import is_place, read_wandb_runs

DAMAGED = "damaged"  # it finished, and its record does not bear that out: no result

SEEN = 128 * 2**20  # bytes of text that take more than a second to read


@dataclass(frozen=True)
class Collected:
    """The runs below a folder, and the folders of runs that cannot be read."""

    runs: list[Run]
    skipped: list[Skipped] = field(default_factory=list)

    def among(self, folders: Iterable[Path]) -> Collected:
        """Only what lies in one of these folders."""
        wanted = {folder.resolve() for folder in folders}
        runs = [run for run in self.runs if run.folder.resolve() in wanted]
        return Collected(runs, [skip for skip in self.skipped if skip.folder.resolve() in wanted])


def collect(*roots: str | Path) -> Collected:
    """Every run of each of ``roots``, once, the outcome of damaged ones DAMAGED.

    Args:
        roots: folders, below which all runs are; or places on W&B, ``wandb:ENTITY/PROJECT``.

    Raises:
        UserError: where there is none at one of them, or where none can be read.
    """
    found: dict[Path, Run] = {}
    broken: dict[Path, Skipped] = {}
    for root in roots:
        readable, unreadable = read_wandb_runs(str(root), _counted) if is_place(root) else read_runs(root)
        found |= {run.folder.resolve(): run for run in readable}
        broken |= {skip.folder.resolve(): skip for skip in unreadable}
    runs, skipped = [], [*broken.values()]
    for run in _read_through([*found.values()]):
        try:
            runs.append(examined(run))
        except (AttributeError, OSError, OverflowError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            skipped.append(Skipped(run.folder, f"it holds what no run writes: {reason}"))
    if not runs:
        reasons = "; ".join(f"{skip.folder.name}: {skip.reason}" for skip in skipped)
        raise UserError(f"no run in {', '.join(map(str, roots))} can be read: {reasons}")
    return Collected(runs, sorted(skipped))


def _counted(runs: Iterable[Any], total: int) -> Iterable[Any]:
    return counted(runs, total, "reading runs from W&B")


def _read_through(runs: Sequence[Run]) -> Iterator[Run]:
    """The runs in their order; what takes long to read is read by several CPUs, with its progress told."""
    sizes = {run.folder / METRICS: size for run in runs if (size := _unread(run))}
    total = sum(sizes.values())
    if total < SEEN:
        yield from runs
        return
    what = f"reading what {len(sizes)} runs logged, once ({total / 1e9:.1f} GB)"
    with reading_ahead([*sizes], total), progress(what, total) as done:
        for run in runs:
            yield run
            done(sizes.get(run.folder / METRICS, 0))


def _unread(run: Run) -> int:
    """The bytes of text that are to be read of a run; 0 of one that is in the cache."""
    path = run.folder / METRICS
    try:
        return 0 if run.loaded is not None else unread(path)
    except OSError:  # as reading it will find
        return 0


def examined(run: Run) -> Run:
    """``run`` itself, or, where its record is damaged, the same with that as its outcome and reason.

    Any of Python's errors where the configuration or the metrics are not of a run's shape.
    """
    model: Mapping[str, Any] = run.config.get("model", {})
    data: Mapping[str, Any] = run.config.get("data", {})
    if not (isinstance(model, Mapping) and isinstance(data, Mapping)):
        raise TypeError("model and data want settings of their own")
    _ = run.seed, run.generator_steps, run.history, identity(run.config)  # each is read once, and may fail
    reason = damage(run)
    return (
        run
        if reason is None
        else replace(run, summary=run.summary | {"outcome": DAMAGED, "reason": reason}, loaded=run.history)
    )


# ---- numbers of one run ----------------------------------------------------------------------------------


def final(run: Run, name: str) -> float:
    """What was logged as ``name`` at the run's last measured update; NaN where nothing was, or no number.

    An earlier value is none: it would stand in a table under more updates than it saw.
    """
    found = run.history.of(name)
    if found is None or found[0][-1] != run.last_step:
        return math.nan
    value = found[1].last()
    return float(value) if isinstance(value, int | float) else math.nan


def sigmas(run: Run, prefix: str = names.SIGMA_EXACT) -> np.ndarray:
    """σ of every layer at every measurement but that before training, float64 (n,); finite values only."""
    found = (run.numbers(name) for name in run.names(f"{prefix}/"))
    values = np.concatenate([np.empty(0), *(v[steps > 0] for steps, v in filter(None, found))])
    return values[np.isfinite(values)]


def ratio_name(runs: Iterable[Run], metric: str) -> str:
    """The logged name of a density-ratio metric: the calibrated one where logits are no log ratio.

    That is so for every loss but the standard one (hinge, Wasserstein), and where it was logged.
    """
    calibrated = f"{names.RATIO}/{names.CALIBRATED}/{metric}"
    wanted = any(wants_calibration(run) and calibrated in run.names(calibrated) for run in runs)
    return calibrated if wanted else f"{names.RATIO}/{metric}"


def wants_calibration(run: Run) -> bool:
    """Whether the run's logit is no log ratio before calibration: of any loss but the standard one."""
    loss = str(run.config.get("model", {}).get("loss", "standard"))
    return loss.split("(")[0] != "standard"


def recorded(run: Run, word: str) -> datetime | None:
    """When a run ``begun`` or ``ended``, as its summary has it, in UTC; None where it says no such time."""
    try:
        then = datetime.fromisoformat(run.summary[word])
        return then.astimezone(UTC) if then.tzinfo else then.replace(tzinfo=UTC)
    except (KeyError, OverflowError, TypeError, ValueError):  # summaries of before have none
        return None


# ---- tidy records ----------------------------------------------------------------------------------------


def record(run: Run) -> dict[str, Any]:
    """One flat row of a run: what it was, how it ended, and the last value of every scalar that it logged."""
    model = run.config.get("model", {})
    last = {name: run.history.last(name) for name in run.names()}
    return {
        "run": run.folder.name,
        "dataset": run.dataset,
        "network": model.get("network"),
        "loss": model.get("loss"),
        "normalizer": run.normalizer,
        "seed": run.seed,
        "outcome": run.outcome,
        "reason": run.summary.get("reason"),
        names.GENERATOR_STEP: run.summary.get("generator_step", run.last_step),
        "seconds": run.summary.get("seconds"),
        "identity": run.summary.get("identity") or identity(run.config),
        **{
            name: math.nan if value is None else float(value)
            for name, value in last.items()
            if value is None or isinstance(value, int | float)
        },
    }


def records(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """One record a run, in the order given."""
    return [record(run) for run in runs]
