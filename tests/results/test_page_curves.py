"""Curves thinned for the page: no extreme is lost, and seeds keep their common updates."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from snlab.results.page.series import FEWEST, MOST, Curves, bucket_ends, clock, points_for, t_factors
from snlab.tracking.run_folder import Run, RunWriter


def written(folder: Path, steps: np.ndarray, **columns: np.ndarray) -> Run:
    writer = RunWriter(folder)
    writer.write_config({"seed_everything": 0, "generator_steps": int(steps[-1])})
    for i, step in enumerate(steps):
        writer.append_metrics(
            int(step), {name.replace("__", "/"): float(v[i]) for name, v in columns.items()}
        )
    return Run.read(folder)


def unpacked(curve: dict[str, Any], key: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(curve[key]), "<f4")


@pytest.mark.parametrize("every", [1, 3])
def test_thinning_keeps_every_extreme_and_the_ends(tmp_path: Path, every: int) -> None:
    rng = np.random.default_rng(0)
    steps = every * np.arange(1, 1001)
    values = rng.standard_normal(1000)
    values[417] = 1e3  # one spike
    run = written(tmp_path, steps, a=values)
    curves = Curves(50, int(steps[-1]))
    curve = curves.curve(run, "a")
    assert curve is not None
    low, high, last = (unpacked(curve, key) for key in ("low", "high", "last"))
    grid = np.array(curves.grids[curve["grid"]])
    assert len(grid) <= 50
    assert curves.thinned
    assert curves.longest == 1000
    assert grid[-1] == steps[-1]
    starts = np.concatenate([[0], grid[:-1]])
    for start, end, a, b, c in zip(starts, grid, low, high, last, strict=True):
        inside = values[(steps > start) & (steps <= end)]
        assert (a, b, c) == pytest.approx((inside.min(), inside.max(), inside[-1]), rel=1e-6)


def test_a_short_curve_is_given_whole(tmp_path: Path) -> None:
    run = written(tmp_path, np.array([0, 7, 20]), a=np.array([1.0, np.nan, 3.0]))
    curves = Curves(50, 20)
    curve = curves.curve(run, "a")
    assert curve is not None
    assert "low" not in curve
    assert curves.grids[curve["grid"]] == [0, 20]
    assert unpacked(curve, "last").tolist() == [1, 3]
    assert curves.curve(run, "b") is None
    assert not curves.thinned


def test_runs_that_end_early_share_the_updates_of_the_others(tmp_path: Path) -> None:
    values = np.arange(1000.0)
    long = written(tmp_path / "a", np.arange(1, 1001), a=values)
    short = written(tmp_path / "b", np.arange(1, 638), a=values[:637])
    curves = Curves(40, 1000)
    grids = [curves.grids[curves.curve(run, "a")["grid"]] for run in (long, long, short)]  # type: ignore[index]
    assert grids[0] == grids[1]
    assert len(curves.grids) == 2
    assert grids[2][:-1] == [step for step in grids[0] if step < 637]
    assert grids[2][-1] == 637


def test_buckets_are_of_one_width() -> None:
    assert bucket_ends(np.arange(11), 5).tolist() == [0, 5, 10]
    assert bucket_ends(np.array([3]), 5).tolist() == [0]


def test_the_page_has_room_for_a_hundred_runs() -> None:
    assert points_for(1) == MOST
    assert points_for(10**9) == FEWEST
    assert 100 * 70 * points_for(100 * 70) * 3 * 4 * 4 / 3 < 8e6  # float32 in base64


def test_wall_time_counts_measurements(tmp_path: Path) -> None:
    """Ten updates at 2 a second, ten at 4; of the wall time half was measuring at first, a third then."""
    run = written(
        tmp_path, np.array([10, 20]),
        time__generator_steps_per_second=np.array([2.0, 4.0]), time__diagnostics_share=np.array([0.5, 1 / 3]),
    )  # fmt: skip
    found = clock(run)
    assert found is not None
    assert found["steps"] == [0, 10, 20]
    assert found["seconds"] == pytest.approx([0, 5 / 0.5, 7.5 / (2 / 3)], abs=1e-3)


def test_no_wall_time_without_the_speed(tmp_path: Path) -> None:
    assert clock(written(tmp_path, np.array([1, 2]), a=np.ones(2))) is None


def test_factors_of_the_interval_are_students() -> None:
    factors = t_factors(5)
    assert factors[:2] == [None, None]
    for n in (2, 3, 5):
        assert factors[n] == pytest.approx(stats.t.ppf(0.975, n - 1) / n**0.5)
