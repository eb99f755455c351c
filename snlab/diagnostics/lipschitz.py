"""How steep a discriminator is: a bound from its layers' norms, and its gradient at samples."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from snlab.core import names
from snlab.nn.evaluation import evaluating


def gradient_norms(discriminator: nn.Module, x: Tensor) -> Tensor:
    """‖∇f(x)‖, the Euclidean norm of the logit's gradient with respect to each input.

    Works under ``torch.no_grad`` and with frozen parameters; parameters' gradients are left as they are.

    Args:
        discriminator: maps (B, *sample_shape) to logits, each a function of its own input alone.
        x: inputs of shape (B, *sample_shape).

    Returns:
        Norms of shape (B,), detached.

    >>> f = nn.Linear(2, 1)
    >>> _ = f.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> gradient_norms(f, torch.zeros(3, 2)).tolist()
    [5.0, 5.0, 5.0]
    """
    with evaluating(discriminator), torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(x).sum(), x)
    return gradient.flatten(1).norm(dim=1)


def lipschitz(
    discriminator: nn.Module, real: Tensor, fake: Tensor, epsilon: Tensor, sigma: Mapping[str, float]
) -> dict[str, float]:
    """The bound on the Lipschitz constant, and the gradient norms that were met.

    The product of the layers' operator norms is a bound (Miyato et al. 2018, equation 7) for a network that
    applies its layers one after the other, each once, with activations between them that are 1-Lipschitz
    (ReLU, leaky ReLU, tanh). It is none where paths add up (a residual block) or where another layer scales
    (batch norm).

    Args:
        discriminator: maps (B, *sample_shape) to logits.
        real: n real samples (n, *sample_shape).
        fake: n generated samples (n, *sample_shape).
        epsilon: where on the line between the two to look, (n,) in [0, 1]; 1 is at the real sample.
        sigma: what ``sigma.sigma`` gave for a sample; its ``sigma/conv/L`` are multiplied, so that the
            product is of all weights that the logits depend on, or not a number where a norm is unknown.

    Returns:
        ``lipschitz/product`` (where ``sigma`` holds norms to multiply), and ``lipschitz/gradient_mean`` and
        ``lipschitz/gradient_max`` over the 3n real, generated and interpolated points.

    Raises:
        ValueError: real, fake and epsilon differ in number.
    """
    if real.shape != fake.shape or epsilon.shape != real.shape[:1]:
        shapes = f"{tuple(real.shape)}, {tuple(fake.shape)} and {tuple(epsilon.shape)}"
        raise ValueError(f"real, fake and epsilon must match in number and shape: got {shapes}")
    weight = epsilon.view(-1, *[1] * (real.dim() - 1))  # (n, 1, ..., 1)
    between = weight * real + (1 - weight) * fake
    norms = torch.cat([gradient_norms(discriminator, x) for x in (real, fake, between)])  # (3n,)
    mean, largest = torch.stack([norms.mean(), norms.max()]).tolist()
    values = {names.LIPSCHITZ_GRADIENT_MEAN: mean, names.LIPSCHITZ_GRADIENT_MAX: largest}
    layer_norms = [value for name, value in sigma.items() if name.startswith(f"{names.SIGMA_CONV}/")]
    if layer_norms:
        values[names.LIPSCHITZ_PRODUCT] = math.prod(layer_norms)
    return values
