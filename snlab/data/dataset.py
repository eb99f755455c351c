"""A data set: two tensors, train and held out, that live on the training device and are sampled there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from snlab.core.registry import Registry


class Density(Protocol):
    """A probability density in closed form, of Gaussian modes; what ``ratio/true_*`` and ``modes/*`` need."""

    modes: Tensor
    """The centres, float32 of shape (K, d)."""
    std: float
    """The standard deviation about each centre, in every direction."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density (nats) at each row of x, (n, d) -> (n,), in the dtype and on the device of x."""
        ...


@dataclass(frozen=True, eq=False)
class DataSet:
    """Real samples in memory: images as uint8 (N, C, H, W), or vectors as float32 (N, d).

    Labels are int64 (N,), from 0 to classes - 1, or None. The density is that of what the samples were
    drawn from, where it is known. ValueError for labels that are none of these.

    >>> data = DataSet("pairs", train=torch.eye(2), heldout=torch.ones(1, 2))
    >>> samples, labels = data.sample(3, torch.Generator().manual_seed(0))
    >>> data.sample_shape, samples.shape, labels
    ((2,), torch.Size([3, 2]), None)
    """

    name: str
    train: Tensor
    heldout: Tensor
    train_labels: Tensor | None = None
    heldout_labels: Tensor | None = None
    classes: int = 0
    density: Density | None = None

    def __post_init__(self) -> None:
        _check_labels("train", self.train, self.train_labels, self.classes)
        _check_labels("heldout", self.heldout, self.heldout_labels, self.classes)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(C, H, W) or (d,)."""
        return tuple(self.train.shape[1:])

    def to(self, device: torch.device | str) -> DataSet:
        """The same data on ``device``; itself, at no cost, where it is there already."""
        train = self.train.to(device)
        if train is self.train:
            return self
        moved: dict[str, Any] = {"train": train, "heldout": self.heldout.to(device)}
        for name in ("train_labels", "heldout_labels"):
            labels = getattr(self, name)
            moved[name] = None if labels is None else labels.to(device)
        return replace(self, **moved)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """n training samples, drawn with replacement, and their labels.

        Args:
            n: how many.
            generator: the random numbers; it lives on the data's device.

        Returns:
            Samples, float32 (n, *sample_shape), images in [-1, 1], and labels, int64 (n,), or None.
        """
        index = torch.randint(len(self.train), (n,), generator=generator, device=self.train.device)
        return scale(self.train[index]), None if self.train_labels is None else self.train_labels[index]


def _check_labels(part: str, samples: Tensor, labels: Tensor | None, classes: int) -> None:
    if labels is None or labels.is_meta:
        return
    if labels.dtype != torch.int64 or labels.shape != samples.shape[:1]:
        raise ValueError(
            f"{part}_labels want int64 of shape ({len(samples)},), "
            f"got {str(labels.dtype).removeprefix('torch.')} of shape {tuple(labels.shape)}"
        )
    if len(labels) and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(
            f"{part}_labels of {classes} classes are from 0 to {classes - 1}, "
            f"got labels from {labels.min()} to {labels.max()}"
        )


# ---- between bytes and what the networks see ------------------------------------------------------------


def scale(x: Tensor) -> Tensor:
    """uint8 0..255 to float32 in [-1, 1]; anything else passes through.

    >>> scale(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    return x.float() / 127.5 - 1 if x.dtype == torch.uint8 else x


def to_uint8(x: Tensor) -> Tensor:
    """Images in [-1, 1] to uint8 0..255, rounded, clamped: the inverse of :func:`scale`.

    >>> to_uint8(torch.tensor([-2.0, -1.0, 0.004, 1.0]))
    tensor([  0,   0, 128, 255], dtype=torch.uint8)
    """
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


# ---- the names ------------------------------------------------------------------------------------------

DATASETS: Registry[DataSet] = Registry("data set")
