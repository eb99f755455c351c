"""No normalizer: the baseline."""

from __future__ import annotations

from snlab.normalizers.normalizer import NORMALIZERS, Normalizer


@NORMALIZERS.register("none")
class Unnormalized(Normalizer):
    """Leaves the discriminator as it is."""
