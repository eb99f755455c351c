from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from snlab.core.errors import UserError
from snlab.results.collect import collect
from snlab.results.tables import TABLES, Cell, Table, make
from snlab.tracking.run_folder import DIVERGED, FAILED, UNFINISHED, Run

FID = "fid/embedded-digits"


def cell(table: Table, row: str, key: str) -> Cell:
    column = [column.key for column in table.columns].index(key)
    (found,) = [cells[column] for cells in table.rows if cells[0].text == row]
    return found


def keys(table: Table) -> list[str]:
    return [column.key for column in table.columns]


def scores(lab: Any, values: dict[str, list[float]]) -> Table:
    """The table of runs whose last FID is given, a value a seed."""
    for normalizer, fids in values.items():
        for seed, fid in enumerate(fids):
            lab.write(normalizer, seed, metrics=lambda *_, fid=fid: {FID: fid})
    (table,) = make("normalizers", collect(lab.root))
    return table


def best(table: Table) -> list[str]:
    return [row[0].text for row in table.rows if any(cell.best for cell in row)]


def test_every_table_says_what_it_is() -> None:
    assert all(function.__doc__ for function in TABLES.values())


def test_unknown_table() -> None:
    with pytest.raises(UserError, match="did you mean 'normalizers'"):
        make("normaliser", [])


def test_a_table_for_each_data_set_with_rows_in_reading_order(demo: list[Run]) -> None:
    digits, ring = make("normalizers", demo)
    assert digits.title == "digits: standard cnn (width=0.25), standard loss, 200 generator updates"
    assert ring.title.startswith("mixture (kind=ring): mlp")
    for table in (digits, ring):
        assert [row[0].text for row in table.rows] == [
            "none",
            "weight norm",
            "gradient penalty",
            "spectral norm",
        ]


def test_means_and_deviations_agree_with_numpy(demo: list[Run]) -> None:
    digits, _ = make("normalizers", demo)
    for key in (
        FID,
        "kid/embedded-digits",
        "recall/embedded-digits",
        "ratio/log_mass_fake",
        "time/images_per_second",
    ):
        for normalizer, label in (("weight_norm", "weight norm"), ("spectral_norm", "spectral norm")):
            values = [r.last(key) for r in demo if r.dataset == "digits" and r.normalizer == normalizer]
            found = cell(digits, label, key).numbers
            assert found is not None
            assert (found.mean, found.std, found.n) == (
                pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1)), 2,
            )  # fmt: skip
    assert cell(digits, "spectral norm", FID).full == "31.0 ± 1.4"


def test_sigma_is_pooled_over_layers_updates_and_seeds(demo: list[Run]) -> None:
    digits, _ = make("normalizers", demo)
    found = [
        value
        for run in demo if (run.dataset, run.normalizer) == ("digits", "spectral_norm")
        for name in run.names("sigma/exact/")
        for step, value in zip(*run.series(name), strict=True) if step > 0
    ]  # fmt: skip
    for key, wanted in (("sigma_median", np.median(found)), ("sigma_max", np.max(found))):
        numbers = cell(digits, "spectral norm", key).numbers
        assert numbers is not None
        assert numbers.mean == pytest.approx(wanted)


def test_a_diverged_run_is_shown_not_averaged_and_never_best(demo: list[Run]) -> None:
    digits, _ = make("normalizers", demo)
    assert cell(digits, "none", "outcomes").text == "1 finished, 1 diverged"
    assert cell(digits, "none", "failures").text == "50"
    assert cell(digits, "none", FID).full == "90.0 (1/2 diverged)"
    assert any("diverged run counts as the worst score" in note for note in digits.notes)


def test_all_diverged_is_a_word_not_a_number(lab: Any) -> None:
    lab.write("none", 0, outcome=DIVERGED)
    lab.write("spectral_norm", 0)
    (table,) = make("normalizers", collect(lab.root))
    assert cell(table, "none", FID).full == "diverged"
    assert cell(table, "none", "failures").text == "100"


def test_unfinished_runs_are_counted_but_not_scored(demo: list[Run], lab: Any) -> None:
    _, ring = make("normalizers", demo)
    assert cell(ring, "weight norm", "outcomes").text == "1 unfinished"
    assert cell(ring, "weight norm", "modes/covered").text == "–"
    assert cell(ring, "weight norm", "failures").text == "–"
    assert any(note.startswith("1 unfinished") for note in ring.notes)
    lab.write("none", 0, outcome=FAILED)
    lab.write("none", 1)
    (table,) = make("normalizers", collect(lab.root))
    assert cell(table, "none", "failures").text == "50"
    assert cell(table, "none", FID).numbers.n == 1  # type: ignore[union-attr]


