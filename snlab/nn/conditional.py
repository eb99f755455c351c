"""Networks that are given labels, and networks that are not, called alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor


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
