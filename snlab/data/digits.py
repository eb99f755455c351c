"""Handwritten digits: real images that ship with scikit-learn, so they need no download."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from snlab.core.checks import check_whole
from snlab.data.dataset import DATASETS, DataSet


@DATASETS.register("digits")
def digits(size: int = 16) -> DataSet:
    """1,797 handwritten digits in grey, a fifth of them held out.

    The 8 x 8 images of :func:`sklearn.datasets.load_digits` (values 0 to 16), resized bilinearly to
    uint8 (N, 1, size, size). The split keeps the digits' shares and is always the same one; labels are
    the digits.

    Args:
        size: height and width, in pixels, at least 8.

    Raises:
        ValueError: for another size.
    """
    from sklearn.datasets import load_digits  # here: it takes a second, and mixtures do without
    from sklearn.model_selection import train_test_split

    check_whole("size", size, least=8)
    bunch = load_digits()
    small = torch.from_numpy(bunch.images).unsqueeze(1) * (255 / 16)  # (N, 1, 8, 8) float64 in 0..255
    images = F.interpolate(small, size=(size, size), mode="bilinear").round().to(torch.uint8)
    labels = torch.from_numpy(bunch.target).long()
    train, heldout = map(
        torch.from_numpy,
        train_test_split(np.arange(len(labels)), test_size=0.2, stratify=bunch.target, random_state=0),
    )
    return DataSet(
        name="digits",
        train=images[train],
        heldout=images[heldout],
        train_labels=labels[train],
        heldout_labels=labels[heldout],
        classes=10,
    )