def test_columns_that_nothing_fills_are_dropped(demo: list[Run]) -> None:
    digits, ring = make("normalizers", demo)
    assert "modes/covered" not in keys(digits)
    assert "ratio/true_rmse" not in keys(digits)
    assert FID not in keys(ring)
    assert {"modes/covered", "modes/high_quality", "ratio/true_rmse"} <= set(keys(ring))


def test_not_run_is_said_where_nothing_was_run(lab: Any) -> None:
    lab.write("spectral_norm", 0)
    lab.write("none", 0, "mixture(kind=ring)")
    digits, ring = make("normalizers", collect(lab.root))
    assert [row[0].text for row in digits.rows] == ["none", "spectral norm"]
    assert cell(digits, "none", "outcomes").text == "not run"
    assert cell(ring, "spectral norm", "outcomes").text == "not run"


def test_best_needs_intervals_that_do_not_overlap(lab: Any) -> None:
    table = scores(lab, {"none": [50, 51, 52], "spectral_norm": [30, 31, 32], "weight_norm": [60, 61, 62]})
    assert best(table) == ["spectral norm"]
    assert any("overlaps no other's" in note for note in table.footnotes)


@pytest.mark.parametrize(
    ("none", "spectral_norm"),
    [
        ([33, 36, 39], [30, 34, 38]),  # overlapping
        ([50], [30]),  # one seed each
        ([50], [30, 30.1, 30.2]),  # the rival has one seed, so no interval
        ([50, 53], [30, 33]),  # two seeds: the intervals are 12.7 standard errors to each side
    ],
)
def test_nothing_is_best_where_seeds_cannot_tell(
    lab: Any, none: list[float], spectral_norm: list[float]
) -> None:
    table = scores(lab, {"none": none, "spectral_norm": spectral_norm})
    assert best(table) == []
    assert not any("overlaps no other's" in note for note in table.footnotes)


def test_a_row_with_a_diverged_run_is_not_best_and_one_alone_is_not_either(lab: Any) -> None:
    table = scores(lab, {"spectral_norm": [30, 30.1, 30.2]})
    assert best(table) == []
    table = scores(lab, {"spectral_norm": [30, 30.1, 30.2], "none": [50, 50.1, 50.2]})
    assert best(table) == ["spectral norm"]
    lab.write("spectral_norm", 3, outcome=DIVERGED, metrics=lambda *_: {FID: 30.0})
    (table,) = make("normalizers", collect(lab.root))
    assert best(table) == []
    assert any("same seeds" in note for note in table.notes)


def test_settings_are_a_column_and_compared_only_with_their_like(lab: Any) -> None:
    for loss, shift in (("standard", 0), ("hinge", -20)):
        for normalizer, fid in (("none", 50), ("spectral_norm", 30)):
            for seed in range(3):
                value = fid + shift + 0.1 * seed
                lab.write(
                    normalizer, seed, loss=loss, name=f"{loss}{normalizer}{seed}",
                    metrics=lambda *_, value=value: {FID: value},
                )  # fmt: skip
    (table,) = make("normalizers", collect(lab.root))
    setting = keys(table).index("setting")
    assert [(row[0].text, row[setting].text) for row in table.rows] == [
        ("none", "loss=hinge"), ("spectral norm", "loss=hinge"),
        ("none", "loss=standard"), ("spectral norm", "loss=standard"),
    ]  # fmt: skip
    assert best(table) == ["spectral norm", "spectral norm"]


def test_scores_of_other_extractor_weights_are_not_pooled(lab: Any) -> None:
    for seed, digest in enumerate(("a" * 64, "a" * 64, "b" * 64)):
        lab.write("none", seed, digest=digest, metrics=lambda *_, seed=seed: {FID: float(10**seed)})
    (table,) = make("normalizers", collect(lab.root))
    first, second = (cell(table, "none", f"{FID} @{d * 7}").numbers for d in "ab")
    assert first is not None
    assert second is not None
    assert (first.mean, first.n, second.mean, second.n) == (5.5, 2, 100.0, 1)
    assert any("not pooled" in note for note in table.notes)


def test_a_metric_that_was_not_finite_lowers_n_visibly(lab: Any) -> None:
    table = scores(lab, {"none": [10.0, math.nan]})
    assert cell(table, "none", FID).full == "10.0 (n=1)"


def test_speeds_of_different_machines_are_called_incomparable(lab: Any) -> None:
    lab.write("none", 0)
    (table,) = make("normalizers", collect(lab.root))
    assert not any("machines" in note for note in table.notes)
    lab.write("none", 1, machine="NVIDIA H100")
    (table,) = make("normalizers", collect(lab.root))
    assert any("different machines" in note for note in table.notes)


def test_runs_without_any_result_still_make_a_table(lab: Any) -> None:
    lab.write("none", 0, outcome=UNFINISHED, until=-1)
    (table,) = make("normalizers", collect(lab.root))
    assert cell(table, "none", "outcomes").text == "1 unfinished"
