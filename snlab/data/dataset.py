"""A data set: training and held-out samples, and how the training step draws from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from snlab.core.registry import Registry
from snlab.data.ahead import Ahead
from snlab.data.scaling import Scaling, dequantise, scale

if TYPE_CHECKING:
    from snlab.data.stored import Stored


class Density(Protocol):
    """A density that is known: what ``ratio/true_*`` and ``modes/dropped_mass`` need of the data."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density (nats) of each sample, differentiable, in the dtype and on the device of x.

        Args:
            x: (n, d), or as the data set's samples are, (n, *sample_shape).

        Returns:
            (n,), finite however far out x is, as long as its square is.
        """
        ...


@runtime_checkable
class Modal(Density, Protocol):
    """A density of equally likely modes that are round; what the other ``modes/*`` need."""

    modes: Tensor
    """The centres, float32 of shape (K, d)."""
    std: float
    """The standard deviation about each centre, in every direction."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Real samples: images as uint8 (N, C, H, W), or vectors as float32 (N, d).

    Labels are int64 (N,), from 0 to classes - 1, or None. The density is that of what the samples were
    drawn from, where it is known. ValueError for labels that are none of these.

    Args:
        scaling: of images, from bytes to what the networks see; see ``scaling.scale``.
        noise: whether training images get uniform noise of one grey level, drawn anew each time.
        load: gives the samples, where those here are blank and only their shapes and numbers are meant: so a
            sweep can be checked before its data is there, or read.
        stored: the arrays in files that they are, or will be, read from, and how those are got.
        mapped: the training samples are in a file that is mapped to memory; they are read from there batch
            by batch, and stay off the training device.

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
    scaling: Scaling = "symmetric"
    noise: bool = False
    load: Callable[[], DataSet] | None = None
    stored: Stored | None = None
    mapped: bool = False
    ahead: Ahead | None = None  # of mapped samples: set by ``to``

    def __post_init__(self) -> None:
        _check_labels("train", self.train, self.train_labels, self.classes)
        _check_labels("heldout", self.heldout, self.heldout_labels, self.classes)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """(C, H, W) or (d,)."""
        return tuple(self.train.shape[1:])

    def loaded(self) -> DataSet:
        """The same data set with its samples; UserError where they are not to be had."""
        if self.load is None:
            return self
        return replace(self.load(), scaling=self.scaling, noise=self.noise)

    def scale(self, samples: Tensor) -> Tensor:
        """Samples as the networks see them, float32, without noise."""
        return scale(samples, self.scaling)

    def to(self, device: torch.device | str) -> DataSet:
        """The same data for training on ``device``; itself, at no cost, where it is there already."""
        if self.mapped:
            if self.ahead is not None and self.ahead.device == torch.device(device):
                return self
            ahead = Ahead(self._draw, torch.device(device))
            return replace(self, heldout=self.heldout.to(device), ahead=ahead)
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
            generator: the random numbers; it lives on the training device.

        Returns:
            Samples, float32 (n, *sample_shape), images in [-1, 1] but for noise, and labels, int64 (n,), or
            None; on the training device.
        """
        return self._draw(n, generator) if self.ahead is None else self.ahead.take(n, generator)

    def _draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        index = torch.randint(len(self.train), (n,), generator=generator, device=generator.device)
        samples = self.scale(_rows(self.train, index))
        if self.noise:
            samples = dequantise(samples, self.scaling, generator)
        return samples, None if self.train_labels is None else _rows(self.train_labels, index)


def _rows(tensor: Tensor, index: Tensor) -> Tensor:
    """``tensor[index]`` on the index's device; a tensor of the host's is read there, into pinned memory."""
    if tensor.device == index.device:
        return tensor[index]
    return tensor[index.cpu()].pin_memory().to(index.device, non_blocking=True)


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


DATASETS: Registry[DataSet] = Registry("data set", DataSet)
