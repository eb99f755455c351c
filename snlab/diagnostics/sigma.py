"""The singular values of a discriminator's weights: as matrices by SVD, and as convolutions by Lanczos.

The matrix (C_out, C_in * k * k) is what spectral normalization divides by (Miyato et al. 2018, section 2.1);
the convolution is the linear map that the layer applies to inputs of its real size, stride and padding
included. The two norms differ, and only the second one bounds how much the layer stretches its input.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snlab.core import names
from snlab.diagnostics.convolution import convolution_sigma, input_shapes
from snlab.nn.conditional import judge
from snlab.nn.division import nonzero
from snlab.nn.evaluation import differentiable, evaluating
from snlab.nn.layers import (
    CONVOLUTIONS,
    as_matrix,
    effective_weight,
    estimated_sigma,
    originals,
    other_weights,
    output_dim,
    raw_weight,
    weights,
)

# ---- a layer as a matrix: the paper's Figures 3 and 9 -----------------------------------------------------


@dataclass(frozen=True)
class LayerSpectrum:
    """The singular values of one weight, descending, each of shape (min(C_out, C_in * k * k),), float64, CPU.

    Attributes:
        effective: of the weight that the layer multiplies by.
        raw: of the parameter that the optimizer moves.
        power_iteration: what training divides the raw weight by in total, where that is one known number.
    """

    effective: Tensor
    raw: Tensor
    power_iteration: float | None


@torch.no_grad()
def layer_spectra(discriminator: nn.Module) -> dict[str, LayerSpectrum]:
    """One SVD a weight (two where it is not the parameter itself), by name (``nn.layers.weights``).

    Hand the result to ``sigma`` and ``spectrum`` where both are wanted.
    """
    spectra = {}
    with evaluating(discriminator):
        for name, (layer, parameter) in weights(discriminator).items():
            weight, raw = effective_weight(layer, parameter), raw_weight(layer, parameter)
            estimate, dim = estimated_sigma(layer, parameter), output_dim(layer)
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
    matrix = matrix.detach().cpu().to(torch.complex128 if matrix.is_complex() else torch.float64)
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.mH
    if not tall.isfinite().all():
        return torch.full((tall.shape[1],), math.nan, dtype=torch.float64)
    return torch.linalg.svdvals(torch.linalg.qr(tall, mode="r").R)


def sigma(
    discriminator: nn.Module,
    sample: Tensor | None = None,
    spectra: Mapping[str, LayerSpectrum] | None = None,
    labels: Tensor | None = None,
) -> dict[str, float]:
    """The largest singular value of every layer L of ``discriminator``.

    Args:
        discriminator: maps (B, *sample_shape) to logits.
        sample: inputs (B, *sample_shape), of which the first is used; without it there is no ``sigma/conv``.
        spectra: what ``layer_spectra(discriminator)`` gave, if it is at hand.
        labels: of the inputs, int64 (B,), where the discriminator is given them.

    Returns:
        ``sigma/exact/L`` of the effective weight as a matrix, ``sigma/raw/L`` of the raw one,
        ``sigma/power_iteration/L`` what training divides by (exact = raw / that) where it is one number,
        and ``sigma/conv/L`` of the layer as a linear map on the input size that ``sample`` gives it (a layer
        that isn't a convolution is its matrix). That is for every weight that the logits depend on, and not
        a number where the norm is unknown: for a weight that is no matrix, as a bilinear layer's or a
        parameter of the user's own, and for a convolution whose weight is used without calling it.
    """
    spectra = layer_spectra(discriminator) if spectra is None else spectra
    values = {}
    for name, layer in spectra.items():
        values[f"{names.SIGMA_EXACT}/{name}"] = layer.effective[0].item()
        values[f"{names.SIGMA_RAW}/{name}"] = layer.raw[0].item()
        if layer.power_iteration is not None:
            values[f"{names.SIGMA_POWER_ITERATION}/{name}"] = layer.power_iteration
    if sample is not None:
        for name, norm in _operator_norms(
            discriminator, sample[:1], spectra, None if labels is None else labels[:1]
        ):
            values[f"{names.SIGMA_CONV}/{name}"] = norm
    return values


def _operator_norms(
    discriminator: nn.Module, sample: Tensor, spectra: Mapping[str, LayerSpectrum], labels: Tensor | None
) -> Iterator[tuple[str, float]]:
    matrices, shapes = weights(discriminator), input_shapes(discriminator, sample, labels)
    for name in used_weights(discriminator, sample, labels):
        if name not in matrices:
            yield name, math.nan
        elif not isinstance(layer := matrices[name][0], CONVOLUTIONS):
            yield name, spectra[name].effective[0].item()
        else:
            yield name, convolution_sigma(layer, shapes[name]) if name in shapes else math.nan


def used_weights(discriminator: nn.Module, sample: Tensor, labels: Tensor | None = None) -> list[str]:
    """Every weight that the logits depend on, by name: what its layer is called by does not matter.

    Args:
        discriminator: maps (B, *sample_shape) to logits.
        sample: inputs (B, *sample_shape).
        labels: of the inputs, int64 (B,), where the discriminator is given them.
    """
    found = {**weights(discriminator), **other_weights(discriminator)}
    sources = {name: originals(layer, parameter) for name, (layer, parameter) in found.items()}
    tensors = [
        tensor
        for source in sources.values()
        for tensor in source
        if tensor.is_floating_point() or tensor.is_complex()
    ]
    # Without cuDNN, which has no gradient of a recurrent layer in evaluation mode.
    with evaluating(discriminator), differentiable(*tensors), torch.backends.cudnn.flags(enabled=False):
        logits, _ = judge(discriminator, sample.detach().clone(), labels)
        if not (tensors and logits.requires_grad):
            return []
        gradients = torch.autograd.grad(logits, tensors, torch.ones_like(logits), allow_unused=True)
    met = {id(tensor) for tensor, gradient in zip(tensors, gradients, strict=True) if gradient is not None}
    return [name for name, source in sources.items() if any(id(tensor) in met for tensor in source)]


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
        Vetterli 2007): n for an orthonormal matrix of rank n, 1 for a matrix of rank one, 0 for zeros.
    """
    values: dict[str, float | list[float]] = {}
    for name, layer in (layer_spectra(discriminator) if spectra is None else spectra).items():
        s = layer.effective
        values[f"{names.SPECTRUM}/{name}"] = (s / nonzero(s[0])).square().tolist()
        rank = torch.special.entr(s / nonzero(s.sum())).sum().exp()
        values[f"{names.EFFECTIVE_RANK}/{name}"] = 0.0 if s[0] == 0 else rank.item()
    return values
