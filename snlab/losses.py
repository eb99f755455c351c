"""Adversarial losses: pure functions of logits, each minimised by the network that it is named for.

With f(x) the discriminator's logit, softplus(-f) = -log D(x) and softplus(f) = -log(1 - D(x)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from snlab.core.distributed import global_mean
from snlab.core.registry import Registry


@dataclass(eq=False)
class Loss:
    """The two sides of an adversarial loss.

    ``discriminator`` maps logits of real and of generated samples, each (batch,), to a scalar;
    ``generator`` maps logits of generated samples, (batch,), to a scalar, and where the loss is
    ``relativistic`` those and the logits of as many real samples, which it alone reads. A loss is made by a
    function that returns one, or by a subclass whose ``__init__`` passes both on.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor | None], Tensor]
    relativistic: bool = False


LOSSES: Registry[Loss] = Registry("loss", Loss)


# ---- standard: equation 15 ------------------------------------------------------------------------------


def standard_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-E[log D(x)] - E[log(1 - D(G(z)))]."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def standard_generator(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """-E[log D(G(z))], the form that does not saturate where the discriminator wins."""
    return F.softplus(-fake_logits).mean()


@LOSSES.register("standard")
def standard() -> Loss:
    """Cross entropy, non-saturating in the generator (Goodfellow et al. 2014; Miyato et al. 2018, Eq. 15)."""
    return Loss(standard_discriminator, standard_generator)


# ---- hinge: equations 16 and 17 -------------------------------------------------------------------------


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E[max(0, 1 - f(x))] + E[max(0, 1 + f(G(z)))]."""
    return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()


def wasserstein_generator(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """-E[f(G(z))], which is the hinge loss's generator side too."""
    return -fake_logits.mean()


@LOSSES.register("hinge")
def hinge() -> Loss:
    """Margin loss (Lim and Ye 2017; Miyato et al. 2018, Eq. 16 and 17)."""
    return Loss(hinge_discriminator, wasserstein_generator)


# ---- Wasserstein: Arjovsky et al. 2017 ------------------------------------------------------------------


def wasserstein_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E[f(G(z))] - E[f(x)]."""
    return fake_logits.mean() - real_logits.mean()


@LOSSES.register("wasserstein")
def wasserstein() -> Loss:
    """Difference of means; wants a Lipschitz discriminator (Arjovsky et al. 2017)."""
    return Loss(wasserstein_discriminator, wasserstein_generator)


# ---- least squares: Mao et al. 2017 ---------------------------------------------------------------------


def least_squares_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E[(f(x) - 1)²] / 2 + E[f(G(z))²] / 2."""
    return (real_logits - 1).square().mean() / 2 + fake_logits.square().mean() / 2


def least_squares_generator(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """E[(f(G(z)) - 1)²] / 2."""
    return (fake_logits - 1).square().mean() / 2


@LOSSES.register("least_squares")
def least_squares() -> Loss:
    """Squared distance to 1 for real and to 0 for generated (Mao et al. 2017, Eq. 9)."""
    return Loss(least_squares_discriminator, least_squares_generator)


# ---- relativistic average: Jolicoeur-Martineau 2018 -----------------------------------------------------


def relativistic_average_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-E[log D̃(x)] - E[log(1 - D̃(G(z)))], D̃ of a sample against the mean of the other kind.

    That is D̃(x) = sigmoid(f(x) - E f(G(z))) and D̃(G(z)) = sigmoid(f(G(z)) - E f(x)).
    """
    real = real_logits - global_mean(fake_logits)
    fake = fake_logits - global_mean(real_logits)
    return standard_discriminator(real, fake)


def relativistic_average_generator(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """The discriminator's loss with real and generated in each other's place."""
    assert real_logits is not None
    return relativistic_average_discriminator(fake_logits, real_logits)


@LOSSES.register("relativistic_average")
def relativistic_average() -> Loss:
    """Cross entropy, each sample against the other kind's mean (Jolicoeur-Martineau 2018, Alg. 2)."""
    return Loss(relativistic_average_discriminator, relativistic_average_generator, relativistic=True)


# ---- relativistic pairing: Jolicoeur-Martineau 2018, Huang et al. 2024 (R3GAN) --------------------------


def relativistic_pairing_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E[softplus(f(G(z)) - f(x))], each real sample against one generated."""
    return F.softplus(fake_logits - real_logits).mean()


def relativistic_pairing_generator(fake_logits: Tensor, real_logits: Tensor | None = None) -> Tensor:
    """E[softplus(f(x) - f(G(z)))]."""
    assert real_logits is not None
    return relativistic_pairing_discriminator(fake_logits, real_logits)


@LOSSES.register("relativistic_pairing")
def relativistic_pairing() -> Loss:
    """Cross entropy of a real sample against a generated one (Huang et al. 2024, R3GAN; with r1+r2)."""
    return Loss(relativistic_pairing_discriminator, relativistic_pairing_generator, relativistic=True)
