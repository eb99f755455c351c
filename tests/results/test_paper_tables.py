"""The papers' tables with ours beside: against numbers computed by hand from the runs' metrics.jsonl."""

from __future__ import annotations

import csv
import io
import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from snlab.core.errors import UserError
from snlab.results.tables import render
from snlab.tracking.run_folder import DIVERGED, FAILED, FINISHED, KILLED, UNFINISHED
from tests.results.table_runs import EMBEDDED, TWIN, as_paper, cell, edit, last, tables, write

# ---- numbers ---------------------------------------------------------------------------------------------


def test_the_best_setting_by_each_score_with_mean_and_deviation_by_hand(lab: Any) -> None:
    folders: dict[str, list[Path]] = {}
    for setting, fid, inception in (("A", 30.0, 4.0), ("C", 28.0, 5.0), ("E", 33.0, 6.0)):
        for seed, more in enumerate((0.0, 0.7, 2.0)):
            folder = write(lab, "spectral_norm", setting, fid + more, inception=inception + more, seed=seed)
            folders.setdefault(setting, []).append(folder)
    (table,) = tables(lab)
    for key, best, metric in (("fid", "C", "fid"), ("inception_score", "E", "inception_score")):
        values = [last(folder, f"{metric}/{EMBEDDED}") for folder in folders[best]]
        found = cell(table, "spectral norm", key)
        assert found.numbers is not None
        assert found.numbers.mean == pytest.approx(statistics.mean(values), rel=1e-12)
        assert found.numbers.std == pytest.approx(statistics.stdev(values), rel=1e-12)
        assert found.numbers.n == 3
        assert cell(table, "spectral norm", f"{key}_setting").text == best
    assert cell(table, "spectral norm", "fid").full == "28.9 ± 1.0 (n=3)"
    assert cell(table, "spectral norm", "settings").text == "A, C, E"
    assert (
        "the best of fewer settings than the paper's: standard CNN, spectral norm at A, C, E" in table.notes
    )


def test_all_settings_run_is_said_in_short(lab: Any) -> None:
    for setting in "ABCDEF":
        write(lab, "spectral_norm", setting, 30.0)
    (table,) = tables(lab)
    assert cell(table, "spectral norm", "settings").text == "all 6"
    assert not any("of fewer settings than" in note for note in table.notes)


def test_a_setting_without_a_result_is_not_among_those_run(lab: Any) -> None:
    write(lab, "spectral_norm", "A", 30.0)
    write(lab, "spectral_norm", "B", 30.0, outcome=DIVERGED, until=100)
    write(lab, "spectral_norm", "E", 20.0, outcome=KILLED, until=100)
    write(lab, "spectral_norm", "F", None)
    write(lab, "weight_norm", "C", 20.0, outcome=UNFINISHED, until=100)
    (table,) = tables(lab)
    assert cell(table, "spectral norm", "settings").text == "A, B; E killed; F not scored"
    assert cell(table, "weight norm", "settings").text == "C unfinished"
    (note,) = [note for note in table.notes if note.startswith("the best of fewer settings")]
    assert note.endswith(": standard CNN, spectral norm at A, B")


def test_runs_that_were_to_measure_no_score_make_no_part_of_their_own(lab: Any) -> None:
    for until in (200, 400):
        folder = write(lab, "spectral_norm", "C", 30.0 if until == 200 else None, until=until)
        if until == 400:
            edit(folder, measure__fidelity="none")
            change = json.loads((folder / "summary.json").read_text()) | {"extractors": {}}
            (folder / "summary.json").write_text(json.dumps(change))
    (table,) = tables(lab)
    assert "200 generator updates" in table.title
    assert "1 run of this data set is without a score: they were to measure none" in table.notes


def test_runs_of_another_data_set_are_counted_below_a_table_that_has_none(lab: Any) -> None:
    for normalizer in ("none", "spectral_norm"):
        write(lab, normalizer, "C", 30.0)
    (table,) = tables(lab, "mimicry2020/cifar10")
    said = "of the 2 runs here none stands in a row of this table: data set fashion mnist (size=16)"
    assert said in table.notes


