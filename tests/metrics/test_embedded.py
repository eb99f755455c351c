from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from snlab.core import cached
from snlab.data.dataset import DataSet
from snlab.metrics import classifier, embedded
from snlab.metrics.classifier import RECIPE, Classifier, accuracy, train_classifier
from snlab.metrics.embedded import cache_folder, embedded_extractor
from snlab.metrics.extractors import Extractor
from tests.forked import Command

pytestmark = pytest.mark.slow

Train = Callable[..., Extractor]


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A recipe of three steps, and a list that grows by one with each training."""
    done: list[int] = []
    plain = classifier.train_classifier

    def counted(images: torch.Tensor, labels: torch.Tensor, classes: int) -> Classifier:
        done.append(len(images))
        return plain(images, labels, classes)

    monkeypatch.setattr(classifier, "RECIPE", RECIPE._replace(steps=3))
    monkeypatch.setattr(embedded, "train_classifier", counted)
    monkeypatch.setattr(embedded, "_CLASSIFIERS", {})  # others' "embedded-digits" stays what it is
    return done


# ---- the classifier -------------------------------------------------------------------------------------


def test_digits_are_told_apart(extractor: Extractor, data: DataSet) -> None:
    found = extractor.features(data.heldout)
    assert found.features.shape == (len(data.heldout), 64)
    assert found.logits.shape == (len(data.heldout), 10)
    right = (found.logits.argmax(dim=1) == data.heldout_labels).float().mean().item()
    assert right >= 0.97
    assert accuracy(extractor.module.classifier, data.heldout, data.heldout_labels) == pytest.approx(right)


def test_it_is_small() -> None:
    assert sum(p.numel() for p in Classifier(channels=3, classes=100).parameters()) < 150_000


def test_the_same_bit_for_bit_whatever_the_caller_has_set(
    data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other seeds, threads, default dtype and inference mode."""
    monkeypatch.setattr(classifier, "RECIPE", RECIPE._replace(steps=30))
    images, labels = data.train[:300], data.train_labels[:300]
    first = train_classifier(images, labels, 10).state_dict()
    torch.manual_seed(123)
    threads, dtype, state = torch.get_num_threads(), torch.get_default_dtype(), torch.get_rng_state()
    try:
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        with torch.inference_mode():
            second = train_classifier(images, labels, 10).state_dict()
        assert torch.get_num_threads() == 2
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_training_twice_gives_one_digest(extractor: Extractor, train: Train, tmp_path: Path) -> None:
    assert train(tmp_path).digest == extractor.digest


# ---- the cache ------------------------------------------------------------------------------------------


def test_trained_once_then_read(train: Train, trainings: list[int], tmp_path: Path, data: DataSet) -> None:
    first, second = train(tmp_path), train(tmp_path)
    assert len(trainings) == 1
    assert first.name == second.name == "embedded-digits"
    assert first.digest == second.digest
    found = [e.features(data.heldout) for e in (first, second)]
    assert torch.equal(found[0].features, found[1].features)
    assert torch.equal(found[0].logits, found[1].logits)


def test_other_data_labels_or_recipe_are_another_classifier(
    train: Train, trainings: list[int], tmp_path: Path, data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = data.train.clone(), data.train_labels.clone()
    images[0, 0, 0, 0] += 1
    labels[0] = (labels[0] + 1) % 10
    for other in (data, replace(data, train=images), replace(data, train_labels=labels)):
        train(tmp_path, other)
    monkeypatch.setattr(classifier, "RECIPE", classifier.RECIPE._replace(version=3))
    train(tmp_path)
    assert len(trainings) == len(list(tmp_path.glob("*.pt"))) == 4


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "checksum"])
def test_a_damaged_file_is_trained_again(
    train: Train, trainings: list[int], tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    digest = train(tmp_path).digest
    (path,) = tmp_path.glob("*.pt")
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[:1000])
    elif damage == "flipped":
        path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    elif damage == "emptied":
        path.write_bytes(b"")
    else:
        path.with_suffix(".sha256").write_bytes(b"\xff\xfe")
    with caplog.at_level(logging.WARNING):
        assert train(tmp_path).digest == digest
    assert len(trainings) == 2
    assert "not what was written" in caplog.text
    assert path.read_bytes() == whole
    assert train(tmp_path).digest == digest
    assert len(trainings) == 2


def test_a_folder_that_cannot_be_written(
    train: Train, trainings: list[int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        found = train(tmp_path / "file" / "cache")
    assert found.digest == train(tmp_path).digest
    assert len(trainings) == 2
    assert "going on without" in caplog.text


def test_a_disk_that_fills_up_costs_no_second_training(
    train: Train, trainings: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cached, "write_atomically", full)
    assert len(train(tmp_path).digest) == 64
    assert len(trainings) == 1


def test_the_folder_is_the_user_s_unless_the_environment_names_one(
    train: Train, trainings: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNLAB_CACHE", str(tmp_path / "here"))
    train(None)
    assert {path.suffix for path in (tmp_path / "here").iterdir()} >= {".pt", ".sha256"}
    monkeypatch.delenv("SNLAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert cache_folder() == tmp_path / "snlab"


TRAIN_SLOWLY = """
import logging, sys, time
from pathlib import Path
from snlab.data.digits import digits
from snlab.metrics import classifier, embedded
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
classifier.RECIPE = classifier.RECIPE._replace(steps=3)
def slowly(*data):
    time.sleep(2)  # longer than the two processes start apart
    return classifier.train_classifier(*data)
embedded.train_classifier = slowly
own, other = Path(sys.argv[2]), Path(sys.argv[3])
d = digits()
own.touch()
while not other.exists():
    time.sleep(0.01)
found = embedded.embedded_extractor(
    "digits", d.train, d.train_labels, 10, d.heldout, d.heldout_labels, Path(sys.argv[1]))
print(found.digest)
"""


def test_of_two_processes_one_trains_and_the_other_waits(tmp_path: Path) -> None:
    ready = [tmp_path / "ready-0", tmp_path / "ready-1"]
    processes = [
        Command(tmp_path / "cache", *order, script=TRAIN_SLOWLY, log=tmp_path / f"log-{i}")
        for i, order in enumerate((ready, ready[::-1]))
    ]
    assert [process.wait() for process in processes] == [0, 0], [process.err for process in processes]
    assert processes[0].out == processes[1].out != ""
    assert sum(process.err.count("trained embedded-digits") for process in processes) == 1


# ---- behaviour ------------------------------------------------------------------------------------------


def test_a_name_can_be_made_again_and_means_the_latest(
    train: Train, trainings: list[int], tmp_path: Path, data: DataSet
) -> None:
    """torch-fidelity refuses to register a name twice; by that name it makes the latest classifier."""
    train(tmp_path, name="twice")
    fewer = replace(data, train=data.train[:200], train_labels=data.train_labels[:200])
    second = train(tmp_path, fewer, name="twice")
    by_name = embedded.EmbeddedFeatures("embedded-twice", ["logits", "features"]).eval()
    with torch.no_grad():
        logits, features = by_name(data.heldout)
    found = second.features(data.heldout)
    assert torch.allclose(logits, found.logits, atol=1e-5)
    assert torch.allclose(features, found.features, atol=1e-5)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(3, 1, 8, 8), torch.zeros(3), "not torch.float32"),
        (torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.zeros(2), r"and \(2,\)"),
        (torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 2]), "0 to 1, not 0 to 2"),
    ],
)
def test_data_of_another_kind_is_refused(images: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        embedded_extractor("digits", images, labels, 2, images, labels)
