"""Layer normalization (Ba et al. 2016) in the discriminator, without its gain unless asked."""

from __future__ import annotations

from torch import nn

from snlab.normalizers.before_activations import BeforeActivations
from snlab.normalizers.normalizer import NORMALIZERS


@NORMALIZERS.register("layer_norm")
class LayerNorm(BeforeActivations):
    """Before every activation, each sample has mean 0, variance 1 over (C, H, W) (Ba et al. 2016).

    Over the features of vectors. The bias that is added is one a channel, as is the gain. It keeps no state
    and is the same in evaluation.

    Args:
        gain: learn a factor for each channel, from 1; the paper's comparison has none.
    """

    child = "layer_norm"

    def layer(self, channels: int) -> nn.Module:
        return nn.GroupNorm(1, channels)  # all channels are one group
