"""``snlab show`` and ``compare`` as they are typed, held to what the run folders hold."""

from __future__ import annotations

import json
import math
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from snlab.cli import main
from snlab.results.defaults import DEFAULTS, not_default
from snlab.results.terminal.sparkline import BLOCKS, sparkline
from snlab.tracking.identity import identity
from snlab.tracking.run_folder import FINISHED, UNFINISHED, Run, RunWriter
from tests.results.printed import lines, named, printed

__all__ = ["printed"]

# ---- snlab show ------------------------------------------------------------------------------------------


def test_show_has_curves_settings_versions_and_the_command(lab: Any, printed: Any) -> None:
    folder = lab.write("none", 0, n_dis=5)
    (folder / "wandb").mkdir()
    (folder / "wandb/url").write_text("https://wandb.ai/we/ours/runs/abc\n")
    text = printed("show", folder)
    assert "finished at update 200 of 200, after 12 s" in text
    # The lab's FID is 90 + 200 (1 - p)^2 at p = 0, 0.1, 0.25, 0.5, 0.75, 1.
    (fid,) = [row for row in lines(text) if row[0] == "fid/embedded-digits"]
    assert fid[-1] == "290 → 90"
    assert fid[1][0] == "█"
    assert fid[1][-1] == "▁"
    settings = text.split("configuration that is not at its default\n")[1].split("\n\n")[0]
    assert sorted(lines(settings)) == [
        ["generator_steps", "200"], ["model.n_dis", "5"], ["model.network", "standard_cnn(width=0.25)"],
    ]  # fmt: skip
    assert "torch 2.11.0, snlab 0.1.0" in text
    assert "https://wandb.ai/we/ours/runs/abc" in text
    assert text.splitlines()[-1] == (
        f"OMP_NUM_THREADS=1 snlab fit --config {folder}/config.yaml --run_folder {folder} --again"
    )


def test_times_are_those_that_the_run_recorded(lab: Any, printed: Any) -> None:
    """And not its files', which are a copy's own."""
    folder = lab.write("none", 0)
    text = printed("show", folder)
    assert "after 12 s" in text
    assert {"begun", "ended", "last measured"}.isdisjoint(row[0] for row in lines(text))
    summary = json.loads((folder / "summary.json").read_text())
    then = datetime.now(UTC) - timedelta(hours=3)
    times = {"begun": then.isoformat(), "ended": f"{then + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"}
    RunWriter(folder).write_summary(summary | times)
    found = {row[0]: row[1] for row in lines(printed("show", folder)) if len(row) > 1}
    assert found["begun"] == f"{then.astimezone():%Y-%m-%d %H:%M:%S}, 3.0 h ago"
    assert found["ended"] == f"{(then + timedelta(hours=1)).astimezone():%Y-%m-%d %H:%M:%S}, 2.0 h ago"
    RunWriter(folder).write_summary(summary | {"begun": "yesterday", "ended": 5})
    assert {"begun", "ended"}.isdisjoint(row[0] for row in lines(printed("show", folder)))


def test_of_a_run_in_progress_it_says_when_it_last_measured(lab: Any, printed: Any) -> None:
    folder = lab.write("none", 0, outcome=UNFINISHED, until=50)
    assert "last measured" not in printed("show", folder)  # its file may be a copy
    with FileLock(folder / ".lock"):
        (row,) = [row for row in lines(printed("show", folder)) if row[0] == "last measured"]
        assert re.fullmatch(r"[\d-]+ [\d:]+, \d+ s ago", row[1])


def test_show_names_what_is_wrong(lab: Any, printed: Any) -> None:
    folder = lab.write("none", 0)
    (folder / "metrics.jsonl").unlink()
    assert "damaged at update 200 of 200, after 12 s: its metrics.jsonl is gone" in printed("show", folder)
    (folder / "config.yaml").write_text("seed_everything: 0\nmodel: []\n")
    told = printed("show", folder, code=2)
    assert "holds what no run writes: model and data want settings of their own" in told


def test_a_beginning_finds_a_run_and_several_are_refused(lab: Any, printed: Any) -> None:
    first = named(lab.write("none", 0, name="a"), "0123456789ab")
    second = named(lab.write("none", 1, name="b"), "0123ffffffff")
    root = ["--runs", lab.root]
    assert first.name in printed("show", "01234", *root)
    assert second.name in printed("show", second.name, *root)
    assert second.name in printed("show", "b-", *root)
    told = printed("show", "0123", *root, code=2)
    assert told == f"snlab: '0123' fits 2 runs: {first}; {second}\n"
    assert "no run '0123456789ba' in" in printed("show", "0123456789ba", *root, code=2)
    assert "did you mean '0123456789ab'?" in printed("show", "0123456789ba", *root, code=2)
    (lab.root / "broken").mkdir()
    (lab.root / "broken/config.yaml").write_text("{")
    assert "broken is not a readable run folder: " in printed("show", "brok", *root, code=2)


def test_a_run_without_a_summary_is_found_by_its_folders_name(lab: Any, printed: Any) -> None:
    """Its configuration's hash is another where options are spelt out for the identity."""
    folder = named(lab.write("none", 0, outcome=UNFINISHED, until=50), "0123456789ab")
    assert identity(Run.read(folder).config) != "0123456789ab"
    assert "unfinished" in printed("show", "012345", "--runs", lab.root)
    assert "--resume" in printed("show", "012345", "--runs", lab.root)


