from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from snlab.core.errors import UserError
from snlab.data import DATASETS, digits


def test_all_1797_digits_are_there_a_fifth_held_out() -> None:
    data = digits()
    assert (len(data.train), len(data.heldout)) == (1437, 360)
    assert data.sample_shape == (1, 16, 16)
    assert data.classes == 10


def test_the_held_out_part_keeps_the_digits_shares() -> None:
    data = digits()
    everything = np.bincount(load_digits().target)
    assert np.abs(np.bincount(data.heldout_labels) - everything / 5).max() < 1


def test_at_its_own_size_the_digits_are_scikit_learns_with_their_labels() -> None:
    data = digits(size=8)
    bunch = load_digits()
    known = {
        (np.round(image * 255 / 16).astype(np.uint8).tobytes(), int(label))
        for image, label in zip(bunch.images, bunch.target, strict=True)
    }
    ours = {
        (image.numpy().tobytes(), int(label))
        for images, labels in ((data.train, data.train_labels), (data.heldout, data.heldout_labels))
        for image, label in zip(images, labels, strict=True)
    }
    assert ours == known


def test_resizing_agrees_with_pillow() -> None:
    small, large = digits(size=8).train, digits(size=16).train
    for before, after in zip(small[:50, 0], large[:50, 0], strict=True):
        expected = Image.fromarray(before.numpy()).resize((16, 16), Image.Resampling.BILINEAR)
        difference = np.asarray(expected).astype(int) - after.numpy().astype(int)
        assert np.abs(difference).max() <= 1  # pillow resizes bytes, and one direction after the other


def test_the_full_range_is_used() -> None:
    train = digits(size=8).train
    assert (train.min(), train.max()) == (0, 255)
    assert train.dtype == torch.uint8


@pytest.mark.parametrize("size", ["7", "16.5", "big", "true"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(UserError, match="size wants a whole number of at least 8"):
        DATASETS.build(f"digits(size={size})")
