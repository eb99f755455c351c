"""Arrays that are converted once and mapped to memory: whoever is killed, damages or wants them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from snlab.core.errors import UserError
from snlab.data import stored
from snlab.data.stored import Part, Stored
from tests.data.stored_processes import CHUNK, CHUNKS, SHAPE, digest, slow

SCRIPT = Path(__file__).with_name("stored_processes.py")
RIGHT = hashlib.sha256(
    b"".join(
        torch.randint(
            256, (CHUNK, *SHAPE), generator=torch.Generator().manual_seed(seed + i), dtype=torch.uint8
        )
        .numpy()
        .tobytes()
        for seed in (0, 100)
        for i in range(CHUNKS)
    )
).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that arrays are kept in."""
    monkeypatch.setenv("SNLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"


def process(*arguments: str) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )


def left(cache: Path) -> list[str]:
    """Every file and folder, but for locks."""
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


# ---- killed, and two at once ----------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_while_converting_it_is_begun_anew(cache):
    killed = process("convert", "30")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "chunk 0\n"
    (partial,) = left(cache)
    assert partial == f".slow-key.{killed.pid}"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert left(cache) == [partial]
    blank = slow().dataset()
    assert blank.train.shape == (100, 1, 4, 4)
    assert digest(blank.loaded()) == RIGHT
    assert left(cache) == ["slow-key"]


@pytest.mark.slow
def test_of_two_processes_one_converts_and_both_read_the_same(cache):
    both = [process("convert", "0.1") for _ in range(2)]
    said = [one.communicate(timeout=120)[0].split("\n") for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert all(lines[-2] == RIGHT for lines in said)
    assert sorted(len(lines) for lines in said) == [2, 2 + 2 * CHUNKS]
    assert left(cache) == ["slow-key"]


def test_an_error_while_converting_leaves_nothing(cache):
    def images() -> Iterator[torch.Tensor]:
        yield torch.zeros(5, 1, 2, 2, dtype=torch.uint8)
        raise UserError("the archive breaks off")

    broken = Stored("broken", "1", (9, 1, 2, 2), (9, 1, 2, 2), lambda: (Part(images()), Part(images())))
    with pytest.raises(UserError, match="breaks off"):
        broken.dataset().loaded()
    assert left(cache) == []


# ---- damage ---------------------------------------------------------------------------------------------


def flip(path: Path, where: int = 3) -> None:
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "a flipped bit in the images": lambda folder: flip(folder / "train.bin"),
    "a flipped bit in the labels": lambda folder: flip(folder / "heldout.labels"),
    "a short file": lambda folder: os.truncate(folder / "heldout.bin", 7),
    "a long file": lambda folder: os.truncate(folder / "train.bin", 10_000),
    "a file that is gone": lambda folder: (folder / "train.labels").unlink(),
    "no account": lambda folder: (folder / "meta.json").unlink(),
    "an account cut short": lambda folder: os.truncate(folder / "meta.json", 40),
    "an account that is none": lambda folder: (folder / "meta.json").write_text("[1]"),
    "an account of a later version": lambda folder: change(folder, version=stored.VERSION + 1),
    "an account without files": lambda folder: change(folder, files=None),
    "an account of other shapes": lambda folder: change(
        folder, shapes={"train": [400, 1, 2, 2], "heldout": [100, *SHAPE]}
    ),
    "an account of more images": lambda folder: change(
        folder, shapes={"train": [101, *SHAPE], "heldout": [100, *SHAPE]}
    ),
}


def change(folder: Path, **values: Any) -> None:
    path = folder / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_converted_anew(damage, cache, capsys):
    slow().load()
    capsys.readouterr()
    DAMAGE[damage](cache / "slow-key")
    data = slow().load()
    assert "chunk 0" in capsys.readouterr().out
    assert digest(data) == RIGHT
    assert data.train_labels.tolist() == data.heldout_labels.tolist() == [i % 4 for i in range(100)]
    slow().load()
    assert capsys.readouterr().out == ""
    assert left(cache) == ["slow-key"]


def test_large_files_are_known_by_their_size_alone(cache, capsys, monkeypatch):
    monkeypatch.setattr(stored, "VERIFIED_TO", 0)
    slow().load()
    capsys.readouterr()
    flip(cache / "slow-key" / "train.bin")
    slow().load()
    assert capsys.readouterr().out == ""
    os.truncate(cache / "slow-key" / "train.bin", 1_599)
    assert digest(slow().load()) == RIGHT


# ---- no room --------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_before_anything_is_read(cache, monkeypatch, capsys):
    monkeypatch.setattr(stored.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 3_000))
    with pytest.raises(
        UserError, match=r"^slow takes 0\.0 GiB in .*cache/data, and 0\.0 GiB are free; SNLAB"
    ):
        slow().load()
    assert capsys.readouterr().out == ""
    assert left(cache) == []


def test_a_disk_that_fills_up_meanwhile(cache, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stored.os, "fsync", full)
    with pytest.raises(UserError, match=r"slow cannot be kept in .* \(No space left on device\); SN"):
        slow().load()
    assert left(cache) == []


def test_a_cache_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match=r"slow cannot be kept in .* \(.*\); SNLAB_CACHE says where"):
        slow().load()


def test_a_cache_that_cannot_be_written(monkeypatch):
    def refuse(self: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"slow cannot be kept in .* \(Permission denied: .*cache/data\)"):
        slow().load()


# ---- a file that memory has no room for -----------------------------------------------------------------

LARGE = 2**32 // (3 * 64 * 64)  # images in 4 GB


def write_large(cache: Path, n: int) -> None:
    """Arrays of n blank images as a conversion leaves them: in a sparse file, which takes no disk."""
    folder = cache / "large-key"
    folder.mkdir(parents=True)
    files = {}
    for name, count in (("train.bin", n), ("heldout.bin", 64)):
        with (folder / name).open("wb") as file:
            file.truncate(count * 3 * 64 * 64)
        files[name] = (count * 3 * 64 * 64, hashlib.sha256(bytes(64 * 3 * 64 * 64)).hexdigest())
    meta = {"version": stored.VERSION, "name": "large", "classes": 0, "files": files, "left_out": []}
    meta["shapes"] = {"train": [n, 3, 64, 64], "heldout": [64, 3, 64, 64]}
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.mark.slow
def test_training_on_4_gigabytes_takes_less_than_2_of_memory(cache):
    write_large(cache, LARGE)
    running = process("train", str(LARGE))
    said = json.loads(running.communicate(timeout=200)[0].splitlines()[-1])
    assert running.returncode == 0
    assert said["mapped"]
    assert said["steps"] == 4
    assert said["most"] < 2 * 2**30
    assert said["most"] - said["before"] < 2**30  # of which most is torch's and Lightning's own
