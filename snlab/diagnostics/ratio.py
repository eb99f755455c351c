"""A discriminator as an estimate of the log density ratio f = log q_data - log p_G, and how good it is.

For the standard loss the optimal discriminator's logit is that ratio (Goodfellow et al. 2014, proposition 1).
For hinge or Wasserstein losses it is not, which is what ``ratio/calibrated/...`` is for. Everything is a pure
function of logits, in float64, and stays finite for logits of any size that occurs.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from snlab.core import names
from snlab.diagnostics.truth import gradient_truth, truth

SATURATED = math.log(0.99 / 0.01)  # the logit of a probability of 0.99
BINS = 15  # of calibration_error


def ratio(
    train_logits: Tensor,
    heldout_logits: Tensor,
    fake_logits: Tensor,
    previous_logits: Tensor | None = None,
    true_heldout: Tensor | None = None,
    true_fake: Tensor | None = None,
    fake_gradient: Tensor | None = None,
    true_fake_gradient: Tensor | None = None,
) -> dict[str, float]:
    """The stability and quality of the density ratio r = exp(f) on a probe.

    Training reals enter ``accuracy_train`` and the gap alone. Held-out reals and fakes weigh the same: where
    their numbers differ, the longer is cut to the shorter.

    Args:
        train_logits: f on training reals, (n_train,).
        heldout_logits: f on held-out reals, (n_real,).
        fake_logits: f on generated samples, (n_fake,).
        previous_logits: f on the same held-out reals at the last measurement, (n_real,).
        true_heldout: log q_data - log p_G on the held-out reals, (n_real,), where it is known.
        true_fake: the same on the generated samples, (n_fake,).
        fake_gradient: of f with respect to each generated sample, (n_fake, ...).
        true_fake_gradient: of log q_data - log p_G likewise.

    Returns:
        ``ratio/NAME`` for each NAME of ``snlab.core.names``; ``drift`` and ``true_*`` (see
        ``truth``) only where their arguments are given. ``ratio/calibrated/NAME``: the same after a logistic
        fit on every other point of the probe (``platt``), measured on the points between; its drift has both
        logits go through the present fit.
        Not a number where a logit isn't finite.

    Raises:
        ValueError: arguments that belong to the same samples differ in number, one of the two truths or of
            the two gradients comes without the other, or there are fewer than 2 samples of a kind.
    """
    _same_number("previous_logits", previous_logits, "heldout_logits", heldout_logits)
    _same_number("true_heldout", true_heldout, "heldout_logits", heldout_logits)
    _same_number("true_fake", true_fake, "fake_logits", fake_logits)
    _same_number("fake_gradient", fake_gradient, "fake_logits", fake_logits)
    _same_number("true_fake_gradient", true_fake_gradient, "fake_logits", fake_logits)
    for pair, found in (
        ("true_heldout and true_fake", (true_heldout, true_fake)),
        ("fake_gradient and true_fake_gradient", (fake_gradient, true_fake_gradient)),
    ):
        if (found[0] is None) != (found[1] is None):
            raise ValueError(f"{pair} go together: give both or neither")
    if min(len(train_logits), len(heldout_logits), len(fake_logits)) < 2:
        raise ValueError("a ratio needs at least 2 training reals, 2 held-out reals and 2 generated samples")

    n = min(len(heldout_logits), len(fake_logits))
    train = _double(train_logits)
    heldout, fake = _double(heldout_logits)[:n], _double(fake_logits)[:n]
    previous = None if previous_logits is None else _double(previous_logits)[:n]
    true = None
    if true_heldout is not None and true_fake is not None:
        true = torch.stack([_double(true_heldout)[:n], _double(true_fake)[:n]])  # (2, n)

    finite = torch.cat([train, heldout, fake]).isfinite().all()
    if not finite:  # for the names alone: the values are lost
        train, heldout, fake = torch.zeros_like(train), torch.zeros_like(heldout), torch.zeros_like(fake)

    labels = torch.cat([torch.ones_like(heldout[::2]), torch.zeros_like(fake[::2])])
    slope, intercept = platt(torch.cat([heldout[::2], fake[::2]]), labels)
    plain = _measures(train, heldout, fake, previous, true)
    calibrated = _measures(
        slope * train + intercept,
        slope * heldout[1::2] + intercept,
        slope * fake[1::2] + intercept,
        None if previous is None else slope * previous[1::2] + intercept,
        None if true is None else true[:, 1::2],
    )
    if fake_gradient is not None and true_fake_gradient is not None:
        gradient, exact = (
            g[:n].detach().flatten(1).cpu().double() for g in (fake_gradient, true_fake_gradient)
        )
        plain |= _floats(gradient_truth(gradient, exact))
        calibrated |= _floats(gradient_truth(slope * gradient[1::2], exact[1::2]))
    values = {f"{names.RATIO}/{name}": value for name, value in plain.items()}
    values |= {f"{names.RATIO}/{names.CALIBRATED}/{name}": value for name, value in calibrated.items()}
    return values if finite else dict.fromkeys(values, math.nan)


def _measures(
    train: Tensor, heldout: Tensor, fake: Tensor, previous: Tensor | None, true: Tensor | None
) -> dict[str, float]:
    """Every measure of the probe's logits, each (n,), true (2, n) for held-out reals and fakes, float64."""
    log_n = math.log(len(fake))
    log_mass_fake = fake.logsumexp(0) - log_n  # of the mean over p_G of r, 1 where r is right
    log_mass_real = (-heldout).logsumexp(0) - log_n  # of the mean over q_data of 1/r, 1 where r is right
    # (sum r)^2 / (n sum r^2): the fakes left, as a share, once they are weighted to look like the data
    log_sample_size = 2 * fake.logsumexp(0) - (2 * fake).logsumexp(0) - log_n
    accuracy_train, accuracy_heldout = accuracy(train, fake), accuracy(heldout, fake)
    saturated = torch.cat([heldout > SATURATED, fake < -SATURATED])
    log_d, log_not_d = F.logsigmoid(heldout), F.logsigmoid(-fake)
    values = {
        names.LOG_MASS_FAKE: log_mass_fake,
        names.LOG_MASS_REAL: log_mass_real,
        names.EFFECTIVE_SAMPLE_SIZE: log_sample_size.exp(),
        names.ACCURACY_TRAIN: accuracy_train,
        names.ACCURACY_HELDOUT: accuracy_heldout,
        names.GENERALISATION_GAP: accuracy_train - accuracy_heldout,
        names.CALIBRATION_ERROR: calibration_error(heldout, fake),
        names.SATURATION: saturated.double().mean(),
        names.JS_BOUND: math.log(2) + (log_d.mean() + log_not_d.mean()) / 2,
    }
    if previous is not None:
        values[names.DRIFT] = (heldout - previous).square().mean().sqrt()
    if true is not None:
        values |= truth(torch.stack([heldout, fake]), true)
    return _floats(values)


