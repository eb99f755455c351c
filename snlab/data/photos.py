"""Crops of two real photographs that ship with scikit-learn: colour images that need no download."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from snlab.core.checks import check_whole
from snlab.data.dataset import DATASETS, DataSet

CELLS = 4  # a photograph is cut into CELLS x CELLS cells; which one a crop comes from is its label
STRIDE = 4  # pixels from one crop to the next
MARGIN = 2  # pixels by which the held-out strip is taller than a crop


@DATASETS.register("photos")
def photos(size: int = 32) -> DataSet:
    """11,616 training and 1,056 held-out crops, in colour, of two photographs.

    The photographs are those of :func:`sklearn.datasets.load_sample_images` (427 x 640 pixels, a temple
    and a flower); crops are uint8 (N, 3, size, size), every 4 pixels (the counts are those at size 32).
    The bottom strip of each cell is held out: no pixel is in crops of both kinds. Labels are
    photograph * 16 + cell.

    Args:
        size: height and width of a crop, in pixels, 8 to 52 (what a cell has room for).

    Raises:
        ValueError: for another size.
    """
    from sklearn.datasets import load_sample_images  # here: it takes a second, and mixtures do without

    check_whole("size", size, least=8, most=52)
    pictures = torch.from_numpy(np.stack(load_sample_images().images)).movedim(3, 1)  # (2, 3, 427, 640)
    train, heldout, train_labels, heldout_labels = split(pictures, size)
    return DataSet(
        name="photos",
        train=train,
        heldout=heldout,
        train_labels=train_labels,
        heldout_labels=heldout_labels,
        classes=len(pictures) * CELLS**2,
    )


def split(pictures: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every crop of ``pictures`` (P, C, H, W): train, held out (N, C, size, size), and the labels of each.

    The lowest ``size + 2`` rows of each cell are held out.
    """
    height, width = pictures.shape[2] // CELLS, pictures.shape[3] // CELLS
    strip = height - (size + MARGIN)
    cells = [
        picture[:, row * height : (row + 1) * height, column * width : (column + 1) * width]
        for picture in pictures
        for row in range(CELLS)
        for column in range(CELLS)
    ]
    train = [_crops(cell[:, :strip], size) for cell in cells]
    heldout = [_crops(cell[:, strip:], size) for cell in cells]
    return torch.cat(train), torch.cat(heldout), _labels(train), _labels(heldout)


def _crops(region: Tensor, size: int) -> Tensor:
    windows = region.unfold(1, size, STRIDE).unfold(2, size, STRIDE)  # (C, rows, columns, size, size)
    return windows.movedim(0, 2).flatten(0, 1)


def _labels(crops: list[Tensor]) -> Tensor:
    counts = torch.tensor([len(c) for c in crops])
    return torch.arange(len(crops)).repeat_interleave(counts)
