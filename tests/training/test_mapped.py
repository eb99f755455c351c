"""Runs on images mapped to memory are those on images in memory, bit for bit (in two: test_parallel.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import Callback

from snlab.cli import main
from snlab.data import DATASETS, stored
from snlab.data.dataset import DataSet
from snlab.data.stored import Part, Stored
from snlab.training.build import build_gan
from tests.comparing import assert_equal, assert_same, last_checkpoint, rows, whole_and_resumed
from tests.trainers import quiet

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


# ---- speed ----------------------------------------------------------------------------------------------


class Turns:
    """Hands out the data sets in turns of ``TURN`` steps."""

    def __init__(self, *datasets: DataSet) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[DataSet]:
        return cycle(data for data in self.datasets for _ in range(TURN))


class Clock(Callback):
    """Seconds of all the process's threads together, a step: what else runs on the machine does not count."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        self.start = time.process_time()

    def on_train_batch_end(self, *_: Any) -> None:
        self.taken.append(time.process_time() - self.start)


TURN, TURNS = 4, 10


@pytest.mark.slow
def test_mapped_images_cost_at_most_a_tenth_more_than_images_in_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("SNLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(stored, "MAPPED_FROM", 1)
    images = torch.randint(256, (20_000, 3, 32, 32), dtype=torch.uint8)
    parts = Part(images.split(5_000)), Part([images[:10]])
    file = Stored("file", "1", tuple(images.shape), (10, 3, 32, 32), lambda: parts, labelled=(False, False))
    mapped = file.load()
    assert mapped.mapped
    assert torch.equal(mapped.train, images)
    clock = Clock()
    trainer = quiet(2 * TURN * TURNS, callbacks=[clock])
    gan = build_gan([3, 32, 32], network="standard_cnn(width=0.125)", batch_size=32)
    trainer.fit(gan, Turns(replace(mapped, train=images, mapped=False), mapped.to("cpu")))
    turns = (
        torch.tensor(clock.taken).reshape(TURNS, 2, TURN).median(2).values[2:]
    )  # (turns, memory or mapped)
    assert (turns[:, 1] / turns[:, 0]).median() < 1.1
