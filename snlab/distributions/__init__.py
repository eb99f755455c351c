"""Distributions whose density is known: what data is drawn from, and what a fixed generator draws."""

from __future__ import annotations

from snlab.distributions.digits import DigitsMixture
from snlab.distributions.distribution import DISTRIBUTIONS, Distribution, Moved
from snlab.distributions.manifold import Line, Sphere, SwissRoll
from snlab.distributions.mixture import GaussianMixture

__all__ = [
    "DISTRIBUTIONS",
    "DigitsMixture",
    "Distribution",
    "GaussianMixture",
    "Line",
    "Moved",
    "Sphere",
    "SwissRoll",
]
