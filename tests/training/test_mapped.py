"""Runs on images mapped to memory are those on images in memory, bit for bit (in two: test_parallel.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snlab.cli import main
from snlab.data import DATASETS, stored
from snlab.data.dataset import DataSet
from tests.comparing import assert_equal, assert_same, last_checkpoint, rows, whole_and_resumed

RUN = ("--generator_steps", "4", "--checkpoint_every", "2", "--measure.fidelity", "none")
CASES = {
    "noise": ("--data.noise", "true", "--data.scaling", "released"),
    "labels, and other numbers in turn": (
        *("--model.network", "resnet(conditional=projection, width=0.03125)"),
        *("--model.n_dis", "2", "--model.generator_batch_size", "24"),
    ),
}


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data set of 60 pictures of two classes, by its name and options."""
    monkeypatch.setenv("SNLAB_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for i in range(60):
        path = tmp_path / "pictures" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    return f"folder(path={str(tmp_path / 'pictures')!r}, size=16, heldout=0.3)"


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """From now on images are mapped; whether they were, of every data set that was moved to a device."""
    monkeypatch.setattr(stored, "MAPPED_FROM", 1)
    seen: list[bool] = []
    original = DataSet.to

    def to(self: DataSet, device: torch.device) -> DataSet:
        seen.append(self.mapped)
        return original(self, device)

    monkeypatch.setattr(DataSet, "to", to)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_run_on_mapped_images_is_that_on_images_in_memory_also_when_interrupted(
    fit, images, tmp_path, monkeypatch, request, case
):
    options = ("--data.dataset", images, *RUN, *CASES[case])
    memory = fit(*options, "--runs", str(tmp_path / "memory"))
    seen = request.getfixturevalue("mapped")
    whole, resumed = whole_and_resumed(fit, options, 3, tmp_path, monkeypatch)
    assert seen
    assert all(seen)
    assert_equal(whole, memory)
    assert_same(last_checkpoint(resumed), last_checkpoint(memory))
    assert rows(resumed) == rows(memory)


# ---- from the command line ------------------------------------------------------------------------------


def errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_folder_that_will_not_do_is_told_in_one_line_and_nothing_is_written(arguments, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for path, line in (("empty", "has no images; they end in .jpg"), ("emtpy", "did you mean '")):
        words = arguments("--data.dataset", f"folder(path='{tmp_path}/{path}')")
        assert main(["fit", *words]) == 2
        (told,) = errors(capsys)
        assert told.startswith(f"snlab: data set folder: {tmp_path}/{path} ")
        assert line in told
    assert not (tmp_path / "runs").exists()


def test_broken_images_are_a_line_of_the_run(arguments, images, tmp_path, capsys):
    (tmp_path / "pictures/a/none.png").write_bytes(b"")
    words = arguments("--data.dataset", images, "--generator_steps", "1", "--measure.fidelity", "none")
    assert main(["fit", *words]) == 0
    line = "warning: folder: 1 of 61 files are broken, and left out: a/none.png (empty)"
    assert line in errors(capsys)


def test_a_folder_is_listed_with_its_options(capsys):
    assert main(["list", "datasets"]) == 0
    assert "folder(" in capsys.readouterr().out
    assert "folder" in DATASETS.names()
