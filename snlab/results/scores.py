"""The scores of a run's checkpoints: those that it logged in training, and those that were added later."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from snlab.core.names import GENERATOR_STEP
from snlab.metrics.protocols import PROTOCOLS
from snlab.results.extractors import Extractor, digest_of
from snlab.results.reading import final
from snlab.tracking.run_folder import FINISHED, Run
from snlab.tracking.scores import BEST, LAST, full_name, read_scores

EMBEDDED = PROTOCOLS["embedded"].extractor  # how the name of a data set's own extractor begins


def last_score(run: Run, metric: str, protocol: str, extractor: Extractor) -> float:
    """Of the checkpoint at the run's last update: as logged, else as kept by ``snlab evaluate``; else NaN."""
    name = f"{metric}/{extractor.name}"
    logged = final(run, name) if protocol == own_protocol(run, extractor.name) else math.nan
    return logged if math.isfinite(logged) else _kept(run, LAST, name, protocol, extractor)


def best_score(run: Run, metric: str, protocol: str, extractor: Extractor) -> float:
    """Of the best checkpoint, on latents that it was not chosen by; NaN where none is kept, or scored."""
    return _kept(run, BEST, f"{metric}/{extractor.name}", protocol, extractor)


def own_protocol(run: Run, extractor: str) -> str:
    """By which protocol the run itself scored with an extractor, given by its name."""
    if extractor.startswith(EMBEDDED):
        return EMBEDDED
    measure = run.config.get("measure")
    return str(measure.get("protocol", "miyato2018") if isinstance(measure, Mapping) else "miyato2018")


def added(run: Run) -> Iterator[tuple[str, Extractor]]:
    """The protocols and extractors by which a finished run's last checkpoint was scored later."""
    for entry in _entries(run, LAST):
        extractor = entry["extractor"]
        yield str(entry["protocol"]), Extractor(str(extractor["name"]), str(extractor["sha256"]))


def _kept(run: Run, kept_as: str, name: str, protocol: str, extractor: Extractor) -> float:
    """A score that was kept; of several, the newest."""
    found = math.nan
    for entry in _entries(run, kept_as):
        told = entry["extractor"]
        known = extractor.digest or digest_of(run, extractor.name)
        if (
            entry["protocol"] == protocol
            and told["name"] == extractor.name
            and known in (None, told["sha256"])
        ):
            value = entry["scores"].get(full_name(name, protocol))
            found = float(value) if isinstance(value, int | float) else math.nan
    return found


def _entries(run: Run, kept_as: str) -> Iterator[dict[str, Any]]:
    """What was scored of a finished run's last or best checkpoint, with the weights that it scored itself."""
    if run.outcome != FINISHED:
        return
    model = run.config.get("model")
    averaged = isinstance(model, Mapping) and model.get("ema_decay") is not None
    for entry in read_scores(run.folder):
        checkpoint, extractor = entry.get("checkpoint"), entry.get("extractor")
        if not (isinstance(checkpoint, Mapping) and isinstance(extractor, Mapping)):
            continue
        whole = {"name", "sha256"} <= extractor.keys() and "protocol" in entry
        wanted = (kept_as, "ema" if averaged else "raw")
        at_the_end = kept_as == BEST or entry.get(GENERATOR_STEP) == run.generator_steps
        if whole and at_the_end and (checkpoint.get("kept_as"), entry.get("weights")) == wanted:
            yield entry
