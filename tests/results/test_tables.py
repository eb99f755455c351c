from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from snlab.core.errors import UserError
from snlab.results.reading import collect
from snlab.results.tables import TABLES, Cell, Table, make, render
from snlab.results.tables.formats.terminal import terminal
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
    (table,) = make("normalizers", collect(lab.root).runs)
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
    assert any("features of embedded-digits: protocol embedded: 2000 generated" in n for n in digits.notes)
    assert any("diverged run counts as the worst score" in note for note in digits.notes)


def test_all_diverged_is_a_word_not_a_number(lab: Any) -> None:
    lab.write("none", 0, outcome=DIVERGED)
    lab.write("spectral_norm", 0)
    (table,) = make("normalizers", collect(lab.root).runs)
    assert cell(table, "none", FID).full == "diverged"
    assert cell(table, "none", "failures").text == "100"


def test_unfinished_runs_are_counted_but_not_scored(demo: list[Run], lab: Any) -> None:
    _, ring = make("normalizers", demo)
    assert cell(ring, "weight norm", "outcomes").text == "1 unfinished"
    assert cell(ring, "weight norm", "modes/covered").text == "–"
    assert cell(ring, "weight norm", "failures").text == "–"
    assert any(note == "1 left out of the scores: unfinished" for note in ring.notes)
    lab.write("none", 0, outcome=FAILED)
    lab.write("none", 1)
    (table,) = make("normalizers", collect(lab.root).runs)
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
    digits, ring = make("normalizers", collect(lab.root).runs)
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
    (table,) = make("normalizers", collect(lab.root).runs)
    assert best(table) == []
    assert any("same seeds" in note for note in table.notes)


SETTINGS = {
    "A": (5, 1e-4, 0.5, 0.9), "B": (1, 1e-4, 0.5, 0.999), "C": (1, 2e-4, 0.5, 0.999),
    "D": (5, 1e-3, 0.5, 0.9), "E": (5, 1e-3, 0.5, 0.999), "F": (5, 1e-3, 0.9, 0.999),
}  # fmt: skip


def test_settings_head_their_rows_in_every_format(lab: Any) -> None:
    for loss, shift in (("standard", 0), ("hinge", -20)):
        for normalizer, fid in (("none", 50), ("spectral_norm", 30)):
            for seed in range(3):
                value = fid + shift + 0.1 * seed
                lab.write(
                    normalizer, seed, loss=loss, name=f"{loss}{normalizer}{seed}",
                    metrics=lambda *_, value=value: {FID: value},
                )  # fmt: skip
    (table,) = make("normalizers", collect(lab.root).runs)
    assert [(heading, [row[0].text for row in rows]) for heading, rows in table.blocks()] == [
        ("loss=hinge", ["none", "spectral norm"]), ("loss=standard", ["none", "spectral norm"]),
    ]  # fmt: skip
    assert best(table) == ["spectral norm", "spectral norm"]  # compared only with their like
    setting = keys(table).index("setting")
    assert table.columns[setting].detail  # a column of its own in CSV
    assert [row[setting].text for row in table.rows] == ["loss=hinge"] * 2 + ["loss=standard"] * 2
    for format, heading in {
        "terminal": "\nloss=hinge\nnone ", "markdown": "\n| *loss=hinge* | ",
        "latex": r"\textit{loss=hinge}} \\",
        "html": "colspan='5' scope='rowgroup'>loss=hinge</th></tr>\n<tr><th class='words' scope='row'>none",
    }.items():  # fmt: skip
        assert heading in render(table, format), format


def test_each_block_of_a_wide_table_names_the_settings(lab: Any) -> None:
    """The paper's six settings and four normalizers: 24 rows, cut into blocks of columns."""
    for n_dis, lr, beta1, beta2 in SETTINGS.values():
        for normalizer in ("none", "weight_norm", "gradient_penalty", "spectral_norm"):
            adam = {"lr": lr, "beta1": beta1, "beta2": beta2}
            name = f"{normalizer}{n_dis}{lr}{beta1}{beta2}"
            lab.write(normalizer, 0, name=name, n_dis=n_dis, adam=adam, until=20)
    (table,) = make("normalizers", collect(lab.root).runs)
    assert len(table.rows) == 24
    text = terminal([table], 100)
    blocks = text.count("\nnormalizer ")
    assert blocks >= 3
    for setting in ("adam.beta1=0.5, adam.beta2=0.9, adam.lr=0.0001", "adam.beta1=0.9, adam.beta2=0.999"):
        assert " ".join(text.split()).count(setting) == blocks
    assert "one finished run a row, so no spread and no ranking" in table.notes


def test_normalizers_that_a_swept_data_set_lacks_are_named_below(lab: Any) -> None:
    lab.write("none", 0)
    lab.write("none", 0, loss="hinge", name="h")
    lab.write("weight_norm", 0, "mixture(kind=ring)")
    digits, _ = make("normalizers", collect(lab.root).runs)
    assert [row[0].text for row in digits.rows] == ["none", "none"]
    assert "not run on this data set: weight norm" in digits.notes


