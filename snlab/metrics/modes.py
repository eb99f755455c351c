"""How well samples cover the modes of a mixture of equally likely isotropic Gaussians.

The protocol of VEEGAN (Srivastava et al. 2017) for the ring and the grid, there in two dimensions: a sample
is of high quality within 3 standard deviations of the nearest centre, and a mode is covered where at least
one such sample has it as its nearest.
"""

from __future__ import annotations

import math

import torch
from scipy.special import gammaincinv
from torch import Tensor

from snlab.core import names


def high_quality_radius(dimension: int, std: float) -> float:
    """The distance from a centre within which a sample is of high quality.

    3 std in two dimensions, where 1 - exp(-9/2) = 98.9% of a mode's mass lies within it. In d dimensions the
    distance that holds the same share of the mass (a quantile of the chi distribution), so that the mixture's
    own samples score the same in every dimension; 3 std itself would hold next to nothing for large d.

    >>> round(high_quality_radius(2, std=0.5), 12)
    1.5
    """
    share = 1 - math.exp(-9 / 2)
    return std * math.sqrt(2 * gammaincinv(dimension / 2, share))


def modes(samples: Tensor, centres: Tensor, std: float) -> dict[str, float]:
    """Mode coverage of ``samples`` (n, d) under a mixture with ``centres`` (K, d) and one ``std`` for all.

    - ``modes/covered``: how many modes have a high-quality sample, 0 to K;
    - ``modes/high_quality``: the share of samples that are of high quality; the mixture itself: 0.989;
    - ``modes/kl``: KL divergence, in nats, of the high-quality samples' histogram over modes from the uniform
      one, 0 to log K; NaN where no sample is of high quality.

    A sample that is not finite is not of high quality. ValueError where shapes don't fit or std is not > 0.
    """
    if samples.ndim != 2 or centres.ndim != 2 or samples.shape[1] != centres.shape[1] or not len(samples):
        raise ValueError(
            f"samples (n, d) and centres (K, d) wanted, not {tuple(samples.shape)} and {tuple(centres.shape)}"
        )
    if not std > 0:
        raise ValueError(f"std must be positive, not {std}")
    distances = (
        torch.cdist(  # (n, K), by differences: the matrix product's shortcut cancels far from the origin
            samples.double(), centres.double(), compute_mode="donot_use_mm_for_euclid_dist"
        )
    )
    distance, mode = distances.min(dim=1)  # (n,), (n,)
    good = distance <= high_quality_radius(samples.shape[1], std)
    counts = torch.bincount(mode[good], minlength=len(centres)).double()  # (K,)
    share = counts / counts.sum()
    return {
        names.MODES_COVERED: float((counts > 0).sum()),
        names.MODES_HIGH_QUALITY: good.double().mean().item(),
        names.MODES_KL: torch.special.xlogy(share, share * len(centres)).sum().item(),
    }
