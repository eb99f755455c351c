"""The tables that a run leaves on W&B, of numbers that are known."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest

from snlab.core import names
from snlab.results.settings import SETTINGS, Setting
from snlab.tracking.run_folder import Run
from snlab.tracking.wandb_tables import POINTS, SCORE_COLUMNS, Tables


def tables(**model: object) -> Tables:
    config = {"model": model, "data": {"dataset": "digits"}, "generator_steps": 100}
    return Tables(Run(Path("runs/digits-none-seed0"), config, {}))


def adam(setting: Setting) -> dict[str, float]:
    return {"lr": setting.lr, "beta1": setting.beta1, "beta2": setting.beta2}


def rows(made: Tables, outcome: str = "finished") -> list[dict[str, object]]:
    (_, found) = made.made(outcome)[names.TABLE_SCORES]
    return [dict(zip(SCORE_COLUMNS, row, strict=True)) for row in found]


def test_the_newest_score_of_each_name_counts_and_nothing_else():
    made = tables(normalizer="none")
    made.note({"fid/a": 9.0, "inception_score_std/a": 1.0, "loss/generator": 1.0}, 10)
    made.note({"fid/a": 8.0, "modes/covered": 3.0, "modes/other": 1.0}, 20)
    made.note({"fid/b": math.nan}, 30)
    assert made.step == 30
    assert {row["score"]: row["value"] for row in rows(made)} == {
        "fid/a": 8.0,
        "modes/covered": 3.0,
        "fid/b": None,
    }


def test_a_run_without_scores_says_how_it_ended():
    (row,) = rows(tables(normalizer="none"), "diverged")
    assert (row["outcome"], row["score"], row["value"], row["updates"]) == ("diverged", None, None, 100)


@pytest.mark.parametrize("letter", SETTINGS)
def test_the_optimizer_is_written_as_the_chart_of_settings_reads_it(letter):
    setting = SETTINGS[letter]
    (row,) = rows(tables(adam=adam(setting), n_dis=setting.n_dis))
    assert row["optimizer"] == f"{setting.lr:g}/{setting.beta1:g}/{setting.beta2:g}/{setting.n_dis}"


def test_two_optimizers_are_not_one():
    a, b = adam(SETTINGS["A"]), adam(SETTINGS["B"])
    assert rows(tables(adam=a, generator_adam=b))[0]["optimizer"] is None
    assert rows(tables(adam=a, generator_adam=a))[0]["optimizer"] == "0.0001/0.5/0.9/1"
    assert rows(tables())[0]["optimizer"] is None
    assert rows(tables(adam={"lr": "fast"}))[0]["optimizer"] is None


def test_a_long_spectrum_keeps_its_ends_and_its_order():
    values = [1 / (i + 1) for i in range(1000)]
    made = tables(normalizer="none")
    made.note({"spectrum/conv1": values[::-1], "spectrum/dense": [1.0], "spectrum/odd": [1.0, math.inf]}, 5)
    (_, points) = made.made("finished")[names.TABLE_SPECTRA]
    assert {layer for _, _, layer, _, _ in points} == {"conv1"}
    assert len(points) == POINTS
    indices = [index for *_, index, _ in points]
    assert (indices[0], indices[-1]) == (1, 1000)
    steps = [after - before for before, after in pairwise(indices)]
    assert max(steps) - min(steps) <= 1
    assert [value for *_, value in points] == [values[index - 1] for index in indices]
