"""What the discriminator is shown: every data set whole in memory, on the training device."""

from __future__ import annotations

from snlab.data.dataset import DATASETS, DataSet, Density, scale, to_uint8
from snlab.data.digits import digits
from snlab.data.mixture import GaussianMixture, mixture
from snlab.data.photos import photos

__all__ = [
    "DATASETS",
    "DataSet",
    "Density",
    "GaussianMixture",
    "digits",
    "mixture",
    "photos",
    "scale",
    "to_uint8",
]
