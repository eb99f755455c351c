"""The scores that were added to runs: which of them a table takes, and for what."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from snlab.results.extractors import Extractor
from snlab.results.reading import collect
from snlab.results.scores import added, best_score, last_score
from snlab.results.tables.table import NOTHING
from snlab.tracking.run_folder import DIVERGED
from tests.results.table_runs import EMBEDDED, as_paper, cell, digest_of, edit, keep, tables, write

INCEPTION = "inception-v3-compat"


def test_the_best_checkpoints_score_stands_beside_the_last_ones(lab: Any) -> None:
    for seed, fid, best in ((0, 5.0, 4.0), (1, 7.0, 4.5)):
        keep(write(lab, "spectral_norm", "C", fid, seed=seed), best)
    write(lab, "weight_norm", "C", 9.0)
    (table,) = tables(lab)
    row = "spectral norm"
    found = cell(table, row, "fid_best_checkpoint")
    assert cell(table, row, "fid").numbers.mean == 6.0
    assert (found.numbers.mean, found.numbers.n) == (4.25, 2)
    assert found.numbers.std == pytest.approx(math.sqrt(0.125))
    assert cell(table, row, "inception_score_best_checkpoint").numbers.mean == 42.5
    assert cell(table, "weight norm", "fid_best_checkpoint").text == NOTHING
    assert any(note.startswith("best checkpoint: ") for note in table.notes)


def test_without_any_there_is_no_such_column(lab: Any) -> None:
    write(lab, "spectral_norm", "C", 5.0)
    (table,) = tables(lab)
    assert not any("best" in column.key for column in table.columns)
    assert not any(note.startswith("best checkpoint: ") for note in table.notes)


@pytest.mark.parametrize(
    "changed",
    [
        {"weights": "ema"},
        {"protocol": "50k"},
        {"sha256": "e" * 64},
        {"kept_as": "named"},
        {"extractor": INCEPTION, "sha256": "a"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_score_of_other_weights_protocol_or_extractor_is_another(lab: Any, changed: Any) -> None:
    folder = write(lab, "spectral_norm", "C", 5.0)
    extractor = Extractor(EMBEDDED, digest_of(folder, EMBEDDED))
    keep(folder, 4.0, **changed)
    (run,) = collect(lab.root).runs
    assert math.isnan(best_score(run, "fid", "embedded", extractor))
    keep(folder, 3.0)
    assert best_score(run, "fid", "embedded", extractor) == 3.0


def test_averaged_weights_are_meant_where_the_run_averages(lab: Any) -> None:
    folder = write(lab, "spectral_norm", "C", 5.0)
    edit(folder, model__ema_decay=0.999)
    keep(folder, 3.0)
    keep(folder, 4.0, weights="ema")
    (run,) = collect(lab.root).runs
    assert best_score(run, "fid", "embedded", Extractor(EMBEDDED, None)) == 4.0


def test_a_protocol_that_was_added_is_a_part_of_its_own(lab: Any) -> None:
    resnet = {"network": "resnet", "loss": "hinge", "decay_from": 0}
    sngan = write(lab, "spectral_norm", "resnet", 20.0, dataset="cifar10", extractor=INCEPTION, **resnet)
    folder = as_paper(sngan)
    keep(folder, 17.5, "last", extractor=INCEPTION, protocol="50k")
    keep(folder, 99.0, "last", extractor=INCEPTION, protocol="50k", generator_step=100)  # an earlier one
    (run,) = collect(lab.root).runs
    inception = Extractor(INCEPTION, "f" * 64)
    assert [*added(run)] == [("50k", inception)]
    assert last_score(run, "fid", "50k", inception) == 17.5
    assert last_score(run, "fid", "miyato2018", inception) == 20.0
    own, later = sorted(tables(lab, "mimicry2020/cifar10"), key=lambda t: "50k" in t.title)
    assert "protocol miyato2018" in own.title
    assert cell(own, "SNGAN", "fid").numbers.mean == 20.0
    assert "protocol 50k" in later.title
    assert cell(later, "SNGAN", "fid").numbers.mean == 17.5


def test_a_diverged_run_has_no_score(lab: Any) -> None:
    folder = write(lab, "spectral_norm", "C", 5.0, outcome=DIVERGED)
    keep(folder, 4.0, sha256="a")
    (run,) = collect(lab.root).runs
    assert math.isnan(best_score(run, "fid", "embedded", Extractor(EMBEDDED, None)))


def test_a_damaged_file_of_scores_is_none(lab: Any) -> None:
    folder = write(lab, "spectral_norm", "C", 5.0)
    keep(folder, 4.0)
    (path,) = (folder / "scores").glob("*.json")
    half = [{}, {"checkpoint": {"kept_as": "best"}, "extractor": {}}]
    for text in ("", "[]", *(json.dumps({"scored": [{"scores": {}} | entry]}) for entry in half)):
        path.write_text(text)
        (run,) = collect(lab.root).runs
        assert math.isnan(best_score(run, "fid", "embedded", Extractor(EMBEDDED, None)))
