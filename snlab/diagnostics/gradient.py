"""The gradient of a discriminator with respect to its input: what the generator learns from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snlab.core import names
from snlab.nn.conditional import judge
from snlab.nn.evaluation import evaluating


def logit_gradients(
    discriminator: nn.Module, x: Tensor, labels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """f(x) and ∇f(x), the logit's gradient with respect to each input.

    Works under ``torch.no_grad`` and with frozen parameters; parameters' gradients are left as they are.

    Args:
        discriminator: maps (B, *sample_shape) to logits, each a function of its own input alone.
        x: inputs of shape (B, *sample_shape).
        labels: of the inputs, int64 (B,), where the discriminator is given them.

    Returns:
        Logits (B,) and gradients (B, *sample_shape), detached.
    """
    with evaluating(discriminator), torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        logits = judge(discriminator, x, labels)[0]
        (gradient,) = torch.autograd.grad(logits.sum(), x)
    return logits.detach(), gradient


def generator_gradients(logits: Tensor, gradients: Tensor) -> dict[str, float]:
    """How much gradient the discriminator leaves to the generator, whichever that is.

    A generator's gradient is that of its loss with respect to each sample, carried on through the chain rule.
    Where the discriminator is perfect, that of the loss log(1 - D) vanishes (Arjovsky & Bottou 2017, theorem
    2.4), and that of -log D does not.

    Args:
        logits: f on n fakes, (n,).
        gradients: of f with respect to each of them, (n, ...).

    Returns:
        The mean Euclidean norms over the fakes: ``ratio/generator_gradient_saturating`` of the gradient of
        log(1 - D), which is -sigmoid(f) ∇f, and ``ratio/generator_gradient_non_saturating`` of that of
        -log D, -sigmoid(-f) ∇f.
    """
    f = logits.detach().flatten().cpu().double()
    norms = gradients.detach().flatten(1).cpu().double().norm(dim=1)
    return {
        f"{names.RATIO}/{names.GENERATOR_GRADIENT_SATURATING}": float((f.sigmoid() * norms).mean()),
        f"{names.RATIO}/{names.GENERATOR_GRADIENT_NON_SATURATING}": float(((-f).sigmoid() * norms).mean()),
    }
