"""Gradient normalization (Wu, Shuai, Tam and Chiu 2021): the discriminator over its gradient's norm."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from snlab.core.errors import UserError
from snlab.nn.division import nonzero
from snlab.normalizers.normalizer import NORMALIZERS, Normalizer


@NORMALIZERS.register("gradient_normalization")
class GradientNormalization(Normalizer):
    """Give f / (‖∇f‖ + |f|), of gradient at most 1 where f is piecewise linear (Wu et al. 2021).

    ∇f is with respect to the input, and the new gradient's norm is (‖∇f‖ / (‖∇f‖ + |f|))², wherever ∇f is
    constant nearby: with ReLU or leaky ReLU everywhere but where two linear pieces meet, at which the values
    jump. They lie within [-1, 1]. Weights, names, state dict and class stay. It keeps no state and is the
    same in evaluation.

    Every call differentiates f, under ``torch.no_grad`` too, and training differentiates that: a gradient
    penalty beside it takes a third derivative. Each logit has to be a function of its own sample alone, which
    with batch norm in training it is not.
    """

    group = "functions"

    def check(self, discriminator: nn.Module) -> None:
        if "forward" in vars(discriminator):
            raise UserError(
                f"nothing was changed: this {type(discriminator).__name__} has a forward of its own already,"
                " beside its class's, as GradientNormalization gives it"
            )

    def attach(self, discriminator: nn.Module) -> nn.Module:
        self.check(discriminator)
        # In the instance, where it is found before the class's; a copy's is made for the copy.
        discriminator.forward = partial(normalized, discriminator)
        return discriminator


def normalized(f: nn.Module, x: Tensor, *others: Any, **options: Any) -> Any:
    """What the forward of ``f``'s class gives for ``x``, its logits divided by ‖∇f(x)‖ + |f(x)|.

    Args:
        f: maps (batch, ...), and whatever else it is given, to logits (batch,), or to a tuple that starts
            with them.
        x: of any float dtype.

    Raises:
        UserError: f does not give one logit a sample.
    """
    trained = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.enable_grad():
        point = x if x.requires_grad else x.detach().clone().requires_grad_()
        given = type(f).forward(f, point, *others, **options)
        logits, *rest = given if isinstance(given, tuple) else (given,)
        if logits.numel() != len(x):
            raise UserError(
                f"GradientNormalization wants one logit a sample; {type(f).__name__} gives"
                f" {tuple(logits.shape)} for {len(x)}"
            )
        (gradient,) = torch.autograd.grad(logits.sum(), point, create_graph=trained)
        squared = gradient.flatten(1).square().sum(1).view_as(logits)
        # Where the gradient vanishes, so do all derivatives of its norm: the root's are infinite at 0.
        norm = torch.where(squared > 0, nonzero(squared).sqrt(), 0)
    values = logits / nonzero(norm + logits.abs())
    return (values, *(t if trained else t.detach() for t in rest)) if rest else values
