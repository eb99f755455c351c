"""f against the true log density ratio t = log q_data - log p_G, where both densities are known.

Every measure is a mean over as many held-out reals as fakes, so over the mixture m = (q_data + p_G) / 2, or
a smooth function of such means. It comes with its Monte Carlo standard error, from the influence that each
point has on it (Hampel 1974): to first order the measure is the mean of those influences.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from snlab.core import names

CERTAIN = math.log(0.99 / 0.01)  # the log ratio at which a point is real with probability 0.99
TAIL = 0.1  # the share of all points in each tail
FAR = 700.0  # nats: here exp is 0 beside 1 in float64, and still no underflow


class Estimate(NamedTuple):
    """A measure, (), and each point's influence on it, (kinds, n): it is their mean, but for a constant."""

    value: Tensor
    influence: Tensor

    @property
    def standard_error(self) -> Tensor:
        """Of independent points, as many of each kind: a scalar; not a number for a single one of a kind."""
        kinds, n = self.influence.shape
        deviation = self.influence - self.influence.mean(1, keepdim=True)
        return (deviation.square().sum() / (n - 1) / n).sqrt() / kinds


def truth(estimate: Tensor, true: Tensor) -> dict[str, Tensor]:
    """How far f is from t.

    Args:
        estimate: f on n held-out reals and on n fakes, float64 (2, n), finite.
        true: t on the same, float64 (2, n).

    Returns:
        ``true_NAME`` and ``true_NAME_se``, its standard error, each a scalar tensor:

        - ``excess_loss``: the standard loss of f less that of t, in nats. Since the probability sigmoid(t) of
          a point to be real is known, the label is averaged out: it is the mean over m of
          2 KL(sigmoid(t) || sigmoid(f)), which no sample makes negative.
        - ``js``: the Jensen-Shannon divergence of q_data and p_G, in nats, likewise: log 2 less the mean over
          m of the entropy of sigmoid(t).
        - ``rmse`` and ``bias`` of f - t; over regions as ``rmse_REGION``; with both clipped to where a point
          is certain, to a probability of 0.99, as ``rmse_clipped``.
        - ``correlation``, and ``slope`` and ``intercept`` of the least-squares line of f on t.

        Regions are told by t: the tenth of all points where it is highest (``real_tail``, where q_data
        reaches and p_G hardly does), the tenth where it is lowest (``fake_tail``), and those ``between``.
    """
    error = estimate - true
    measures = {
        names.TRUE_EXCESS_LOSS: _mean(2 * _divergence(estimate, true)),
        names.TRUE_JS: _mean(math.log(2) - _entropy(true)),
        names.TRUE_CORRELATION: _correlation(estimate, true),
        **_line(estimate, true),
        **_errors("", _mean(error), _mean(error.square())),
    }
    clipped = estimate.clamp(-CERTAIN, CERTAIN) - true.clamp(-CERTAIN, CERTAIN)
    measures |= _errors(f"_{names.CLIPPED}", _mean(clipped), _mean(clipped.square()))
    order = true.flatten().argsort(stable=True)
    for region, first, last in _regions(len(order)):
        means = (_mean_over(x, order, first, last) for x in (error, error.square()))
        measures |= _errors(f"_{region}", *means)
    return _with_standard_errors(measures)


def gradient_truth(gradient: Tensor, true: Tensor) -> dict[str, Tensor]:
    """How far the gradient that the generator learns from is from that of t.

    Args:
        gradient: of f with respect to each of n fakes, float64 (n, ...).
        true: of t, likewise.

    Returns:
        ``true_gradient_cosine``, the mean over fakes of the cosine of the angle between the two, of those
        where t has a gradient (a gradient of f that is 0 counts as 0), and ``true_gradient_error``, the root
        of the mean of ‖∇f - ∇t‖² as a share of that of ‖∇t‖²: 0 for the truth, 1 for an f that is constant.
        Each with its standard error, ``..._se``.
    """
    gradient, true = gradient.flatten(1), true.flatten(1)
    length = true.norm(dim=1)
    steep = length > 0
    unit, true_unit = (x[steep] / x[steep].norm(dim=1, keepdim=True) for x in (gradient, true))
    cosine = (unit * true_unit).sum(1).nan_to_num()  # 0 / 0 of an f without a gradient
    wrong, size = (gradient - true).square().sum(1), length.square()
    square = wrong.mean() / size.mean()
    error = Estimate(square, ((wrong - square * size) / size.mean())[None])
    measures = {names.TRUE_GRADIENT_COSINE: _mean(cosine[None]), names.TRUE_GRADIENT_ERROR: _root(error)}
    return _with_standard_errors(measures)


