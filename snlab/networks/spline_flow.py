"""A flow of spline couplings, through zuko: a generator that knows its density."""

from __future__ import annotations

import math
from functools import partial
from typing import cast

from torch import Tensor, nn

from snlab.core.checks import check_positive, check_whole
from snlab.networks.network import NETWORKS, Network, opponent

# Of a spline at its knots. With zuko's own 1e-3, a round trip of 512 entries in float32 is off by 2e-3 where
# weights are as here by 4e-5, and by 9 where they are three times as large as there.
SMALLEST_SLOPE = 0.1


@NETWORKS.register("spline_flow")
class SplineFlow(Network):
    """A flow of rational-quadratic spline couplings, whose density is exact (Durkan et al. 2019).

    Args:
        width: units of each of a coupling's two hidden layers.
        couplings: how many; each moves every other entry, given those between.
        bins: pieces of a spline.
        bound: entries beyond ±bound are left where they are.
        discriminator: the network whose discriminator it is trained against, with its options.

    Raises:
        ValueError: for a number out of its range, or a discriminator that wants labels.
    """

    def __init__(
        self,
        width: int = 64,
        couplings: int = 4,
        bins: int = 8,
        bound: float = 5.0,
        discriminator: str = "mlp",
    ) -> None:
        check_whole("width", width, least=1)
        check_whole("couplings", couplings, least=2)  # one would leave half of the latent as it is
        check_whole("bins", bins, least=2)
        check_positive("bound", bound)
        self.width = width
        self.couplings = couplings
        self.bins = bins
        self.bound = float(bound)
        self.other = opponent("spline_flow", discriminator)

    def generator(self, sample_shape: tuple[int, ...]) -> SplineGenerator:
        """A new flow, latents (B, d) -> (B, *sample_shape) of d entries; it starts as the identity."""
        self.latent_dim = math.prod(sample_shape)
        return SplineGenerator(sample_shape, self.width, self.couplings, self.bins, self.bound)

    def discriminator(self, sample_shape: tuple[int, ...]) -> nn.Module:
        """A new discriminator of the other network, (B, *sample_shape) -> logits (B,)."""
        return self.other.discriminator(sample_shape)


class SplineGenerator(nn.Module):
    """zuko's coupling flow as a generator: latents (B, d) -> (B, *sample_shape), and its log density."""

    def __init__(
        self, sample_shape: tuple[int, ...], width: int, couplings: int, bins: int, bound: float
    ) -> None:
        from zuko.flows import NICE  # here: it turns off the checks of torch.distributions for the process
        from zuko.transforms import MonotonicRQSTransform

        super().__init__()
        self.sample_shape = sample_shape
        self.flow = NICE(
            math.prod(sample_shape),
            transforms=couplings,
            univariate=partial(MonotonicRQSTransform, bound=bound, slope=SMALLEST_SLOPE),
            shapes=[(bins,), (bins,), (bins - 1,)],
            hidden_features=(width, width),
        )
        for coupling in self.flow.transform.transforms:
            nn.init.zeros_(coupling.hyper[-1].weight)
            nn.init.zeros_(coupling.hyper[-1].bias)

    def forward(self, z: Tensor) -> Tensor:
        samples = cast(Tensor, self.flow.transform().inv(z))
        return samples.view(-1, *self.sample_shape)

    def inverse(self, x: Tensor) -> Tensor:
        """z with G(z) = x, (B, *sample_shape) -> (B, d)."""
        return cast(Tensor, self.flow.transform()(x.flatten(1)))

    def log_density(self, x: Tensor) -> Tensor:
        """log p_G(x) in nats, (B, *sample_shape) -> (B,), in the dtype of x."""
        return cast(Tensor, self.flow().log_prob(x.flatten(1)))
