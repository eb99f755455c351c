"""Gaussian mixtures: the density is known, so a density ratio can be held against the truth."""

from __future__ import annotations

import torch

from snlab.core.checks import check_whole
from snlab.core.random_streams import stream_seed
from snlab.data.dataset import DATASETS, DataSet
from snlab.distributions.mixture import drawn_mixture


@DATASETS.register("mixture")
def mixture(
    kind: str = "ring",
    modes: int | None = None,
    dim: int = 2,
    std: float | None = None,
    scale: float | None = None,
    size: int = 20_000,
    seed: int = 0,
    *,
    heldout: int | None = None,
) -> DataSet:
    """A Gaussian mixture of known density: modes on a ring, on a grid, or anywhere in d dimensions.

    ``size`` training samples, float32 (size, dim), and a quarter as many held out, drawn once. Labels are
    the components. None takes the kind's own value: a ring of 8 (std 0.2, radius 2), a grid of 25
    (std 0.1, from -2 to 2), 8 random modes (std 0.2, scale 1).

    Args:
        kind: "ring", "grid" or "random".
        modes: how many; on a grid a square number.
        dim: 2 to 512; ring and grid lie in 2.
        std: standard deviation about each centre.
        scale: the ring's radius, half the grid's width, or the standard deviation of random centres.
        size: how many training samples, at least 4.
        seed: of the samples, and of random centres.
        heldout: how many samples are held out, at least 4, from a stream of their own: the same whatever
            ``size`` is.

    Raises:
        ValueError: for an unknown kind, or a value out of its range.
    """
    check_whole("size", size, least=4)
    check_whole("seed", seed, least=0)
    if heldout is not None:
        check_whole("heldout", heldout, least=4)
    generator = torch.Generator().manual_seed(seed)
    density = drawn_mixture(kind, modes, dim, std, scale, generator)
    train, train_labels = density.sample(size, generator)
    if heldout is not None:
        generator = torch.Generator().manual_seed(stream_seed(seed, "heldout"))
    held, held_labels = density.sample(size // 4 if heldout is None else heldout, generator)
    return DataSet(
        "mixture", train, held, train_labels, held_labels, classes=len(density.modes), density=density
    )
