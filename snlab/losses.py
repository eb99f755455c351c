"""Adversarial losses: pure functions of logits, each minimised by the network that it is named for.

With f(x) the discriminator's logit, softplus(-f) = -log D(x) and softplus(f) = -log(1 - D(x)).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from snlab.core.registry import Registry


class Loss(NamedTuple):
    """The two sides of an adversarial loss.

    ``discriminator`` maps logits of real and of generated samples, each (batch,), to a scalar;
    ``generator`` maps logits of generated samples, (batch,), to a scalar.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


LOSSES: Registry[Loss] = Registry("loss")


# ---- standard: equation 15 ------------------------------------------------------------------------------


def standard_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-E[log D(x)] - E[log(1 - D(G(z)))]."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def standard_generator(fake_logits: Tensor) -> Tensor:
    """-E[log D(G(z))], the form that does not saturate where the discriminator wins."""
    return F.softplus(-fake_logits).mean()


@LOSSES.register("standard")
def standard() -> Loss:
    """Cross entropy of real against generated, the generator's side non-saturating (Eq. 15)."""
    return Loss(standard_discriminator, standard_generator)


# ---- hinge: equations 16 and 17 -------------------------------------------------------------------------


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E[max(0, 1 - f(x))] + E[max(0, 1 + f(G(z)))]."""
    return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()


def wasserstein_generator(fake_logits: Tensor) -> Tensor:
    """-E[f(G(z))], which is the hinge loss's generator side too."""
    return -fake_logits.mean()


@LOSSES.register("hinge")
def hinge() -> Loss:
    """Margin loss (Eq. 16 and 17)."""
    return Loss(hinge_discriminator, wasserstein_generator)


# ---- Wasserstein: Arjovsky et al. 2017 ------------------------------------------------------------------


def wasserstein_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E[f(G(z))] - E[f(x)]."""
    return fake_logits.mean() - real_logits.mean()


@LOSSES.register("wasserstein")
def wasserstein() -> Loss:
    """Difference of means; wants a Lipschitz discriminator (Arjovsky et al. 2017)."""
    return Loss(wasserstein_discriminator, wasserstein_generator)
