"""Data sets that are drawn from distributions of known density, as many samples as one likes."""

from __future__ import annotations

from typing import Any

import torch

from snlab.core.checks import check_flag, check_whole
from snlab.core.random_streams import stream_seed
from snlab.data.dataset import DATASETS, DataSet
from snlab.distributions import Distribution, digits, manifold, mixture

SIZE, HELDOUT = 20_000, 5_000


@DATASETS.register("gaussian")
def gaussian(
    dim: int = 2, std: float = 1.0, size: int = SIZE, heldout: int = HELDOUT, seed: int = 0
) -> DataSet:
    """A round Gaussian about the origin, of known density.

    Samples are float32 (size, dim), as of all that is drawn; training and held-out ones are drawn once, by
    a stream each: the number of the ones changes nothing in the others.

    Args:
        dim: of a sample, at least 2.
        std: standard deviation in each direction.
        size: how many training samples, at least 4.
        heldout: how many are held out, at least 4.
        seed: of the samples.

    Raises:
        ValueError: for a value out of its range.
    """
    return _drawn("gaussian", mixture.gaussian(dim, std), size, heldout, seed)


@DATASETS.register("line")
def line(
    dim: int = 2,
    epsilon: float = 0.1,
    length: float = 2.0,
    size: int = SIZE,
    heldout: int = HELDOUT,
    seed: int = 0,
) -> DataSet:
    """A segment of a line in d dimensions with noise about it, of known density.

    It lies on the first axis about the origin; a sample is a uniform point of it and Gaussian noise.

    Args:
        dim: of a sample, 2 to 512.
        epsilon: the noise's standard deviation, in every direction.
        length: of the segment.
        size: how many training samples, at least 4.
        heldout: how many are held out, at least 4.
        seed: of the samples.

    Raises:
        ValueError: for a value out of its range.
    """
    return _drawn("line", manifold.line(dim, epsilon, length), size, heldout, seed)


@DATASETS.register("sphere")
def sphere(
    dim: int = 3,
    epsilon: float = 0.1,
    radius: float = 1.0,
    intrinsic: int = 2,
    size: int = SIZE,
    heldout: int = HELDOUT,
    seed: int = 0,
) -> DataSet:
    """A sphere or a circle in d dimensions with noise about it, of known density.

    It lies in the first directions about the origin; a sample is a uniform point of it and Gaussian noise.

    Args:
        dim: of a sample, up to 512, and above ``intrinsic``.
        epsilon: the noise's standard deviation, in every direction.
        radius: of the sphere.
        intrinsic: dimension of the surface itself: 2, a sphere, or 1, a circle.
        size: how many training samples, at least 4.
        heldout: how many are held out, at least 4.
        seed: of the samples.

    Raises:
        ValueError: for a value out of its range.
    """
    return _drawn("sphere", manifold.sphere(dim, epsilon, radius, intrinsic), size, heldout, seed)


@DATASETS.register("swiss_roll")
def swiss_roll(
    dim: int = 3, epsilon: float = 0.05, size: int = SIZE, heldout: int = HELDOUT, seed: int = 0
) -> DataSet:
    """A Swiss roll in d dimensions with noise about it, of known density.

    A spiral of outer radius 1 in the first two directions, of ``distributions.manifold.CHORDS`` straight
    chords, -1 to 1 wide in the third; a sample is a uniform point of it and Gaussian noise.

    Args:
        dim: of a sample, 3 to 512.
        epsilon: the noise's standard deviation, in every direction; neighbouring turns are 0.44 apart.
        size: how many training samples, at least 4.
        heldout: how many are held out, at least 4.
        seed: of the samples.

    Raises:
        ValueError: for a value out of its range.
    """
    return _drawn("swiss_roll", manifold.swiss_roll(dim, epsilon), size, heldout, seed)


@DATASETS.register("digits_mixture")
def digits_mixture(
    epsilon: float = 0.1, images: bool = False, size: int = SIZE, heldout: int = HELDOUT, seed: int = 0
) -> DataSet:
    """Digits drawn from a Gaussian mixture that is fitted to the 8 x 8 ones of scikit-learn.

    What is fitted is taken as the truth: image-like data whose density is known. Labels are the digits.

    Args:
        epsilon: standard deviation of the noise in each pixel; black is -1, white 1.
        images: whether samples are images, float32 (N, 1, 8, 8), or vectors of 64. Gaussians have no edge:
            pixels reach beyond [-1, 1].
        size: how many training samples, at least 4.
        heldout: how many are held out, at least 4.
        seed: of the samples.

    Raises:
        ValueError: for a value out of its range.
    """
    check_flag("images", images)
    shape = (1, digits.SIDE, digits.SIDE) if images else None
    return _drawn("digits_mixture", digits.digits_mixture(epsilon), size, heldout, seed, shape, classes=10)


def _drawn(
    name: str,
    density: Distribution,
    size: int,
    heldout: int,
    seed: int,
    shape: tuple[int, ...] | None = None,
    classes: int = 0,
) -> DataSet:
    check_whole("dim", density.dim, least=2)  # which is the least that is drawn as a map
    check_whole("size", size, least=4)
    check_whole("heldout", heldout, least=4)
    check_whole("seed", seed, least=0)
    parts: dict[str, Any] = {}
    for part, n in (("train", size), ("heldout", heldout)):
        generator = torch.Generator().manual_seed(stream_seed(seed, part))
        samples, kinds = density.sample(n, generator)
        parts[part] = samples if shape is None else samples.unflatten(1, shape)
        parts[f"{part}_labels"] = kinds if classes else None
    return DataSet(name, **parts, classes=classes, density=density)
