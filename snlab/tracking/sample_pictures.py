"""Samples as one picture: a grid of images, or a map of where points lie."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.utils import make_grid


def image_grid(samples: Tensor, columns: int | None = None) -> Tensor:
    """Images (n, C, H, W) in [-1, 1] as one image (3, H', W') in [0, 1], row by row.

    About as many rows as columns, where it is not told how many columns.
    """
    columns = columns or max(1, round(len(samples) ** 0.5))
    return make_grid(samples.float().cpu(), nrow=columns, normalize=True, value_range=(-1, 1), pad_value=1)


def density_map(points: Tensor, bins: int = 128) -> Tensor:
    """Points (n, d) as an image (1, bins, bins) of their first two coordinates, [-3, 3] a side."""
    x, y = points[:, :2].float().cpu().numpy().T
    counts, _, _ = np.histogram2d(x, y, bins=bins, range=[[-3, 3], [-3, 3]])
    image = torch.from_numpy(counts.T[::-1].copy()).float()
    return 1 - (image / image.max().clamp(min=1)).sqrt()[None]
