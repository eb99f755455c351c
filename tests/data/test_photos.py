from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_sample_images

from snlab.core.errors import UserError
from snlab.data import DATASETS, photos
from snlab.data.photos import split


@pytest.mark.parametrize("size", [8, 32, 48, 52])
def test_no_pixel_is_in_crops_of_both_kinds(size: int) -> None:
    own_number = torch.arange(2 * 427 * 640, dtype=torch.int32).reshape(2, 1, 427, 640)
    train, heldout, _, _ = split(own_number, size)
    in_train, in_heldout = train.unique(), heldout.unique()
    assert len(in_train) > 0
    assert len(in_heldout) > 0
    assert not torch.isin(in_heldout, in_train).any()


def test_crops_are_what_the_photographs_show() -> None:
    own_number = torch.arange(2 * 427 * 640, dtype=torch.int32).reshape(2, 1, 427, 640)
    where = split(own_number, 32)[:2]
    data = photos()
    pictures = torch.tensor(load_sample_images().images[0]), torch.tensor(load_sample_images().images[1])
    pixels = torch.cat([picture.reshape(-1, 3) for picture in pictures])  # (all pixels, 3)
    for crops, numbers in zip((data.train, data.heldout), where, strict=True):
        rows = torch.randperm(len(crops), generator=torch.Generator().manual_seed(0))[:200]
        expected = pixels[numbers[rows, 0].long()].permute(0, 3, 1, 2)  # (200, 3, 32, 32)
        assert torch.equal(crops[rows], expected)


def test_each_crop_is_one_window_and_its_label_its_photograph_and_cell() -> None:
    own_number = torch.arange(2 * 427 * 640, dtype=torch.int32).reshape(2, 1, 427, 640)
    train, heldout, train_labels, heldout_labels = split(own_number, 32)
    for crops, labels in ((train, train_labels), (heldout, heldout_labels)):
        corner = crops[:, 0, 0, 0]
        picture, y, x = corner // (427 * 640), corner // 640 % 427, corner % 640
        window = torch.arange(32).unsqueeze(1) * 640 + torch.arange(32)
        assert torch.equal(crops[:, 0], (corner[:, None, None] + window).int())
        assert torch.equal(labels, (picture * 16 + y // 106 * 4 + x // 160).long())


def test_the_counts() -> None:
    data = photos()
    assert (len(data.train), len(data.heldout)) == (11_616, 1_056)
    assert data.sample_shape == (3, 32, 32)
    assert data.classes == 32
    assert torch.bincount(data.train_labels).tolist() == [363] * 32
    assert torch.bincount(data.heldout_labels).tolist() == [33] * 32


@pytest.mark.parametrize("size", ["7", "53", "32.0"])
def test_a_size_that_a_cell_has_no_room_for_is_refused(size: str) -> None:
    with pytest.raises(UserError, match="size wants a whole number from 8 to 52"):
        DATASETS.build(f"photos(size={size})")
