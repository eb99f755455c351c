"""The singular values of a discriminator's layers: as matrices by SVD, and as convolutions by Lanczos.

The matrix (C_out, C_in * k * k) is what spectral normalization divides by (Miyato et al. 2018, section 2.1);
the convolution is the linear map that the layer applies to inputs of its real size, stride and padding
included. The two norms differ, and only the second one bounds how much the layer stretches its input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snlab.core import names
from snlab.nn.evaluation import evaluating
from snlab.nn.layers import (
    TRANSPOSED,
    as_matrix,
    effective_weight,
    estimated_sigma,
    output_dim,
    raw_weight,
    weight_layers,
)

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)


# ---- a layer as a matrix: the paper's Figures 3 and 9 -----------------------------------------------------


@dataclass(frozen=True)
class LayerSpectrum:
    """The singular values of one layer, descending, each of shape (min(C_out, C_in * k * k),), float64, CPU.

    Attributes:
        effective: of the weight that the layer multiplies by.
        raw: of the parameter that the optimizer moves.
        power_iteration: what training divides the raw weight by, where the layer keeps such an estimate.
    """

    effective: Tensor
    raw: Tensor
    power_iteration: float | None


@torch.no_grad()
def layer_spectra(discriminator: nn.Module) -> dict[str, LayerSpectrum]:
    """One SVD a layer (two where the effective weight is not the parameter itself), by the layer's name.

    Hand the result to ``sigma`` and ``spectrum`` where both are wanted.
    """
    spectra = {}
    with evaluating(discriminator):
        for name, layer in weight_layers(discriminator).items():
            weight, raw, estimate = effective_weight(layer), raw_weight(layer), estimated_sigma(layer)
            dim = output_dim(layer)
            effective = singular_values(as_matrix(weight, dim))
            spectra[name] = LayerSpectrum(
                effective=effective,
                raw=effective if raw is weight else singular_values(as_matrix(raw, dim)),
                power_iteration=None if estimate is None else estimate.item(),
            )
    return spectra


def singular_values(matrix: Tensor) -> Tensor:
    """All singular values of ``matrix`` (m, n), descending, as float64 of shape (min(m, n),) on the CPU.

    A QR decomposition first, then the SVD of the small triangular factor (Chan 1982), which has the same
    singular values: twice as fast in float64 as LAPACK's SVD of the whole in float32, and the same digits on
    every device. Not a number where an entry is not finite, as in a run that diverged.

    >>> singular_values(torch.tensor([[3.0, 0.0, 0.0], [0.0, -4.0, 0.0]])).tolist()
    [4.0, 3.0]
    """
    matrix = matrix.detach().cpu().double()
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.mT
    if not tall.isfinite().all():
        return tall.new_full((tall.shape[1],), math.nan)
    return torch.linalg.svdvals(torch.linalg.qr(tall, mode="r").R)


def sigma(
    discriminator: nn.Module, sample: Tensor | None = None, spectra: Mapping[str, LayerSpectrum] | None = None
) -> dict[str, float]:
    """The largest singular value of every layer L of ``discriminator``.

    Args:
        discriminator: maps (B, *sample_shape) to logits.
        sample: inputs (B, *sample_shape), of which the first is used; without it there is no ``sigma/conv``.
        spectra: what ``layer_spectra(discriminator)`` gave, if it is at hand.

    Returns:
        ``sigma/exact/L`` of the effective weight as a matrix, ``sigma/raw/L`` of the raw one,
        ``sigma/power_iteration/L`` the training-time estimate (exact = raw / estimate) where there is one,
        and ``sigma/conv/L`` of the layer as a linear map on the input size that ``sample`` gives it (layers
        that ``sample`` doesn't reach have none; a layer that isn't a convolution is its matrix).
    """
    spectra = layer_spectra(discriminator) if spectra is None else spectra
    values = {}
    for name, layer in spectra.items():
        values[f"{names.SIGMA_EXACT}/{name}"] = layer.effective[0].item()
        values[f"{names.SIGMA_RAW}/{name}"] = layer.raw[0].item()
        if layer.power_iteration is not None:
            values[f"{names.SIGMA_POWER_ITERATION}/{name}"] = layer.power_iteration
    if sample is not None:
        layers = weight_layers(discriminator)
        for name, shape in input_shapes(discriminator, sample).items():
            convolution = isinstance(layers[name], CONVOLUTIONS)
            norm = (
                convolution_sigma(layers[name], shape) if convolution else spectra[name].effective[0].item()
            )
            values[f"{names.SIGMA_CONV}/{name}"] = norm
    return values


def spectrum(
    discriminator: nn.Module, spectra: Mapping[str, LayerSpectrum] | None = None
) -> dict[str, float | list[float]]:
    """All singular values of every layer's effective weight, and how many of them count.

    Args:
        discriminator: any module.
        spectra: what ``layer_spectra(discriminator)`` gave, if it is at hand.

    Returns:
        ``spectrum/L``, the squared singular values scaled to the largest, descending (Figure 3), and
        ``effective_rank/L``, the exponential of the entropy of the singular values scaled to sum to 1 (Roy &
        Vetterli 2007): n for an orthonormal matrix of rank n, 1 for a matrix of rank one.
    """
    values: dict[str, float | list[float]] = {}
    for name, layer in (layer_spectra(discriminator) if spectra is None else spectra).items():
        s = layer.effective
        values[f"{names.SPECTRUM}/{name}"] = (s / s[0]).square().tolist()
        values[f"{names.EFFECTIVE_RANK}/{name}"] = torch.special.entr(s / s.sum()).sum().exp().item()
    return values


# ---- a convolution as a linear map on its real input size --------------------------------------------------


@torch.no_grad()
def input_shapes(discriminator: nn.Module, sample: Tensor) -> dict[str, tuple[int, ...]]:
    """The input shape, batch left out, of every layer with a weight that ``sample`` reaches, by name.

    A layer that is called more than once is given by its largest input.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def see(name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def hook(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            (x, *_) = (*args, *kwargs.values())
            rank = len(layer.kernel_size) + 1 if isinstance(layer, CONVOLUTIONS) else 1
            shapes[name] = max(shapes.get(name, (0,)), tuple(x.shape[-rank:]), key=math.prod)

        return hook

    with ExitStack() as hooks, evaluating(discriminator):
        for name, layer in weight_layers(discriminator).items():
            hooks.callback(layer.register_forward_pre_hook(see(name), with_kwargs=True).remove)
        discriminator(sample[:1])
    return shapes


def convolution_sigma(
    layer: nn.Module, input_shape: tuple[int, ...], tolerance: float = 1e-6, iterations: int = 500
) -> float:
    """The operator norm of a convolution: its largest singular value on inputs of one exact size.

    Any layer whose forward pass is linear up to a constant will do: stride, padding of any mode, dilation,
    groups and transposition are whatever the forward pass does.

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
    with (
        evaluating(layer),
        parametrize.cached(),  # the same weight at every step
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(parameter.device.type, enabled=False),
        _full_float32(),
    ):
        x = torch.zeros(1, *input_shape, dtype=parameter.dtype, device=parameter.device, requires_grad=True)
        y = layer(x)  # the layer's constant
        size = math.sqrt(x.numel())  # inputs with entries of about 1, which no bias drowns

        def gram(v: Tensor) -> Tensor:
            """A*A v; the adjoint A* is the transposed derivative, which is the same at every x."""
            with torch.no_grad():
                image = (layer(size * v) - y) / size
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
        alpha = torch.sum(w * v)
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


@contextmanager
def _full_float32() -> Iterator[None]:
    """Convolutions without TF32, whose 10 bits are cuDNN's default and too few for a norm."""
    cudnn = torch.backends.cudnn
    with cudnn.flags(enabled=cudnn.enabled, deterministic=cudnn.deterministic, allow_tf32=False):
        yield
