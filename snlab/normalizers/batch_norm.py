"""Batch normalization (Ioffe and Szegedy 2015) in the discriminator, without its gain unless asked."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from snlab.normalizers.before_activations import BeforeActivations
from snlab.normalizers.normalizer import NORMALIZERS


class AnyBatchNorm(_BatchNorm):
    """Torch's, of (B, C, ...) with any number of dimensions."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Nothing: what inserts this layer has checked."""


@NORMALIZERS.register("batch_norm")
class BatchNorm(BeforeActivations):
    """Before every activation, each channel has mean 0, variance 1 in a batch (Ioffe and Szegedy 2015).

    A bias is added. The statistics are those of one forward pass: real and generated samples, which pass
    apart, are each scaled by their own. So no logit is a function of its own sample alone, and a gradient
    penalty's or gradient normalization's gradient is none of a single sample's logit (Gulrajani et al. 2017,
    section 4). Its state is the running averages, which every forward pass in training mode moves, those of
    real, generated and interpolated samples alike; in evaluation they are the statistics.

    Args:
        gain: learn a factor for each channel, from 1; the paper's comparison has none.
    """

    child = "batch_norm"

    def layer(self, channels: int) -> nn.Module:
        return AnyBatchNorm(channels)
