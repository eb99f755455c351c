from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from snlab.core.errors import UserError
from snlab.results import frame
from snlab.results.reading import collect
from snlab.results.tidy import OF_RUN, tidy


def logged(folder: Any, name: str) -> list[tuple[int, float]]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [(line["generator_step"], line[name]) for line in lines if name in line]


def test_one_row_a_run_and_metric(lab: Any) -> None:
    folders = [lab.write("none", 0), lab.write("spectral_norm", 1)]
    rows = tidy(collect(lab.root).runs)
    assert len({(row["run"], row["metric"]) for row in rows}) == len(rows)
    for folder in folders:
        own = {row["metric"]: row for row in rows if row["run"] == folder.name}
        scalars = {
            name
            for name, value in json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1]).items()
            if not isinstance(value, list) and name != "generator_step"
        }
        assert set(own) == scalars
        for name in ("fid/embedded-digits", "sigma/exact/conv1", "loss/discriminator"):
            step, value = logged(folder, name)[-1]
            assert (own[name]["generator_step"], own[name]["value"]) == (step, value)
    assert {row["seed"] for row in rows if row["normalizer"] == "spectral_norm"} == {1}


def test_every_measurement_if_asked(lab: Any) -> None:
    folder = lab.write("none", 0)
    rows = tidy(collect(lab.root).runs, every=True)
    found = [(row["generator_step"], row["value"]) for row in rows if row["metric"] == "fid/embedded-digits"]
    assert found == logged(folder, "fid/embedded-digits")
    assert len(found) == 6


def test_a_data_frame_of_a_folder_and_of_runs(lab: Any) -> None:
    pandas = pytest.importorskip("pandas", reason="NOT TESTED: no pandas here (pip install 'snlab[pandas]')")
    for seed, normalizer in ((0, "none"), (1, "none"), (0, "spectral_norm")):
        lab.write(normalizer, seed)
    data = frame(lab.root)
    assert isinstance(data, pandas.DataFrame)
    assert list(data.columns) == [*OF_RUN, "metric", "value"]
    fid = data[data.metric == "fid/embedded-digits"].groupby("normalizer").value.agg(["mean", "std", "count"])
    values = [logged(folder, "fid/embedded-digits")[-1][1] for folder in sorted(lab.root.glob("*none*"))]
    assert fid.loc["none", "mean"] == pytest.approx(sum(values) / 2)
    assert fid["count"].to_dict() == {"none": 2, "spectral_norm": 1}
    pandas.testing.assert_frame_equal(data, frame(collect(lab.root).runs))
    assert frame([]).empty


def test_without_pandas_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"pip install 'snlab\[pandas\]'"):
        frame([])
