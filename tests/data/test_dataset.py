"""The data set itself, and what every registered one holds."""

from __future__ import annotations

import pytest
import torch
from lightning_fabric.utilities.apply_func import move_data_to_device

from snlab.core.errors import UserError
from snlab.data import DATASETS, DataSet, scale, to_uint8
from tests.data.published_files import WRITERS

FROM_FILES = {*WRITERS, "folder"}  # blank until the files are read


@pytest.fixture(scope="module", params=sorted(set(DATASETS.names()) - FROM_FILES))
def data(request: pytest.FixtureRequest) -> DataSet:
    return DATASETS.build(request.param)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- every registered data set --------------------------------------------------------------------------


def test_images_are_bytes_and_vectors_floats(data: DataSet) -> None:
    expected = torch.uint8 if len(data.sample_shape) == 3 else torch.float32
    assert len(data.sample_shape) in (1, 3)
    for part in (data.train, data.heldout):
        assert part.dtype == expected
        assert part.shape[1:] == data.sample_shape
        assert part.is_contiguous()
        assert len(part) >= 300


def test_every_class_is_labelled_in_both_parts(data: DataSet) -> None:
    for part, labels in ((data.train, data.train_labels), (data.heldout, data.heldout_labels)):
        if not data.classes:
            assert labels is None
            continue
        assert labels is not None
        assert labels.dtype == torch.int64
        assert labels.shape == (len(part),)
        assert labels.unique().tolist() == list(range(data.classes))


def test_no_heldout_sample_is_a_training_sample(data: DataSet) -> None:
    train = {row.numpy().tobytes() for row in data.train}
    assert not any(row.numpy().tobytes() in train for row in data.heldout)


def test_a_second_building_is_identical(data: DataSet) -> None:
    again = DATASETS.build(data.name)
    for name in ("train", "heldout", *(("train_labels", "heldout_labels") if data.classes else ())):
        assert torch.equal(getattr(again, name), getattr(data, name))


def test_samples_are_training_samples_in_range(data: DataSet) -> None:
    x, _ = data.sample(64, generator())
    assert x.shape == (64, *data.sample_shape)
    assert x.dtype == torch.float32
    images = data.train.dtype == torch.uint8
    train = {row.numpy().tobytes() for row in data.train}
    assert all(row.numpy().tobytes() in train for row in (to_uint8(x) if images else x))
    if images:
        assert -1 <= x.min() < -0.5 < 0.5 < x.max() <= 1


def test_a_generator_decides_the_sample(data: DataSet) -> None:
    first, _ = data.sample(64, generator(1))
    assert torch.equal(first, data.sample(64, generator(1))[0])
    assert not torch.equal(first, data.sample(64, generator(2))[0])


def test_the_name_is_the_registered_one(data: DataSet) -> None:
    assert data.name in DATASETS.names()


# ---- the class ------------------------------------------------------------------------------------------


def small() -> DataSet:
    train = torch.arange(12, dtype=torch.uint8).reshape(3, 1, 2, 2)
    return DataSet("small", train, train[:1], train_labels=torch.arange(3), classes=3)


def test_sampling_is_uniform_with_replacement() -> None:
    n = 30_000
    counts = torch.unique(small().sample(n, generator())[0][:, 0, 0, 0], return_counts=True)[1]
    assert len(counts) == 3
    assert (counts - n / 3).abs().max() < 5 * (n * (1 / 3) * (2 / 3)) ** 0.5  # 5 standard deviations


def test_to_gives_itself_where_nothing_moves() -> None:
    data = small()
    assert data.to("cpu") is data
    assert data.to(torch.device("cpu")) is data


def test_to_moves_everything_and_keeps_the_rest() -> None:
    moved = small().to("meta")
    assert all(t.device.type == "meta" for t in (moved.train, moved.heldout, moved.train_labels))
    assert moved.heldout_labels is None
    assert (moved.name, moved.classes) == ("small", 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 1, 3]), "train_labels of 3 classes are from 0 to 2, got labels from 0 to 3"),
        (torch.tensor([0, -1, 2]), "train_labels of 3 classes are from 0 to 2, got labels from -1 to 2"),
        (torch.tensor([0, 1]), r"train_labels want int64 of shape \(3,\), got int64 of shape \(2,\)"),
        (torch.tensor([0.0, 1, 2]), r"want int64 of shape \(3,\), got float32 of shape \(3,\)"),
        (torch.eye(3, dtype=torch.int64), r"want int64 of shape \(3,\), got int64 of shape \(3, 3\)"),
    ],
)
def test_labels_that_are_none_are_refused(labels: torch.Tensor, message: str) -> None:
    data = small()
    with pytest.raises(ValueError, match=message):
        DataSet("odd", data.train, data.heldout, train_labels=labels, classes=3)
    with pytest.raises(ValueError, match=message.replace("train", "heldout")):
        DataSet("odd", data.heldout, data.train, heldout_labels=labels, classes=3)


def test_lightning_moves_it_by_its_own_to() -> None:
    data = small()
    assert move_data_to_device(data, torch.device("cpu")) is data
    assert move_data_to_device(data, torch.device("meta")).train.device.type == "meta"


# ---- bytes and floats -----------------------------------------------------------------------------------


def test_scale_and_to_uint8_are_inverse_on_every_byte() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(scale(every)), every)
    assert scale(every).dtype == torch.float32
    assert (scale(every)[0], scale(every)[-1]) == (-1, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floats_pass_through(dtype: torch.dtype) -> None:
    x = torch.tensor([3.0, -7.0], dtype=dtype)
    assert scale(x) is x


def test_an_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown data set 'digit'; did you mean 'digits'"):
        DATASETS.build("digit")
