"""Runs as data frames, for plots and statistics of one's own: from their folders or from W&B, the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from snlab.core import names
from snlab.core.errors import UserError, nearest
from snlab.core.registry import label
from snlab.results.reading import collect, record
from snlab.tracking.run_folder import Run
from snlab.tracking.scores import read_scores

if TYPE_CHECKING:
    import pandas

Per = Literal["run", "metric", "step", "score"]
# What a row says of its run, as text; with them the seed, the generator step and the seconds that it took.
TEXTS = ("run", "dataset", "network", "loss", "normalizer", "outcome", "reason", "identity")
OF_RUN = (
    *("run", "dataset", "network", "loss", "normalizer", "seed", "outcome", "reason"),
    *(names.GENERATOR_STEP, "seconds", "identity"),
)
# What a row says of a score that was added.
OF_SCORE = ("protocol", "extractor", "checkpoint", "weights", "metric", "value", "std", "draws")


def frame(runs: Iterable[Run] | str | Path, per: Per = "metric") -> pandas.DataFrame:
    """Runs as a pandas DataFrame.

        fid = frame("runs/").query("metric == 'fid/embedded-digits'")
        fid.groupby("normalizer").value.agg(["mean", "std"])

    Args:
        runs: some, or where they all are: a folder, or ``wandb:ENTITY/PROJECT``.
        per: what has a row of its own.
            ``run``: the columns OF_RUN and one a metric, its last value;
            ``metric``: OF_RUN, ``metric`` and ``value``, the last one, logged at ``generator_step``;
            ``step``: the same with every value that was logged;
            ``score``: OF_RUN and OF_SCORE, for each score that ``snlab evaluate`` added to a run's folder:
            of which checkpoint (whose update is ``generator_step``) by which protocol, the mean over draws of
            latents, their standard deviation and how many. W&B has none of these.

    Texts are categorical, values float64 (NaN where one was not finite); lists (spectra) and words left out.

    Raises:
        UserError: where pandas is not installed, or where no run can be read.
    """
    try:
        import pandas
    except ImportError as error:
        raise UserError("a data frame wants pandas: pip install 'snlab[pandas]'") from error
    if per not in get_args(Per):
        raise UserError(f"per={per!r} is no row of a frame; {nearest(str(per), get_args(Per))}")
    found = list(collect(runs).runs if isinstance(runs, str | Path) else runs)
    told = [record(run) for run in found]
    if per == "run":
        columns = dict.fromkeys((*OF_RUN, *(name for row in told for name in row)))
        table = pandas.DataFrame(told, columns=[*columns])
        for name in TEXTS:
            table[name] = _category([_text(value) for value in table[name]])
        return table
    if per == "score":
        scores = [row | score for run, row in zip(found, told, strict=True) for score in _scores(run)]
        table = pandas.DataFrame(scores, columns=[*OF_RUN, *OF_SCORE])
        for name in (*TEXTS, *OF_SCORE[: OF_SCORE.index("value")]):
            table[name] = _category([_text(value) for value in table[name]])
        return table.astype({"value": np.float64, "std": np.float64, "draws": np.int64})
    curves = [_curves(run, row, every=per == "step") for run, row in zip(found, told, strict=True)]
    metrics = [metric for of_run in curves for metric in of_run]
    lengths = [values.size for of_run in curves for _, values in of_run.values()]
    of_run = np.repeat([i for i, of_run in enumerate(curves) for _ in of_run], lengths).astype(np.int64)

    def column(name: str) -> Any:
        if name in TEXTS:
            return _category([_text(row[name]) for row in told]).take(of_run)
        if name == names.GENERATOR_STEP:
            return _joined([steps for each in curves for steps, _ in each.values()], np.int64)
        values = [row[name] for row in told]
        return np.array(values, dtype=np.float64 if name == "seconds" else np.int64)[of_run]

    table = pandas.DataFrame({name: column(name) for name in OF_RUN}, copy=False)
    table["metric"] = _category(metrics).repeat(lengths)
    table["value"] = _joined([values for each in curves for _, values in each.values()], np.float64)
    return table


def _scores(run: Run) -> Iterator[dict[str, Any]]:
    """Every score that was added to a run's folder, but for entries that are none of ours."""
    for entry in [] if run.on_wandb else read_scores(run.folder):
        extractor, checkpoint = entry.get("extractor"), entry.get("checkpoint")
        if not (isinstance(extractor, Mapping) and isinstance(checkpoint, Mapping)):
            continue
        deviations = entry.get("std")
        for name, value in entry["scores"].items():
            yield {
                names.GENERATOR_STEP: entry.get(names.GENERATOR_STEP),
                "protocol": entry.get("protocol"),
                "extractor": extractor.get("name"),
                "checkpoint": checkpoint.get("kept_as"),
                "weights": entry.get("weights"),
                "metric": name,
                "value": value,
                "std": deviations.get(name) if isinstance(deviations, Mapping) else None,
                "draws": len(entry.get("draws", ())),
            }


def _curves(run: Run, told: dict[str, Any], every: bool) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Steps int64 (n,) and values float64 (n,) of every scalar of a run: all of them, or the last one."""
    some = slice(None) if every else slice(-1, None)
    found = {name: run.numbers(name) for name in told if name not in OF_RUN}
    return {
        name: (steps[some], values[some]) for name, pair in found.items() if pair for steps, values in [pair]
    }


def _joined(parts: Sequence[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *parts])


def _category(texts: Sequence[str | None]) -> Any:
    """A pandas Categorical; its categories in the order in which they come."""
    import pandas

    categories = {text: code for code, text in enumerate(dict.fromkeys(t for t in texts if t is not None))}
    codes = np.array([-1 if text is None else categories[text] for text in texts], dtype=np.int64)
    return pandas.Categorical.from_codes(codes, [*categories])


def _text(value: Any) -> str | None:
    """A class as one would call it."""
    return value if value is None or isinstance(value, str) else label(value)
