"""A layer as a linear map on inputs of their real size, stride and padding included: its norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snlab.nn.conditional import given
from snlab.nn.convolution import full_float32
from snlab.nn.evaluation import evaluating
from snlab.nn.layers import CONVOLUTIONS, weight_layers
from snlab.nn.resampling import ResampledConv2d, UpsampledConv2d


@torch.no_grad()
def input_shapes(
    discriminator: nn.Module, sample: Tensor, labels: Tensor | None = None
) -> dict[str, tuple[int, ...]]:
    """The input shape, batch left out, of every layer with a weight that ``sample`` reaches, by name.

    A layer that is called more than once is given by its largest input, and one that upsamples first
    (``nn.resampling``) by what it convolves.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def see(name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def hook(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            (x, *_) = (*args, *kwargs.values())
            if isinstance(layer, UpsampledConv2d):
                x = layer.upsample(x)
            rank = len(layer.kernel_size) + 1 if isinstance(layer, CONVOLUTIONS) else 1
            shapes[name] = max(shapes.get(name, (0,)), tuple(x.shape[-rank:]), key=math.prod)

        return hook

    with ExitStack() as hooks, evaluating(discriminator):
        for name, layer in weight_layers(discriminator).items():
            hooks.callback(layer.register_forward_pre_hook(see(name), with_kwargs=True).remove)
        given(discriminator, sample[:1], None if labels is None else labels[:1])
    return shapes


def convolution_sigma(
    layer: nn.Module, input_shape: tuple[int, ...], tolerance: float = 1e-6, iterations: int = 500
) -> float:
    """The operator norm of a convolution: its largest singular value on inputs of one exact size.

    Any layer whose forward pass is linear up to a constant will do: stride, padding of any mode, dilation,
    groups and transposition are whatever the forward pass does. Of a layer that resamples as well
    (``nn.resampling``) it is the convolution alone.

    Args:
        layer: (B, *input_shape) to (B, ...), affine.
        input_shape: the size of one input, (C_in, H, W) for images.
        tolerance: stop where ten more steps raise the norm by less than this share of it.
        iterations: how many steps at most.

    Returns:
        The norm, approached from below, in the layer's own precision; not a number where a weight isn't
        finite.
    """
    parameter = next(layer.parameters())
    apply = layer.convolve if isinstance(layer, ResampledConv2d) else layer
    with (
        evaluating(layer),
        parametrize.cached(),  # the same weight at every step
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(parameter.device.type, enabled=False),
        full_float32(),
    ):
        x = torch.zeros(1, *input_shape, dtype=parameter.dtype, device=parameter.device, requires_grad=True)
        y = apply(x)  # the layer's constant
        size = math.sqrt(x.numel())  # inputs with entries of about 1, which no bias drowns

        def gram(v: Tensor) -> Tensor:
            """A*A v; the adjoint A* is the transposed derivative, which is the same at every x."""
            with torch.no_grad():
                image = (apply(size * v) - y) / size
            return torch.autograd.grad(y, x, image, retain_graph=True)[0]

        start = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).to(x)
        return math.sqrt(_largest_eigenvalue(gram, start, 2 * tolerance, iterations))


def _largest_eigenvalue(
    operator: Callable[[Tensor], Tensor], start: Tensor, tolerance: float, iterations: int
) -> float:
    """Lanczos' method for a positive semidefinite operator: the largest eigenvalue, approached from below.

    The three-term recurrence without reorthogonalisation: the basis loses its orthogonality only as some
    eigenvalue of the tridiagonal matrix converges, which then comes again as a copy and does the largest no
    harm (Paige 1980). So nothing but two vectors is kept.
    """
    every = 10  # steps from one look at the tridiagonal matrix, which waits for the device, to the next
    v, previous = start / start.norm(), torch.zeros_like(start)
    beta = start.new_zeros(())
    alphas: list[Tensor] = []
    betas: list[Tensor] = []
    largest = 0.0
    for step in range(1, iterations + 1):
        w = operator(v) - beta * previous
        alpha = torch.sum((w * v.conj()).real)
        w = w - alpha * v
        beta = w.norm()
        alphas.append(alpha)
        betas.append(beta)
        previous, v = v, w / beta
        if step % every == 0 or step == iterations:
            diagonal, below = torch.stack([torch.stack(alphas), torch.stack(betas)]).double().cpu()
            # An invariant subspace is exhausted where beta vanishes; what follows it is noise.
            scale = torch.finfo(start.dtype).eps * diagonal.abs().nan_to_num().max()
            ends = (~(below > 10 * scale)).nonzero()
            size = int(ends[0]) + 1 if len(ends) else step
            below = below[: size - 1]
            tridiagonal = torch.diag(diagonal[:size]) + torch.diag(below, 1) + torch.diag(below, -1)
            if not tridiagonal.isfinite().all():
                return math.nan
            before, largest = largest, max(torch.linalg.eigvalsh(tridiagonal)[-1].item(), 0.0)
            if size < step or largest - before <= tolerance * largest:
                break
    return largest
