"""Which scores, from how many samples: a number means little without its protocol. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from snlab.core import names
from snlab.core.errors import UserError


@dataclass(frozen=True)
class Protocol:
    """How one set of fidelity scores is computed.

    The inception score may want more generated images than the other scores do, so the two are counted apart;
    `n_generated` is what has to be generated.
    """

    name: str
    description: str
    extractor: str  # "inception-v3-compat", or "embedded" for the data set's own
    metrics: tuple[str, ...]  # constants of snlab.core.names
    n_real: int  # real training images
    n_fake: int  # generated images for all scores but the inception score
    fewer_reals: bool = False  # whether a data set that has fewer than n_real may be scored with all it has
    n_inception: int | None = None  # generated images for the inception score; None: n_fake
    inception_splits: int = 1  # equal parts that are scored apart; the score is their mean
    kid_subsets: int = 100  # random subsets over which the unbiased estimate of KID is averaged
    kid_subset_size: int = 1000  # at most; all images where there are fewer

    @property
    def n_generated(self) -> int:
        """How many generated images all the scores together need."""
        if names.INCEPTION_SCORE not in self.metrics:
            return self.n_fake
        return max(self.n_fake, self.n_inception or 0)

    def check(self, n_real: int, n_fake: int) -> None:
        """UserError unless there are as many real and generated images as the protocol wants."""
        least = MINIMUM if self.fewer_reals else self.n_real
        if not least <= n_real <= self.n_real:
            wanted = f"{least} to {self.n_real}" if self.fewer_reals else f"{least}"
            raise UserError(f"protocol {self.name!r} wants {wanted} real training images, not {n_real}")
        least = max(self.n_generated, MINIMUM)
        if n_fake < least:
            raise UserError(f"protocol {self.name!r} wants {least} generated images, not {n_fake}")


# Precision and recall look for the third nearest neighbour, other than the image itself.
MINIMUM = 4

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="miyato2018",
            description="Miyato et al. 2018: inception score of 10 times 5000 generated images; FID of 5000 "
            "generated images against 10000 real ones",
            extractor="inception-v3-compat",
            metrics=(names.FID, names.INCEPTION_SCORE, names.INCEPTION_SCORE_STD),
            n_real=10_000,
            n_fake=5_000,
            n_inception=50_000,
            inception_splits=10,
        ),
        Protocol(
            name="50k",
            description="50000 generated images against 50000 real ones; inception score in 10 splits",
            extractor="inception-v3-compat",
            metrics=(
                *(names.FID, names.KID, names.INCEPTION_SCORE, names.INCEPTION_SCORE_STD),
                *(names.PRECISION, names.RECALL),
            ),
            n_real=50_000,
            n_fake=50_000,
            inception_splits=10,
        ),
        Protocol(
            name="embedded",
            description="2000 generated images against up to 2000 real ones, features of a small classifier "
            "trained on the data set's labels: comparable within one data set only",
            extractor="embedded",
            metrics=(names.FID, names.KID, names.INCEPTION_SCORE, names.PRECISION, names.RECALL),
            n_real=2_000,
            n_fake=2_000,
            fewer_reals=True,
            kid_subsets=1,
            kid_subset_size=2_000,
        ),
    )
}
