from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from snlab.core.errors import UserError
from snlab.tracking.run_folder import (
    FINISHED,
    UNFINISHED,
    Run,
    RunWriter,
    Skipped,
    find_runs,
    read_runs,
    write_atomically,
)
from tests.tracking.test_identity import CONFIG


def written(folder: Path) -> RunWriter:
    writer = RunWriter(folder)
    writer.write_config(CONFIG)
    return writer


def test_what_is_written_is_read(tmp_path):
    writer = written(tmp_path / "run")
    writer.append_metrics(1, {"fid/x": 3.5, "spectrum/conv1": [1.0, 0.5]})
    writer.append_metrics(1, {"kid/x": 0.25})
    writer.append_metrics(2, {"fid/x": math.nan})
    run = Run.read(tmp_path / "run")
    assert run.outcome == UNFINISHED
    assert (run.normalizer, run.dataset, run.seed, run.generator_steps) == ("spectral_norm", "digits", 3, 10)
    assert run.rows[1] == {"generator_step": 1, "fid/x": 3.5, "spectrum/conv1": [1.0, 0.5], "kid/x": 0.25}
    steps, values = run.series("fid/x")
    assert steps == [1, 2]
    assert values[0] == 3.5
    assert math.isnan(values[1])
    assert run.names("kid") == ["kid/x"]
    writer.write_summary({"outcome": FINISHED, "metrics": {"fid/x": math.inf}})
    assert Run.read(tmp_path / "run").outcome == FINISHED
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["metrics"]["fid/x"] is None


def test_a_line_cut_short_is_left_out(tmp_path):
    writer = written(tmp_path)
    writer.append_metrics(1, {"a": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"generator_step": 2, "a"')
    assert list(Run.read(tmp_path).rows) == [1]


def test_going_on_drops_what_will_be_written_anew(tmp_path):
    writer = written(tmp_path)
    writer.write_summary({"outcome": "killed"})
    for step in range(1, 6):
        writer.append_metrics(step, {"a": float(step)})
    before = (tmp_path / "metrics.jsonl").read_text().splitlines()
    writer.go_on_from(3)
    assert Run.read(tmp_path).outcome == UNFINISHED
    assert (tmp_path / "metrics.jsonl").read_text().splitlines() == before[:3]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", "\x00"])
def test_a_damaged_folder_is_said_in_one_line(tmp_path, content):
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(UserError) as error:
        Run.read(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_class_is_called_as_in_code(tmp_path):
    inner = {"class_path": "a.Inner", "init_args": {}}
    named = {"class_path": "mine.Clip", "init_args": {"limit": 0.05, "parts": [inner, None, "x y"]}}
    run = Run(tmp_path, {"model": {"normalizer": named}}, {})
    assert run.normalizer == "Clip(limit=0.05, parts=[Inner, none, 'x y'])"
    assert Run(tmp_path, {"model": {"normalizer": {"class_path": "Clip"}}}, {}).normalizer == "Clip"
    assert Run(tmp_path, {"model": {"normalizer": "a\n b"}}, {}).normalizer == "a b"


def test_folders_that_cannot_be_read_are_named(tmp_path):
    good, bad, bare = (written(tmp_path / name).folder for name in ("good", "ba: d", "bare"))
    (bad / "config.yaml").write_text("[1]")
    (bare / "config.yaml").unlink()
    (bare / "metrics.jsonl").write_text("")
    (bare / "below").mkdir()
    inner = written(bare / "below/inner").folder  # a folder that is no run any more may hold others
    runs, skipped = read_runs(tmp_path)
    assert [run.folder for run in runs] == [inner, good]
    assert skipped == [
        Skipped(bad, "config.yaml or summary.json holds no mapping"),
        Skipped(bare, "its config.yaml is gone"),
    ]
    assert find_runs(tmp_path) == runs


def test_a_folder_of_checkpoints_that_are_not_ours_is_no_run(tmp_path):
    written(tmp_path / "run")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/model.ckpt").write_bytes(b"")
    assert read_runs(tmp_path)[1] == []
    (tmp_path / "checkpoints/step-00000010.ckpt").write_bytes(b"")
    assert [skip.folder for skip in read_runs(tmp_path)[1]] == [tmp_path]


def test_finding_runs(tmp_path):
    with pytest.raises(UserError, match="no folder"):
        find_runs(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no run in"):
        find_runs(tmp_path)
    for name in ("b", "a/deep"):
        written(tmp_path / name)
    (tmp_path / "a/deep/wandb/files").mkdir(parents=True)
    (tmp_path / "a/deep/wandb/files/config.yaml").write_text("wandb_version: 1")
    assert [run.folder for run in find_runs(tmp_path)] == [tmp_path / "a/deep", tmp_path / "b"]
    assert [run.folder for run in find_runs(tmp_path / "b")] == [tmp_path / "b"]
