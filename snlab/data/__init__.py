"""What the discriminator is shown: training and held-out samples, and where they come from."""

from __future__ import annotations

from snlab.data.dataset import DATASETS, DataSet, Density
from snlab.data.digits import digits
from snlab.data.folder import folder
from snlab.data.mixture import GaussianMixture, mixture
from snlab.data.mnist import fashion_mnist, mnist
from snlab.data.photos import photos
from snlab.data.scaling import scale, to_uint8

__all__ = [
    "DATASETS",
    "DataSet",
    "Density",
    "GaussianMixture",
    "digits",
    "fashion_mnist",
    "folder",
    "mixture",
    "mnist",
    "photos",
    "scale",
    "to_uint8",
]