def test_the_deviation_of_one_model_is_over_the_parts_of_its_protocol(lab: Any) -> None:
    """As the paper's own, where it has one model: 10 times 5,000 images."""
    for method, seeds in (("spectral_norm", (0,)), ("weight_norm", (0, 1))):
        for seed in seeds:
            name = "inception-v3-compat"
            folder = write(
                lab, method, "B", 29.0, inception=7.4 + seed, seed=seed, dataset="cifar10", until=100_000,
                extractor=name, network="standard_cnn",
            )  # fmt: skip
            lines = (as_paper(folder) / "metrics.jsonl").read_text().splitlines()
            lines[-1] = json.dumps(json.loads(lines[-1]) | {f"inception_score_std/{name}": 0.083})
            (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (table,) = tables(lab)
    assert cell(table, "spectral norm", "inception_score").full == "7.40 ± 0.08 (n=1)"
    assert cell(table, "weight norm", "inception_score").full == "7.90 ± 0.71 (n=2)"
    row = next(r for r in csv.DictReader(io.StringIO(render(table, "csv"))) if r["method"] == "spectral norm")
    assert row["inception_score_std"] == ""  # of seeds, of which there is one
    assert any(
        note.startswith("the ± of an inception score with n=1 is over the parts") for note in table.notes
    )


def test_a_cell_never_run_says_so_and_is_never_0(lab: Any) -> None:
    write(lab, "spectral_norm", "A", 30.0)
    (table,) = tables(lab)
    for key in ("fid", "inception_score", "settings", "outcomes"):
        assert cell(table, "weight norm", key).text == "not run"
    for key in ("fid", "settings"):
        assert cell(table, "real data", key).text == "–"  # nothing is to be run there
    row = next(r for r in csv.DictReader(io.StringIO(render(table, "csv"))) if r["method"] == "weight norm")
    assert (row["fid"], row["fid_std"], row["fid_n"], row["outcomes"]) == ("", "", "0", "not run")
    assert float(row["fid_paper"]) == 34.7


def test_paper_and_difference_stand_beside_runs_of_the_papers_own_kind(lab: Any) -> None:
    for seed, fid in enumerate((29.0, 30.0)):
        as_paper(
            write(
                lab,
                "spectral_norm",
                "B",
                fid,
                inception=7.5,
                seed=seed,
                dataset="cifar10",
                until=100_000,
                extractor="inception-v3-compat",
                network="standard_cnn",
            )
        )
    (table,) = tables(lab)
    assert cell(table, "spectral norm", "fid_paper").full == "29.3"
    assert cell(table, "spectral norm", "inception_score_paper").full == "7.42 ± 0.08"
    assert cell(table, "weight clipping", "fid_paper").full == "42.6"
    difference = cell(table, "spectral norm", "fid_difference")
    assert difference.numbers is not None
    assert difference.numbers.mean == pytest.approx(29.5 - 29.3)
    assert difference.text == "+0.2"
    assert cell(table, "weight norm", "fid_difference").text == "–"
    assert "orientation" not in " ".join(table.notes)
    assert [c.title for c in table.columns if c.key == "fid"] == ["FID (inception-v3-compat)"]


def test_beside_a_twin_the_papers_scores_are_named_and_no_difference_is_taken(lab: Any) -> None:
    write(lab, "spectral_norm", "B", 29.0)
    (table,) = tables(lab)
    titles = {column.key: column.title for column in table.columns}
    assert titles["fid_paper"] == "FID, paper, cifar10"
    assert titles["fid"] == f"FID ({EMBEDDED})"
    assert "fid_difference" not in titles
    assert any("of cifar10, width 1, 100000 generator updates" in note for note in table.notes)


def test_stl10_has_its_own_scores_network_and_rows(lab: Any) -> None:
    folder = write(
        lab, "spectral_norm", "resnet", 40.0, dataset="stl10(size=48)", until=100_000, loss="hinge",
        extractor="inception-v3-compat", network="resnet(architecture=stl10)",
    )  # fmt: skip
    as_paper(folder)
    (table,) = tables(lab)
    assert cell(table, "spectral norm, hinge loss, 2x updates", "fid_paper").full == "43.2"
    resnet = [row for row, section in zip(table.rows, table.sections, strict=True) if section == "ResNet"]
    keys = [column.key for column in table.columns]
    found = {row[0].text: row[keys.index("fid")].full for row in resnet}
    assert found == {"orthonormal, hinge loss": "not run", "spectral norm, hinge loss": "40.0 (n=1)"}


def test_twice_the_updates_are_of_the_table_of_once(lab: Any) -> None:
    write(lab, "spectral_norm", "B", 50.0, until=200)
    write(lab, "spectral_norm", "B", 45.0, until=400)
    long, short = tables(lab)
    assert "400 generator updates" in long.title
    assert cell(short, "spectral norm", "fid").text == "50.0"
    assert cell(short, "spectral norm, 2x updates", "fid").text == "45.0"
    assert cell(long, "spectral norm", "fid").text == "45.0"
    assert "spectral norm, 2x updates" not in [row[0].text for row in long.rows]  # no score, and no run


# ---- diverged and unfinished -----------------------------------------------------------------------------


def test_a_setting_with_a_diverged_run_is_behind_and_named(lab: Any) -> None:
    for seed, outcome in enumerate((FINISHED, DIVERGED)):
        write(lab, "weight_norm", "D", 10.0, seed=seed, outcome=outcome, until=200)
    write(lab, "weight_norm", "F", None, outcome=DIVERGED)
    write(lab, "weight_norm", "A", 40.0)
    (table,) = tables(lab)
    assert cell(table, "weight norm", "fid").full == "40.0 (n=1)"
    assert cell(table, "weight norm", "fid_setting").text == "A"
    assert cell(table, "weight norm", "diverged").text == "D 1/2, F"
    assert any("counts as the worst score" in note for note in table.notes)


def test_where_every_setting_diverged_in_part_the_best_says_so(lab: Any) -> None:
    for seed, outcome in enumerate((FINISHED, DIVERGED)):
        write(lab, "weight_norm", "D", 10.0, seed=seed, outcome=outcome)
    write(lab, "layer_norm", "F", None, outcome=DIVERGED)
    (table,) = tables(lab)
    assert cell(table, "weight norm", "fid").full == "10.0 (n=1, 1/2 diverged)"
    assert cell(table, "layer norm", "fid").full == "diverged"


def test_what_did_not_finish_is_a_word_and_counted(lab: Any) -> None:
    write(lab, "weight_norm", "A", 12.0, outcome=UNFINISHED)
    write(lab, "layer_norm", "A", 12.0, outcome=FAILED)
    write(lab, "batch_norm", "A", None)
    write(lab, "spectral_norm", "A", 12.0)
    (table,) = tables(lab)
    found = {name: cell(table, name, "fid").full for name in ("weight norm", "layer norm", "batch norm")}
    assert found == {"weight norm": "unfinished", "layer norm": "failed", "batch norm": "not scored"}
    assert "2 left out of the scores: failed, unfinished" in [
        note.replace("unfinished, failed", "failed, unfinished") for note in table.notes
    ]


# ---- the other tables ------------------------------------------------------------------------------------


def test_table_7_tells_reparametrised_from_plain(lab: Any) -> None:
    both = {"loss": "wasserstein"}
    write(lab, "gradient_penalty", "A", 20.0, **both)
    write(lab, "spectral_norm(gain=true)+gradient_penalty", "A", 15.0, **both)
    write(lab, "spectral_norm+gradient_penalty", "A", 1.0, **both)  # without γ
    write(lab, "weight_norm(gain=true)+gradient_penalty", "A", 1.0, **both)  # a factor a row
    write(
        lab, "gradient_penalty+spectral_norm(gain=true)", "resnet", 12.0, **both,
        network="resnet(architecture=wgan_gp, width=0.25, width_d=1.5)",
    )  # fmt: skip
    (table,) = tables(lab, "miyato2018/table7")
    found = {
        (section, row[0].text): row[[c.key for c in table.columns].index("fid")].full
        for section, row in zip(table.sections, table.rows, strict=True)
    }
    assert {key: text for key, text in found.items() if text not in ("not run", "–")} == {
        ("standard CNN", "WGAN-GP"): "20.0 (n=1)",
        ("standard CNN", "WGAN-GP with spectral norm"): "15.0 (n=1)",
        ("ResNet", "WGAN-GP with spectral norm, discriminator 1.5 times as wide"): "12.0 (n=1)",
    }
    assert cell(table, "WGAN-GP with frobenius norm", "fid_paper").full == "– (collapsed early)"


def test_table_8_wants_labels(lab: Any) -> None:
    for network, fid in (
        ("resnet(architecture=wgan_gp, conditional=auxiliary_classifier)", 18.0),
        ("resnet(architecture=wgan_gp)", 1.0),
    ):
        write(lab, "gradient_penalty", "resnet", fid, loss="wasserstein", network=network)
    (table,) = tables(lab, "miyato2018/table8")
    assert cell(table, "AC-WGAN-GP", "fid").full == "18.0 (n=1)"


def test_mimicry_has_kid(lab: Any) -> None:
    folder = write(
        lab, "spectral_norm", "resnet", 17.0, inception=8.0, dataset="cifar10", until=100_000, loss="hinge",
        network="resnet", extractor="inception-v3-compat", decay_from=0,
    )  # fmt: skip
    as_paper(folder, "50k")
    (table,) = tables(lab, "mimicry2020/cifar10")
    assert cell(table, "SNGAN", "kid").full == "0.0170 (n=1)"
    assert cell(table, "SNGAN", "kid_paper").full == "0.0125 ± 0.0001"
    assert cell(table, "SNGAN", "kid_difference").text == "+0.0045"
    assert [row[0].text for row in table.rows] == ["WGAN-GP", "SNGAN", "cGAN-PD"]


def test_without_any_run_that_fits_all_rows_are_not_run(lab: Any) -> None:
    write(lab, "none", "A", 30.0)
    (table,) = tables(lab)
    assert "cifar10" in table.title
    assert {cell(table, name, "fid").text for name in ("weight norm", "spectral norm")} == {"not run"}


def test_a_data_set_is_chosen_by_name(lab: Any) -> None:
    write(lab, "spectral_norm", "A", 30.0)
    write(lab, "spectral_norm", "A", 40.0, dataset="photos")
    for wanted, fid in (("fashion_mnist", "30.0"), (TWIN, "30.0"), ("photos(size=32)", "40.0")):
        (table,) = tables(lab, dataset=wanted)
        assert cell(table, "spectral norm", "fid").text == fid
    (table,) = tables(lab, dataset="stl10")  # one of the paper's: nothing was run
    assert cell(table, "spectral norm", "fid").text == "not run"
    assert cell(table, "spectral norm", "fid_paper").text == "53.1"
    with pytest.raises(UserError, match="did you mean 'photos'"):
        tables(lab, dataset="photo")
    with pytest.raises(UserError, match="no run is of the data set 'fashion_mnist"):
        tables(lab, dataset="fashion_mnist(size=32)")
