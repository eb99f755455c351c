"""From sweeps to a page: whole, interrupted, and what is said of what is missing."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from snlab.cli import main
from snlab.papers.arguments import Options
from snlab.papers.page import page
from snlab.papers.scoring import Wanted, missing
from snlab.results.papers import paper_table
from snlab.results.reading import collect
from snlab.tracking.run_folder import DIVERGED
from snlab.tracking.scores import read_scores, write_score
from tests.forked import Command
from tests.results.figure_runs import write as figure_run
from tests.results.table_runs import as_paper, write
from tests.sweeps.waiting import wait_for

TABLE = "miyato2018/table8"
TINY = ["--dataset=photos", "--width=0.05", "--generator_steps=2", "--seeds=1", "--workers=2", "--lease=2"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def logged(folder: Path) -> dict[str, Any]:
    """The last value of everything that a run logged, read without any of the package's code."""
    found: dict[str, Any] = {}
    for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        found |= json.loads(line)
    return found


@pytest.mark.slow
def test_the_whole_way_and_again_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two whole reproductions, one of them killed half way: a table is what its runs logged, both times.

    Half a minute: the command has to be seen at work from its first run to its last score.
    """
    monkeypatch.setenv("WANDB_MODE", "disabled")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(["reproduce", TABLE, *TINY, f"--out={whole}"]) == 0
    process = Command("reproduce", TABLE, *TINY, f"--out={killed}", log=tmp_path / "log")
    wait_for(lambda: [*killed.glob("runs/*/*/checkpoints/*.ckpt")])
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "table8").exists()
    assert main(["reproduce", TABLE, *TINY, f"--out={killed}"]) == 0
    found, again = (rows(folder / "table8/table8.csv") for folder in (whole, killed))
    assert found == again

    runs = [*(whole / "runs/table8_photos").glob("*/")]
    scores = sorted(logged(run)["fid/embedded-photos"] for run in runs)
    assert len(scores) == 3
    shown = sorted(float(row["fid"]) for row in found if row["fid"])
    assert shown == pytest.approx(scores, rel=1e-12)
    best = [e for run in runs for e in read_scores(run) if e["checkpoint"]["kept_as"] == "best"]
    assert sorted(e["scores"]["fid/embedded-photos/embedded"] for e in best) == pytest.approx(
        sorted(float(row["fid_best_checkpoint"]) for row in found if row["fid_best_checkpoint"]), rel=1e-12
    )
    text = (whole / "table8/README.md").read_text(encoding="utf-8")
    assert "snlab reproduce miyato2018/table8 --dataset photos --generator_steps 2 --width 0.05" in text
    assert "3 (3 finished)" in text
    assert "`" + str(tmp_path) not in text


# ---- what is scored --------------------------------------------------------------------------------------


def wanted(lab: Any, *tables: str) -> list[tuple[str, str]]:
    found = missing(collect(lab.root).runs, [paper_table(name) for name in tables])
    assert all(isinstance(each, Wanted) for each in found)
    return [(each.checkpoint, each.protocol) for each in found]


def keep(folder: Path, kept_as: str, protocol: str, file: str = "checkpoints/best-00000040.ckpt") -> None:
    write_score(folder, {
        "protocol": protocol, "generator_step": 200, "weights": "raw",
        "extractor": {"name": "any", "sha256": "0"}, "scores": {}, "draws": [],
        "checkpoint": {"file": file, "sha256": "0", "kept_as": kept_as},
    })  # fmt: skip


def best(folder: Path, step: int = 40) -> None:
    path = folder / f"checkpoints/best-{step:08d}.ckpt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")


def test_a_best_checkpoint_is_scored_once(lab: Any) -> None:
    folder = write(lab, "spectral_norm", "C", 5.0, dataset="digits")
    assert wanted(lab, "miyato2018/table2") == []  # it logged its last itself, and kept no best
    best(folder)
    assert wanted(lab, "miyato2018/table2") == [("best", "embedded")]
    keep(folder, "best", "embedded")
    assert wanted(lab, "miyato2018/table2") == []
    best(folder, 60)  # a better one since
    assert wanted(lab, "miyato2018/table2") == [("best", "embedded")]


def test_a_tables_own_protocol_is_added_to_runs_of_another(lab: Any) -> None:
    inception = "inception-v3-compat"
    folder = as_paper(write(lab, "spectral_norm", "resnet", 20.0, dataset="cifar10", extractor=inception))
    assert wanted(lab, "miyato2018/table2") == []
    assert wanted(lab, "mimicry2020/cifar10") == [("last", "50k")]
    best(folder)
    assert wanted(lab, "mimicry2020/cifar10") == [("best", "50k"), ("last", "50k")]
    keep(folder, "last", "50k", "checkpoints/step-00000200.ckpt")
    assert wanted(lab, "mimicry2020/cifar10") == [("best", "50k")]


def test_only_finished_runs_are_scored(lab: Any) -> None:
    best(write(lab, "spectral_norm", "C", 5.0, dataset="digits", outcome=DIVERGED))
    assert wanted(lab, "miyato2018/table2") == []


# ---- the page --------------------------------------------------------------------------------------------


def test_a_page_says_what_its_numbers_do_not_show(lab: Any) -> None:
    write(lab, "spectral_norm", "C", 5.0, network="standard_cnn(width=0.25)", dataset="digits")
    options = Options("miyato2018/table2", "fashion_mnist")
    reason = "miyato2018/figure1 wants runs"
    text = page(options, collect(lab.root).runs, {}, {"figure1": reason, "figure2": None})
    limits = text.partition("## What it does not show")[2]
    for part in (
        "digits is no data set of the paper's", "The networks have 0.25 of the paper's width",
        "Runs end after 200 generator updates, the paper's after 100,000", "Scores of embedded-digits are of",
        "Each trial has 1 seed:", "The best of several settings is chosen",
    ):  # fmt: skip
        assert part in limits, part
    assert "## Figure 1\n\nNot drawn: miyato2018/figure1 wants runs.\n" in text
    assert "## Figure 2\n\n![figure 2](figure2.png)\n" in text
    assert "x86_64 CPU, 1 thread(s)" in text
    assert "1 (1 finished)" in text


def test_of_the_papers_own_runs_none_of_these_is_said(lab: Any) -> None:
    for seed in range(5):
        folder = write(
            lab, "spectral_norm", "C", 5.0, seed=seed, dataset="cifar10", network="standard_cnn",
            extractor="inception-v3-compat", until=100_000,
        )  # fmt: skip
        as_paper(folder)
    text = page(Options("miyato2018/figure2"), collect(lab.root).runs, {}, {"figure2": None})
    assert text.endswith("## What it does not show\n\n\n")


def test_a_figure_that_cannot_be_drawn_takes_nothing_else_with_it(lab: Any, tmp_path: Path) -> None:
    """Figure 9 wants σ of runs at setting C; of the others, which are not drawn, the page says why."""
    from rich.console import Console

    from snlab.papers.reproduce import _write

    figure_run(lab, "spectral_norm", "C", metrics=lambda *_: {"fid/embedded-digits": 5.0})
    options = Options("miyato2018/table2", "photos", out=tmp_path / "out")
    assert _write(collect(lab.root), ["miyato2018/table2"], options, Console(quiet=True)) == 1
    names = {path.name for path in (tmp_path / "out/table2").iterdir()}
    assert names == {"README.md", "table2.csv", "table2.tex", "figure2.png", "figure2.pdf"}
    text = (tmp_path / "out/table2/README.md").read_text(encoding="utf-8")
    assert "Not drawn: miyato2018/figure1 wants runs at a setting" in text
