"""A convolution as a linear map on inputs of one size, as power iteration takes a matrix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snlab.nn.layers import TRANSPOSED

CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONVOLVE_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@dataclass(frozen=True)
class Geometry:
    """What a convolution does besides its weight and bias.

    Attributes:
        pads: how its input is padded beforehand, and in which ``mode``, as ``F.pad`` takes them.
        options: what else torch's function for it is given.
    """

    pads: tuple[int, ...]
    mode: str
    transposed: bool
    options: dict[str, Any]

    @classmethod
    def of(cls, layer: nn.Module) -> Geometry:
        """That of one of torch's convolutions, by its attributes, whatever its forward pass does besides."""
        conv: Any = layer
        options = {name: getattr(conv, name) for name in ("stride", "dilation", "groups")}
        transposed = isinstance(layer, TRANSPOSED)
        if transposed:
            options |= {"padding": conv.padding, "output_padding": conv.output_padding}
        sides = () if transposed else reversed([_sides(conv, d) for d in range(len(conv.kernel_size))])
        mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
        return cls(tuple(size for pair in sides for size in pair), mode, transposed, options)

    def apply(self, x: Tensor, weight: Tensor) -> Tensor:
        """The convolution of ``x`` (B, C_in, ...), without a bias."""
        padded = F.pad(x, self.pads, self.mode) if any(self.pads) else x
        function: Any = (CONVOLVE_TRANSPOSED if self.transposed else CONVOLVE)[weight.ndim - 2]
        return cast(Tensor, function(padded, weight, **self.options))


def _sides(conv: Any, d: int) -> tuple[int, int]:
    """How far an input's dimension ``d`` is padded before and after."""
    if conv.padding == "same":  # of an odd total, the larger part comes last
        total = conv.dilation[d] * (conv.kernel_size[d] - 1)
        return total // 2, total - total // 2
    size = 0 if conv.padding == "valid" else conv.padding[d]
    return size, size


class Convolution:
    """The matrix of a convolution on inputs of one size, never written out.

    ``convolution @ x`` and ``convolution.mH @ y`` are of vectors (n,), an input or an output as a row of
    numbers, or of several as the columns of (n, k).

    Args:
        weight: in the layer's own shape.
        geometry: what else the layer does.
        shape: of one input, (C_in, ...).
    """

    def __init__(self, weight: Tensor, geometry: Geometry, shape: tuple[int, ...]) -> None:
        self.weight = weight
        self.geometry = geometry
        self.input_shape = shape

    @property
    def device(self) -> torch.device:
        return self.weight.device

    @property
    def mH(self) -> _Adjoint:  # noqa: N802  as torch's matrices have it
        return _Adjoint(self)

    def __matmul__(self, x: Tensor) -> Tensor:
        with full_float32():
            return _as_columns(self.geometry.apply(self._inputs(x), self.weight), x)

    def _inputs(self, x: Tensor) -> Tensor:
        return _as_rows(x).unflatten(1, self.input_shape)


class _Adjoint:
    """The conjugate transpose of a convolution: what pulls a gradient of its output back to its input."""

    def __init__(self, convolution: Convolution) -> None:
        self.mH = convolution

    @property
    def device(self) -> torch.device:
        return self.mH.device

    def __matmul__(self, y: Tensor) -> Tensor:
        geometry, weight = self.mH.geometry, self.mH.weight
        rows = _as_rows(y)
        anywhere = weight.new_zeros(len(rows), *self.mH.input_shape)
        with full_float32():
            output, pull = cast(Any, torch.func.vjp(lambda x: geometry.apply(x, weight), anywhere))
            (pulled,) = pull(rows.view_as(output))
        return _as_columns(pulled, y)


def _as_rows(x: Tensor) -> Tensor:
    return x[None] if x.ndim == 1 else x.mT


def _as_columns(rows: Tensor, like: Tensor) -> Tensor:
    rows = rows.flatten(1)
    return rows[0] if like.ndim == 1 else rows.mT


@contextmanager
def full_float32() -> Iterator[None]:
    """Convolutions without TF32, whose 10 bits are cuDNN's default and too few for a norm."""
    cudnn = torch.backends.cudnn
    with cudnn.flags(enabled=cudnn.enabled, deterministic=cudnn.deterministic, allow_tf32=False):
        yield
