"""How steady a discriminator is: its logits on the same points, over its last measurements."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from snlab.core import names

WINDOW = 10  # how many measurements back


def stability(history: Tensor) -> dict[str, float]:
    """What became of f on fixed points over the last measurements.

    Args:
        history: f at k measurements, from the oldest to the present, on n points: (k, n), k and n at least 2.

    Returns:
        - ``ratio/variance``: the variance of f over the measurements, mean over the points, in nats².
        - ``ratio/rank_correlation``: Spearman's correlation over the points, mean over all pairs of
          measurements (Kendall & Babington Smith 1939): 1 where f orders the points always alike. Not a
          number where f is the same on all of them.
        - ``ratio/sign_flips``: the share of points at which f was above 0 at one of the measurements and not
          at another.
        - ``ratio/instability``: of all of f's variance the share that is at one point over the measurements,
          1 less the intraclass correlation (Shrout & Fleiss 1979, case 1). 0 where f stands still, about 1
          where nothing of how f tells the points apart lasts. Unlike the variance it does not depend on the
          scale of f.

        Not a number where a logit is not finite.

    Raises:
        ValueError: fewer than 2 measurements or points.
    """
    if history.ndim != 2 or min(history.shape) < 2:
        raise ValueError(f"stability is of at least 2 measurements of 2 points, got {tuple(history.shape)}")
    f = history.detach().cpu().double()
    positive = f > 0
    flips = (positive.any(0) & ~positive.all(0)).double().mean()
    values = {
        names.VARIANCE: f.var(0).mean(),
        names.RANK_CORRELATION: _rank_correlation(f),
        names.SIGN_FLIPS: flips,
        names.INSTABILITY: _instability(f),
    }
    finite = f.isfinite().all()
    return {f"{names.RATIO}/{name}": float(value) if finite else math.nan for name, value in values.items()}


def _instability(f: Tensor) -> Tensor:
    """1 - (B - W) / (B + (k - 1) W), B and W the mean squares between points and within one."""
    k = len(f)
    within, between = f.var(0).mean(), k * f.mean(0).var()
    return k * within / (between + (k - 1) * within)


def _rank_correlation(f: Tensor) -> Tensor:
    """Of standardised ranks Z, (k, n), the mean of Z Z' / n off its diagonal."""
    k, n = f.shape
    ranks = torch.stack([_ranks(row) for row in f])
    z = (ranks - ranks.mean(1, keepdim=True)) / ranks.std(1, correction=0, keepdim=True)
    return (z.sum(0).square().sum() / n - k) / (k * (k - 1))


def _ranks(x: Tensor) -> Tensor:
    """Ranks from 1 on, float64 (n,); equal values share the mean of theirs."""
    _, place, count = x.unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    return (last - (count - 1) / 2)[place]
