"""What the discriminator is shown: training and held-out samples, and where they come from."""

from __future__ import annotations

from snlab.data.celeba import celeba
from snlab.data.cifar import cifar10, cifar100
from snlab.data.dataset import DATASETS, DataSet, Density
from snlab.data.digits import digits
from snlab.data.folder import folder
from snlab.data.imagenet import imagenet
from snlab.data.mixture import GaussianMixture, mixture
from snlab.data.mnist import fashion_mnist, mnist
from snlab.data.photos import photos
from snlab.data.scaling import scale, to_uint8
from snlab.data.stl10 import stl10
from snlab.data.svhn import svhn

__all__ = [
    "DATASETS",
    "DataSet",
    "Density",
    "GaussianMixture",
    "celeba",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "folder",
    "imagenet",
    "mixture",
    "mnist",
    "photos",
    "scale",
    "stl10",
    "svhn",
    "to_uint8",
]