# ---- means over the mixture, and functions of them --------------------------------------------------------


def _with_standard_errors(measures: dict[str, Estimate]) -> dict[str, Tensor]:
    values = {name: found.value for name, found in measures.items()}
    errors = {f"{name}_{names.STANDARD_ERROR}": found.standard_error for name, found in measures.items()}
    return values | errors


def _mean(x: Tensor) -> Estimate:
    return Estimate(x.mean(), x)


def _root(square: Estimate) -> Estimate:
    """The square root, by the delta method."""
    root = square.value.sqrt()
    return Estimate(root, square.influence / (2 * root) if root > 0 else torch.zeros_like(square.influence))


def _errors(suffix: str, bias: Estimate, square: Estimate) -> dict[str, Estimate]:
    return {f"{names.TRUE_RMSE}{suffix}": _root(square), f"{names.TRUE_BIAS}{suffix}": bias}


def _line(y: Tensor, x: Tensor) -> dict[str, Estimate]:
    """Least squares y = slope x + intercept, whose standard errors allow any spread about it (White 1980)."""
    centred, variance = x - x.mean(), x.var(correction=0)
    slope = (centred * y).mean() / variance
    intercept = y.mean() - slope * x.mean()
    residual = y - slope * x - intercept
    of_slope = centred * residual / variance
    of_intercept = residual - x.mean() * of_slope
    return {
        names.TRUE_SLOPE: Estimate(slope, of_slope),
        names.TRUE_INTERCEPT: Estimate(intercept, of_intercept),
    }


def _correlation(y: Tensor, x: Tensor) -> Estimate:
    """Pearson's."""
    value = torch.corrcoef(torch.stack([y.flatten(), x.flatten()]))[0, 1]
    y, x = ((z - z.mean()) / z.std(correction=0) for z in (y, x))
    return Estimate(value, x * y - value * (x.square() + y.square()) / 2)


# ---- the standard loss, of which the label is averaged out -----------------------------------------------


def _divergence(estimate: Tensor, true: Tensor) -> Tensor:
    """KL(sigmoid(t) || sigmoid(f)) of two Bernoulli variables, in nats, elementwise; t may be infinite."""
    true = true.clamp(-FAR, FAR)
    found = F.softplus(estimate) - F.softplus(true) - true.sigmoid() * (estimate - true)
    return found.clamp(min=0)  # but for rounding it is


def _entropy(true: Tensor) -> Tensor:
    """Of a Bernoulli variable of probability sigmoid(t), in nats, elementwise; t may be infinite."""
    true = true.clamp(-FAR, FAR)
    return F.softplus(true) - true * true.sigmoid()


# ---- regions ---------------------------------------------------------------------------------------------


def _regions(points: int) -> list[tuple[str, int, int]]:
    """Each region's name, and its first and one past its last point in the order of t."""
    tail = max(1, round(TAIL * points))
    return [
        (names.FAKE_TAIL, 0, tail),
        (names.BETWEEN, tail, points - tail),
        (names.REAL_TAIL, points - tail, points),
    ]


def _mean_over(x: Tensor, order: Tensor, first: int, last: int) -> Estimate:
    """The mean of x over the points from ``first`` to ``last`` in an order, that of t.

    A trimmed mean. As the region's borders are themselves found in the sample, its influence counts a point
    outside as if it lay at the nearest border (Tukey & McLaughlin 1963); x there is its mean over the
    neighbouring points on both sides.
    """
    ordered = x.flatten()[order]
    half = max(1, round(math.sqrt(len(ordered)) / 2))
    inside = ordered[first:last]
    counted = ordered.clone()
    for border, outside in ((first, slice(0, first)), (last, slice(last, None))):
        counted[outside] = ordered[max(0, border - half) : border + half].mean()
    influence = torch.empty_like(counted)
    influence[order] = counted * len(ordered) / len(inside) if len(inside) else math.nan
    return Estimate(inside.mean(), influence.view_as(x))