def _floats(values: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def accuracy(real: Tensor, fake: Tensor) -> Tensor:
    """How often the sign of f tells the two apart, each side counting for half; a scalar, 1/2 by chance."""
    return ((real > 0).double().mean() + (fake <= 0).double().mean()) / 2


def calibration_error(real: Tensor, fake: Tensor) -> Tensor:
    """The expected calibration error of sigmoid(f) as the probability of being real; a scalar.

    The mean over 15 bins of equal width, weighted by their points, of how far the share of reals is from the
    mean probability. The last bin holds 1 itself, which sigmoid(f) rounds to above 37. Equal numbers of both
    are assumed, as sigmoid(f) is the probability at even odds. A finite sample alone keeps it above 0.
    """
    probability = torch.cat([real, fake]).sigmoid()
    excess = torch.cat([torch.ones_like(real), torch.zeros_like(fake)]) - probability
    edges = torch.linspace(0, 1, BINS + 1, dtype=probability.dtype)[1:-1]
    bins = torch.bucketize(probability, edges, right=True)
    return torch.bincount(bins, excess, minlength=BINS).abs().sum() / len(probability)


# ---- calibration -----------------------------------------------------------------------------------------


def platt(logits: Tensor, labels: Tensor, iterations: int = 100) -> tuple[float, float]:
    """The logistic fit P(real) = sigmoid(slope * f + intercept) (Platt 1999), by Newton's method in float64.

    Platt's smoothed targets, (N+ + 1) / (N+ + 2) for reals and 1 / (N- + 2) for fakes, keep the fit finite
    where the two are separable; a backtracking search keeps Newton's steps downhill (Lin, Lin & Weng 2007).

    Args:
        logits: f, of shape (n,), finite.
        labels: 1 for reals and 0 for fakes, (n,).
        iterations: how many of Newton's steps at most.

    Returns:
        The slope and the intercept. Where f is constant the slope is 0.

    >>> f = torch.tensor([-2.0, -1.0, 1.0, 2.0])
    >>> slope, intercept = platt(f, torch.tensor([0.0, 0.0, 1.0, 1.0]))
    >>> slope > 0, abs(intercept) < 1e-9
    (True, True)
    """
    real = labels.double() > 0.5
    n_real, n_fake = int(real.sum()), int((~real).sum())
    f = logits.double()
    target = torch.where(real, f.new_tensor((n_real + 1) / (n_real + 2)), f.new_tensor(1 / (n_fake + 2)))
    centre, scale = f.mean(), f.std(correction=0)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    design = torch.stack([(f - centre) / scale, torch.ones_like(f)], dim=1)  # (n, 2)

    def loss(parameters: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(design @ parameters, target, reduction="sum")

    parameters = torch.zeros(2, dtype=torch.float64, device=f.device)
    ridge = 1e-12 * torch.eye(2, dtype=torch.float64, device=f.device)
    now = loss(parameters)
    for _ in range(iterations):
        p = torch.sigmoid(design @ parameters)
        gradient = design.mT @ (p - target)
        hessian = design.mT @ (design * (p * (1 - p))[:, None]) + ridge
        step = torch.linalg.solve(hessian, gradient)
        size = 1.0
        while (
            size > 1e-10 and (after := loss(parameters - size * step)) > now - 1e-4 * size * gradient @ step
        ):
            size /= 2
        if size <= 1e-10:
            break  # no step goes further down: at the minimum, to rounding
        parameters, now = parameters - size * step, after
        if gradient.abs().max() <= 1e-12 * len(f):
            break
    slope = parameters[0] / scale
    return float(slope), float(parameters[1] - slope * centre)


def _double(logits: Tensor) -> Tensor:
    """As float64 of shape (n,) on the CPU: a probe is small, and nothing after this waits for a device."""
    return logits.detach().flatten().cpu().double()


def _same_number(name: str, values: Tensor | None, other: str, others: Tensor) -> None:
    if values is not None and len(values) != len(others):
        raise ValueError(
            f"{name} has {len(values)} values, and {other} {len(others)}: they are of the same samples"
        )
