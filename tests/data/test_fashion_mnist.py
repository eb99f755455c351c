"""Fashion-MNIST from its real files, those of Debian's package dataset-fashion-mnist."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from snlab.core.errors import UserError
from snlab.data import DATASETS, DataSet
from snlab.data.mnist import DEBIAN

pytestmark = pytest.mark.skipif(
    not DEBIAN.is_dir(),
    reason="the real Fashion-MNIST is not tested: apt-get install dataset-fashion-mnist puts it here",
)

FIRST = (
    "5bd44e331a6d6998daf675700cd0c13dcd7af8ab954b7585124124da61459e7b"  # sha256 of the first 28 x 28 bytes
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fashion")


@pytest.fixture(scope="module")
def data(folder: Path) -> dict[int, DataSet]:
    """At both sizes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNLAB_CACHE", str(folder / "cache"))
        patch.delenv("SNLAB_DATA", raising=False)
        return {size: DATASETS.build(f"fashion_mnist(size={size})").loaded() for size in (32, 16)}


@pytest.mark.parametrize("size", [32, 16])
def test_the_published_images_and_classes_are_there(size, data):
    found = data[size]
    assert found.train.shape == (60_000, 1, size, size)
    assert found.heldout.shape == (10_000, 1, size, size)
    assert found.train_labels.bincount().tolist() == [6_000] * 10
    assert found.heldout_labels.bincount().tolist() == [1_000] * 10


def test_the_first_image_is_the_published_one_between_margins(data):
    first = data[32].train[0, 0]
    assert hashlib.sha256(first[2:30, 2:30].contiguous().numpy().tobytes()).hexdigest() == FIRST
    assert first.sum() == first[2:30, 2:30].sum()


def test_every_image_is_what_numpy_reads_from_the_file(data):
    with gzip.open(DEBIAN / "t10k-images-idx3-ubyte.gz") as file:
        raw = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(DEBIAN / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    assert np.array_equal(data[32].heldout[:, 0, 2:30, 2:30].numpy(), raw)
    assert np.array_equal(data[32].heldout_labels.numpy(), labels)
    blocks = np.pad(raw, ((0, 0), (2, 2), (2, 2))).reshape(-1, 16, 2, 16, 2)
    assert np.array_equal(data[16].heldout[:, 0].numpy(), blocks.mean((2, 4)).round())


@pytest.mark.parametrize("size", [32, 16])
def test_no_heldout_image_is_a_training_image(size, data):
    train = {image.numpy().tobytes() for image in data[size].train}
    assert len(train) == 60_000
    assert not any(image.numpy().tobytes() in train for image in data[size].heldout)


def test_a_second_reading_maps_the_same_arrays(folder, data, monkeypatch):
    monkeypatch.setenv("SNLAB_CACHE", str(folder / "cache"))
    before = {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*.*")}
    assert torch.equal(DATASETS.build("fashion_mnist").loaded().train, data[32].train)
    assert {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*.*")} == before


def test_an_altered_copy_is_refused_by_its_name(place, monkeypatch):
    """The user's own files come before Debian's, whether they are right or not."""
    own = place / "FashionMNIST/raw"
    shutil.copytree(DEBIAN, own)
    path = own / "train-labels-idx1-ubyte.gz"
    inside = bytearray(gzip.decompress(path.read_bytes()))
    inside[-1] ^= 1
    path.write_bytes(gzip.compress(bytes(inside)))
    with pytest.raises(UserError, match=f"fashion_mnist: {path} is not the published file"):
        DATASETS.build("fashion_mnist").loaded()
    os.truncate(path, 1000)
    with pytest.raises(UserError, match=f"fashion_mnist: {path} is not the published file"):
        DATASETS.build("fashion_mnist").loaded()
