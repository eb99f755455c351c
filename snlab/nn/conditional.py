"""Networks that are given labels, and networks that are not, called alike; the layers that take labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def given(module: Callable[..., Any], x: Tensor, labels: Tensor | None) -> Any:
    """``module(x, labels)``, and ``module(x)`` where there are no labels.

    >>> given(lambda x: 2 * x, torch.ones(1), None)
    tensor([2.])
    """
    return module(x) if labels is None else module(x, labels)


def judge(
    discriminator: Callable[..., Any], samples: Tensor, labels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """What a discriminator says of samples: whether they are real, and of which class, if it tells.

    Args:
        discriminator: maps samples, and labels where there are any, to logits (batch,), or as an auxiliary
            classifier (Odena et al. 2017) to logits (batch,) and class logits (batch, classes).
        samples: (batch, ...).
        labels: int64 (batch,), or None.

    Returns:
        The logits, (batch,), and the mean cross entropy of the labels, a scalar: 0 without a classifier.
    """
    said = given(discriminator, samples, labels)
    if isinstance(said, tuple) and labels is not None:
        logits, class_logits = said
        return logits, F.cross_entropy(class_logits, labels)
    return said, said.new_zeros(())


# ---- layers ---------------------------------------------------------------------------------------------


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm with a gain and a bias for each class (Dumoulin et al. 2017; de Vries et al. 2017).

    Maps (B, C, H, W) and labels, int64 (B,), to (B, C, H, W). Gains start at 1, biases at 0. The statistics
    are those of the whole batch, whatever its labels.

    Args:
        channels: C.
        classes: how many classes there are.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Embedding(classes, channels)
        self.bias = nn.Embedding(classes, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        y = self.norm(x)
        gain, bias = (of(labels)[:, :, None, None].to(y.dtype) for of in (self.gain, self.bias))
        return torch.addcmul(bias, y, gain)


class LabelEmbedding(nn.Embedding):
    """A vector for each class, (classes, dim); it starts as in Miyato & Koyama's code, by Glorot's rule."""

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)


class Projection(LabelEmbedding):
    """⟨V_y, h⟩, the inner product with the label's vector (Miyato & Koyama 2018, section 3).

    Maps h (B, dim) and labels, int64 (B,), to (B,).
    """

    def forward(self, h: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        return (h * super().forward(labels)).sum(1)


class Concatenation(LabelEmbedding):
    """The label's vector as further channels, the same at every place (Miyato et al. 2018, Table 6).

    Maps h (B, C, ...) and labels, int64 (B,), to (B, C + dim, ...).
    """

    def forward(self, h: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        vector = super().forward(labels).to(h.dtype)
        return torch.cat((h, vector.view(*vector.shape, *[1] * (h.ndim - 2)).expand(-1, -1, *h.shape[2:])), 1)
