"""What of the data a generator leaves out: by the modes of a mixture, and by the densities of both.

``modes`` is the protocol of VEEGAN (Srivastava et al. 2017) for the ring and the grid, there in two
dimensions: a sample is of high quality within 3 standard deviations of the nearest centre, and a mode is
covered where at least one such sample has it as its nearest.
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
        raise ValueError(f"samples (n, d) and centres (K, d) wanted, not {_shapes(samples, centres)}")
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


DROPPED = math.log(100)  # p_G is below a hundredth of q_data
ERROR = f"{names.MODES_DROPPED_MASS}_{names.STANDARD_ERROR}"


def dropped_mass(log_q: Tensor, log_p: Tensor) -> dict[str, float]:
    """The share of the data's mass where the generator puts less than a hundredth of it.

    - ``modes/dropped_mass``: the share of the data's samples with log q - log p above log 100;
    - ``modes/dropped_mass_se``: its standard error, the binomial one of (k + 1) / (n + 2), which is above 0
      for k = 0 and k = n of the n samples, too.

    A share of 0 is no proof of a good generator: one that spreads widely drops nothing. Both are not a number
    where a log density is NaN, or both are infinite; where log p alone is minus infinity, all is dropped.

    Args:
        log_q: log density of the data (nats) at its own samples, (n,).
        log_p: that of the generator, at the same samples, (n,).

    Raises:
        ValueError: where they differ in number, or there is none.
    """
    if log_q.ndim != 1 or log_q.shape != log_p.shape or not len(log_q):
        raise ValueError(f"log densities (n,) of the same samples wanted, not {_shapes(log_q, log_p)}")
    ratio = log_q.double() - log_p.double()
    if ratio.isnan().any():
        return dict.fromkeys((names.MODES_DROPPED_MASS, ERROR), math.nan)
    n, dropped = len(ratio), int((ratio > DROPPED).sum())
    shrunk = (dropped + 1) / (n + 2)
    return {
        names.MODES_DROPPED_MASS: dropped / n,
        ERROR: math.sqrt(shrunk * (1 - shrunk) / n),
    }


def _shapes(*tensors: Tensor) -> str:
    return " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
