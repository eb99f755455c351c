from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from snlab.core.errors import UserError
from snlab.results import frame
from snlab.results.reading import collect
from snlab.results.tidy import OF_RUN
from tests.results.table_runs import keep

pandas = pytest.importorskip("pandas", reason="NOT TESTED: no pandas here (pip install 'snlab[pandas]')")

FID = "fid/embedded-digits"


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def logged(folder: Path) -> set[tuple[str, int, str, float | None]]:
    """Every scalar in a run's own file, read without the package's code: run, step, metric, value."""
    return {
        (folder.name, row["generator_step"], name, value)
        for row in rows(folder)
        for name, value in row.items()
        if name != "generator_step" and not isinstance(value, list | str)
    }


def told(data: Any) -> list[tuple[str, int, str, float | None]]:
    columns = [data[name].tolist() for name in ("run", "generator_step", "metric", "value")]
    return [
        (run, step, metric, None if math.isnan(value) else value)
        for run, step, metric, value in zip(*columns, strict=True)
    ]


@pytest.fixture
def folders(lab: Any) -> list[Path]:
    odd = {"note": "a user's own", "none/yet": None, "modes/covered": 3, "mixed": 1}
    return [
        lab.write("none", 0),
        lab.write("spectral_norm", 1),
        lab.write("none", 2, metrics=lambda n, s, step, p: odd | {"mixed": 1 if step else 0.5, FID: 9.0}),
    ]


def test_every_number_that_was_logged_has_a_row(lab: Any, folders: list[Path]) -> None:
    data = frame(lab.root, per="step")
    assert list(data.columns) == [*OF_RUN, "metric", "value"]
    found = told(data)
    assert len(found) == len(set(found))
    assert set(found) == set.union(*map(logged, folders))
    assert {str(kind) for kind in data.dtypes} == {"category", "int64", "float64"}
    of_run = data[data.run == folders[1].name]
    assert set(of_run.seed) == {1}
    assert set(of_run.normalizer) == {"spectral_norm"}
    assert set(of_run.seconds) == {12.5}


def test_one_row_a_run_and_metric_has_the_last(lab: Any, folders: list[Path]) -> None:
    last = set()
    for folder in folders:
        values = {name: (step, value) for _, step, name, value in sorted(logged(folder), key=lambda r: r[1])}
        last |= {(folder.name, step, name, value) for name, (step, value) in values.items()}
    found = told(frame(lab.root))
    assert len(found) == len(last)
    assert set(found) == last


def test_one_row_a_run_has_a_column_a_metric(lab: Any, folders: list[Path]) -> None:
    data = frame(lab.root, per="run").set_index("run")
    assert len(data) == 3
    for folder in folders:
        own = data.loc[folder.name]
        (*_, last) = rows(folder)
        assert own[FID] == last[FID]
        assert own["generator_step"] == last["generator_step"]
    assert list(data.normalizer) == ["none", "none", "spectral_norm"]
    assert math.isnan(data.loc[folders[2].name, "sigma/exact/conv1"])
    assert "note" not in data.columns


def test_every_score_that_was_added_has_a_row(lab: Any, folders: list[Path]) -> None:
    keep(folders[1], 4.0)
    keep(folders[1], 5.0, "last", protocol="50k", extractor="inception-v3-compat", sha256="f" * 64, std={
        "fid/inception-v3-compat/50k": 0.5, "inception_score/inception-v3-compat/50k": None,
    })  # fmt: skip
    data = frame(lab.root, per="score").set_index("metric")
    assert len(data) == 4
    assert set(data.run) == {folders[1].name}
    best = data.loc["fid/embedded-digits/embedded"]
    assert (best.value, best.checkpoint, best.weights, best.generator_step) == (4.0, "best", "raw", 200)
    assert math.isnan(best["std"])
    later = data.loc["fid/inception-v3-compat/50k"]
    assert (later.value, later["std"], later.draws, later.checkpoint) == (5.0, 0.5, 1, "last")
    assert (later.extractor, later.protocol) == ("inception-v3-compat", "50k")


def test_statistics_over_seeds(lab: Any, folders: list[Path]) -> None:
    data = frame(lab.root)
    fid = data[data.metric == FID].groupby("normalizer").value.agg(["mean", "std", "count"])
    values = [rows(folder)[-1][FID] for folder in folders]
    assert fid.loc["none", "mean"] == pytest.approx((values[0] + values[2]) / 2)
    assert fid["count"].to_dict() == {"none": 2, "spectral_norm": 1}


@pytest.mark.parametrize("per", ["run", "metric", "step", "score"])
def test_of_runs_as_of_their_folder_and_of_none(per: Any, lab: Any, folders: list[Path]) -> None:
    pandas.testing.assert_frame_equal(frame(lab.root, per), frame(collect(lab.root).runs, per))
    assert frame([], per).empty
    assert set(OF_RUN) <= set(frame([], per).columns)


def test_classes_are_named_as_called(lab: Any) -> None:
    lab.write(
        {"class_path": "mine.Clip", "init_args": {"limit": 1}}, 0, loss={"class_path": "a.Loss"}, name="a"
    )
    data = frame(lab.root, per="step")
    assert set(data.normalizer) == {"Clip(limit=1)"}
    assert set(data.loss) == {"Loss"}


def test_what_a_row_may_be(lab: Any) -> None:
    with pytest.raises(UserError, match="per='steps' is no row of a frame; did you mean 'step'"):
        frame([], per="steps")  # type: ignore[arg-type]


def test_without_pandas_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"pip install 'snlab\[pandas\]'"):
        frame([])