def test_runs_of_other_lengths_are_said_and_stand_apart(lab: Any) -> None:
    for until, fid in ((200, 50.0), (400, 10.0)):
        for seed in range(3):
            lab.write(
                "none" if until == 200 else "spectral_norm", seed, until=until,
                metrics=lambda *_, value=fid + 0.1 * seed: {FID: value},
            )  # fmt: skip
    (table,) = make("normalizers", collect(lab.root).runs)
    assert best(table) == []
    assert [heading for heading, _ in table.blocks()] == ["generator_steps=200", "generator_steps=400"]
    assert any("different lengths (200 and 400 generator updates)" in note for note in table.notes)
    assert "generator updates" not in table.title


def test_other_versions_are_said(lab: Any) -> None:
    lab.write("none", 0)
    lab.write("spectral_norm", 0)
    (table,) = make("normalizers", collect(lab.root).runs)
    assert not any("versions" in note for note in table.notes)
    folder = lab.write("spectral_norm", 1, torch="2.14.0")
    (table,) = make("normalizers", collect(lab.root).runs)
    assert any("different versions (torch 2.11.0 and 2.14.0)" in note for note in table.notes)
    summary = json.loads((folder / "summary.json").read_text())
    del summary["versions"]
    (folder / "summary.json").write_text(json.dumps(summary))
    (table,) = make("normalizers", collect(lab.root).runs)
    assert any("snlab 0.1.0 and unknown, torch 2.11.0 and unknown" in note for note in table.notes)


def test_what_layers_do_as_maps_stands_beside_sigma(demo: list[Run]) -> None:
    digits, _ = make("normalizers", demo)
    shown = [column.key for column in digits.shown().columns]
    first = shown.index("sigma_median")
    assert shown[first : first + 4] == ["sigma_median", "sigma_max", "sigma_conv_max", "lipschitz/product"]
    assert cell(digits, "weight norm", "sigma_conv_max").text == "3.750"  # 1.5 times its σ of 2.5
    assert cell(digits, "weight norm", "lipschitz/product").full == "12.0 ± 0"
    assert any("Lipschitz bound: of these norms, not of the σ" in note for note in digits.notes)


def test_a_mixture_shows_both_measures_of_the_ratio_and_of_the_modes(lab: Any) -> None:
    for normalizer in ("none", "spectral_norm"):
        for seed in range(3):
            error = (5.0 if normalizer == "spectral_norm" else 31.0) + 0.1 * seed
            metrics = {
                "ratio/true_rmse": error, "ratio/true_correlation": 0.1 * error, "modes/covered": 8.0,
                "modes/high_quality": 0.9,
            }  # fmt: skip
            lab.write(normalizer, seed, "mixture(kind=ring)", metrics=lambda *_, metrics=metrics: metrics)
    (table,) = make("normalizers", collect(lab.root).runs)
    shown = [column.key for column in table.shown().columns]
    assert shown.index("ratio/true_correlation") == shown.index("ratio/true_rmse") + 1
    assert shown.index("modes/high_quality") == shown.index("modes/covered") + 1
    assert best(table) == []  # neither measure of the ratio ranks, and all cover the modes alike
    assert any(
        "its correlation with, the true log q/p" in note and "neither ranks" in note for note in table.notes
    )
    assert any("the share of all samples that lie so near a mode" in note for note in table.notes)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([4.7402, 4.7398], "4.7400 ± 0.0003"), ([4.74, 4.74], "4.74 ± 0"),
        ([4.74, 4.74 + 1e-9], "4.74 ± <0.005"),
        ([-0.0001, -0.0001], "0.000 ± 0"), ([31.0, 33.0], "32.0 ± 1.4"), ([-0.004], "-0.004"),
    ],
)  # fmt: skip
def test_a_spread_is_zero_only_where_it_is(values: list[float], shown: str, lab: Any) -> None:
    table = scores(lab, {"none": values})
    assert cell(table, "none", FID).full == shown


def test_a_class_is_called_as_in_code(lab: Any) -> None:
    clip = {"class_path": "mine.normalizers.Clip", "init_args": {"limit": 0.05, "inner": None}}
    lab.write(clip, 0, name="clip")
    lab.write("none", 0)
    runs = collect(lab.root).runs
    for format in ("terminal", "markdown", "html", "csv"):
        assert "Clip(inner=none, limit=0.05)" in render(make("normalizers", runs), format)
    assert "class_path" not in render(make("normalizers", runs), "csv")


def test_scores_of_other_extractor_weights_are_not_pooled(lab: Any) -> None:
    for seed, digest in enumerate(("a" * 64, "a" * 64, "b" * 64)):
        lab.write("none", seed, digest=digest, metrics=lambda *_, seed=seed: {FID: float(10**seed)})
    (table,) = make("normalizers", collect(lab.root).runs)
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
    (table,) = make("normalizers", collect(lab.root).runs)
    assert not any("machines" in note for note in table.notes)
    lab.write("none", 1, machine="NVIDIA H100")
    (table,) = make("normalizers", collect(lab.root).runs)
    assert any("different machines" in note for note in table.notes)


def test_runs_without_any_result_still_make_a_table(lab: Any) -> None:
    lab.write("none", 0, outcome=UNFINISHED, until=-1)
    (table,) = make("normalizers", collect(lab.root).runs)
    assert cell(table, "none", "outcomes").text == "1 unfinished"
