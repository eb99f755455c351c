"""What the discriminator is shown: training and held-out samples, and where they come from."""

from __future__ import annotations

from snlab.data.celeba import celeba
from snlab.data.cifar import cifar10, cifar100
from snlab.data.dataset import DATASETS, DataSet, Density, Modal
from snlab.data.digits import digits
from snlab.data.drawn import digits_mixture, gaussian, line, sphere, swiss_roll
from snlab.data.folder import folder
from snlab.data.imagenet import imagenet
from snlab.data.mixture import mixture
from snlab.data.mnist import fashion_mnist, mnist
from snlab.data.photos import photos
from snlab.data.scaling import scale, to_uint8
from snlab.data.stl10 import stl10
from snlab.data.svhn import svhn
from snlab.distributions import GaussianMixture

__all__ = [
    "DATASETS",
    "DataSet",
    "Density",
    "GaussianMixture",
    "Modal",
    "celeba",
    "cifar10",
    "cifar100",
    "digits",
    "digits_mixture",
    "fashion_mnist",
    "folder",
    "gaussian",
    "imagenet",
    "line",
    "mixture",
    "mnist",
    "photos",
    "scale",
    "sphere",
    "stl10",
    "svhn",
    "swiss_roll",
    "to_uint8",
]
