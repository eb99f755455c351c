"""Runs read back from W&B, with the same answers as from their folders. Never imports torch.

What W&B does not have of a run is samples, and spectra as numbers: of these it has pictures and histograms.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from snlab.core.errors import UserError
from snlab.core.names import GENERATOR_STEP
from snlab.core.nesting import nested
from snlab.tracking.history import History, gathered
from snlab.tracking.history_cache import kept
from snlab.tracking.run_folder import ON_WANDB, Run, Skipped
from snlab.tracking.wandb_record import RECORD, Record, read

FORMS = f"{ON_WANDB}ENTITY/PROJECT, or that and /SWEEP, /groups/GROUP or /runs/RUN"
PAGE = 10_000  # rows of a history that are asked for at a time
_FILTERS = {"sweeps": "sweep", "groups": "group", "runs": "name"}
_OWN = "_"  # how the names begin that W&B itself adds


class Place(NamedTuple):
    """A project on W&B, and which of its runs; no ``filters`` for all."""

    entity: str
    project: str
    filters: dict[str, str]


def is_place(root: str | Path) -> bool:
    """Whether this names runs on W&B rather than a folder."""
    return str(root).startswith(ON_WANDB)


def place_of(text: str) -> Place:
    """What ``wandb:ENTITY/PROJECT...`` names; UserError where that is no such place.

    >>> place_of("wandb:me/gans"), place_of("wandb:me/gans/groups/first try").filters
    (Place(entity='me', project='gans', filters={}), {'group': 'first try'})
    """
    entity, _, rest = text.removeprefix(ON_WANDB).strip("/").partition("/")
    project, _, some = rest.partition("/")
    kind, _, name = some.partition("/") if "/" in some else ("sweeps", "", some)
    if not entity or not project or kind not in _FILTERS or (some and not name) or name in _FILTERS:
        raise UserError(f"{text} names no runs on W&B: {FORMS}")
    return Place(entity, project, {_FILTERS[kind]: name} if name else {})


def read_wandb_runs(
    text: str, seen: Callable[[Iterable[Any], int], Iterable[Any]] = lambda runs, _: runs
) -> tuple[list[Run], list[Skipped]]:
    """The runs at a place on W&B, and those that snlab did not log; both sorted by name.

    Args:
        text: as ``place_of`` has it.
        seen: is given W&B's runs and their number, and gives them back; so progress can be shown.

    Raises:
        UserError: for a place that is not there or without runs, where nobody is logged in, or W&B does not
            answer.
    """
    place = place_of(text)
    runs, skipped = [], []
    with _told(text):
        api = _api(text)
        found = api.runs(f"{place.entity}/{place.project}", filters=place.filters, lazy=False)
        for shown in seen(found, len(found)) if len(found) else ():
            name = (shown.name or shown.id).replace("/", "_")
            folder = Path(f"{ON_WANDB}{place.entity}/{place.project}/{shown.id}") / name
            record = _record(shown)
            if record is None:
                skipped.append(Skipped(folder, "snlab did not log it"))
            else:
                runs.append(Run(folder, record.config, record.summary, _history(shown, api, record.names)))
    if not runs and not skipped:
        raise UserError(f"no run at {text}")
    return sorted(runs, key=lambda run: run.folder.name), sorted(skipped, key=lambda skip: skip.folder.name)


# ---- one run ---------------------------------------------------------------------------------------------


def _record(shown: Any) -> Record | None:
    """What a run was; of one that an earlier version mirrored, as far as W&B's configuration tells."""
    found = read(shown.summary.get(RECORD))
    if found is not None:
        return found
    config = _unflattened({k: v for k, v in shown.config.items() if not k.startswith(_OWN)})
    if not {"generator_steps", "model", "data"} <= config.keys():
        return None
    outcome = shown.summary.get("outcome")
    step = shown.summary.get(GENERATOR_STEP)
    return Record(config, {"outcome": outcome, GENERATOR_STEP: step} if outcome else {}, [])


def _unflattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the flat names that a sweep gives its parameters."""

    def leaves(tree: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        for name, value in tree.items():
            words = (*path, *(name.split(".") if not path else [name]))
            if isinstance(value, Mapping) and "class_path" not in value:
                yield from leaves(value, words)
            else:
                yield words, value

    return nested(leaves(config, ()))


def _history(shown: Any, api: Any, order: list[str]) -> History:
    """What a run logged; of one that has ended from the cache, where it has not gone on since."""
    place = f"{api.settings['base_url']}/{shown.entity}/{shown.project}/{shown.id}"

    def downloaded() -> History:
        return gathered(_rows(shown.scan_history(page_size=PAGE), order))

    if shown.state not in ("finished", "failed", "crashed", "killed"):
        return downloaded()
    about = (shown.state, shown.heartbeat_at, shown.summary.get("_step"), shown.summary.get("_runtime"))
    return kept(place, repr((*about, order)), downloaded)


def _rows(shown: Iterable[Mapping[str, Any]], order: list[str]) -> Iterator[dict[str, Any]]:
    """The rows of a history as a run folder has them, names in ``order`` and then by themselves."""
    place = {name: i for i, name in enumerate(order)}
    for row in shown:
        step = row.get(GENERATOR_STEP)
        if not isinstance(step, int | float) or not math.isfinite(step):
            continue  # of somebody else's
        kept_names = (name for name, value in row.items() if not name.startswith(_OWN) and _is_value(value))
        names = sorted(kept_names, key=lambda name: (place.get(name, len(place)), name))
        yield {name: _value(row[name]) for name in names} | {GENERATOR_STEP: int(step)}


def _is_value(value: Any) -> bool:
    """Not a picture, a histogram or a table of W&B's; and not null, by which its files fill gaps."""
    return value is not None and not isinstance(value, Mapping)


def _value(value: Any) -> Any:
    """A value as a run folder has it: W&B writes 1.0 as 1, and what is not finite in words."""
    if isinstance(value, list):
        return [_value(v) for v in value]
    if value in ("NaN", "Infinity", "-Infinity"):
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    return value


# ---- W&B -------------------------------------------------------------------------------------------------


def _api(text: str) -> Any:
    """W&B's public API; UserError where the server is not to be asked, or nobody is logged in."""
    mode = os.environ.get("WANDB_MODE", "online")
    if mode not in ("online", "shared"):
        raise UserError(f"WANDB_MODE is {mode}, but {text} is on the server; unset it")
    with contextlib.redirect_stderr(io.StringIO()):  # what it says is ours to say, in one line
        import wandb

        if not wandb.login(prompt=False, verify=False):
            raise UserError(
                f"reading {text} wants a key of W&B's: log in once by wandb login, or set WANDB_API_KEY"
            )
        return wandb.Api()


@contextlib.contextmanager
def _told(text: str) -> Iterator[None]:
    """What goes wrong inside as a UserError of one line."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        reason = " ".join(re.sub(r"<Response.*?>", "", str(error)).split()) or type(error).__name__
        raise UserError(f"{text} cannot be read: {reason}") from error