def test_sparklines() -> None:
    steps = list(range(0, 101, 10))
    line, log = sparkline(steps, [float(s) for s in steps], 11)
    assert [BLOCKS.index(c) for c in line] == [min(int(i / 10 * 8), 7) for i in range(11)]
    assert not log
    decades, log = sparkline([0, 1, 2], [1.0, 10.0, 100.0], 3)
    assert decades == "▁▅█"
    assert log
    assert sparkline(list(range(1000)), [0.0] * 1000, 20) == ("▁" * 20, False)
    assert sparkline([0, 1, 2], [1.0, math.nan, 2.0], 3) == ("▁ █", False)
    assert sparkline([5], [math.nan], 3) == (" ", False)


# ---- snlab compare ---------------------------------------------------------------------------------------


def test_compare_shows_values_and_differences(lab: Any, printed: Any) -> None:
    a = lab.write("none", 0, n_dis=5)
    b = lab.write("spectral_norm", 1, torch="2.14.0")
    text = printed("compare", a, b)
    rows = {row[0]: row[1:] for row in lines(text)}
    assert rows["model.normalizer"] == ["none", "spectral_norm"]
    assert rows["model.n_dis"] == ["5", "1"]
    assert rows["seed_everything"] == ["0", "1"]
    assert rows["fid/embedded-digits"] == ["90", "32 (-58)"]
    assert rows["lipschitz/product"] == ["12", "12 (=)"]
    assert "model.loss" not in rows
    assert "the runs come from different versions (torch 2.11.0 and 2.14.0)" in text
    assert "recall/embedded-digits" in rows
    assert "sigma/raw/conv1" not in rows
    assert "sigma/raw/conv1" in printed("compare", a, b, "--all")


def test_compare_says_that_nothing_differs_and_wants_two_runs(lab: Any, printed: Any) -> None:
    a, b = lab.write("none", 0), lab.write("none", 0, name="copy")
    text = printed("compare", a, b)
    assert "the same in all that can change a number" in text
    assert f"{identity(Run.read(a).config)[:7]} #2" in text
    assert "wants two runs or more" in printed("compare", a, code=2)
    assert "is named twice" in printed("compare", a, a, code=2)


def test_many_runs_are_compared_in_several_tables(lab: Any, printed: Any) -> None:
    folders = [lab.write("none", seed, name=str(seed)) for seed in range(7)]
    text = printed("compare", *folders, columns=60)
    found = re.findall(r"(\d+)(?: \(\+[\d.]+\))?", " ".join(re.findall(r"fid/embedded-digits(.*)", text)))
    assert [int(value) for value in found] == [90, 92, 94, 96, 98, 100, 102]


# ---- configuration ---------------------------------------------------------------------------------------


def test_what_is_not_at_its_default() -> None:
    config = {
        "model": {"n_dis": 5, "loss": "standard", "ema_decay": None, "adam": {"lr": 2e-4, "beta1": 0.0}},
        "trainer": {"devices": 1, "max_epochs": -1, "precision": "bf16-mixed", "callbacks": None},
        "runs": "elsewhere", "resume": True, "keep_best": True,
    }  # fmt: skip
    assert not_default(config) == {
        "model.n_dis": 5, "model.adam.beta1": 0.0, "trainer.precision": "bf16-mixed", "keep_best": True,
    }  # fmt: skip
    assert not_default({"module": "Mine", "model": {"n_dis": 1}}) == {"module": "Mine", "model.n_dis": 1}


@pytest.mark.slow
def test_the_defaults_are_those_of_snlab_fit() -> None:
    from snlab.results.groups import flattened
    from snlab.training.arguments import FitCLI

    settings = flattened(FitCLI([]).settings)
    unset = {key: value for key, value in settings.items() if value or key in DEFAULTS}
    assert unset == DEFAULTS


@pytest.mark.slow
def test_the_command_repeats_the_run(tmp_path: Path, printed: Any) -> None:
    """To the last digit, the old folder kept; and what shows it afterwards is the same run."""
    words = ["--generator_steps", "2", "--measure.fidelity", "none", "--wandb.mode", "disabled"]
    small = ["--model.network", "standard_cnn(width=0.125)", "--model.batch_size", "4"]
    assert main(["fit", *words, *small, "--runs", str(tmp_path / "it's here")]) == 0
    (folder,) = (tmp_path / "it's here").iterdir()
    before = [{k: v for k, v in row.items() if "time/" not in k} for row in Run.read(folder).rows.values()]
    line = printed("show", folder).splitlines()[-1]
    environment, program, *again = shlex.split(line)
    assert (environment, program) == ("OMP_NUM_THREADS=1", "snlab")
    assert main(again) == 0
    after = [{k: v for k, v in row.items() if "time/" not in k} for row in Run.read(folder).rows.values()]
    assert after == before
    assert Run.read(folder.with_name(f"{folder.name}.before-1")).outcome == FINISHED
    assert yaml.safe_load((folder / "config.yaml").read_text())["run_folder"] == str(folder)
