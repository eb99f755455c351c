"""Spectral normalization (Miyato et al. 2018): every weight divided by its largest singular value."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from snlab.core.checks import check_flag, check_positive, check_whole
from snlab.core.errors import nearest
from snlab.nn.layers import CONVOLUTIONS, output_dim, parametrization_steps, weights
from snlab.normalizers.division_by_sigma import (
    DivideByBothSigmas,
    DivideByConvolutionNorm,
    DivideBySigma,
    Division,
    see_input,
)
from snlab.normalizers.normalizer import NORMALIZERS, Scale
from snlab.normalizers.reparametrization import Gain, Reparametrization

OF = ("matrix", "convolution")


class SpectralNorm(Reparametrization):
    """Divide each weight by its largest singular value, estimated by power iteration (Algorithm 1).

    One line is enough in a loop that knows nothing of snlab: ``SpectralNorm().attach(discriminator)``,
    before the optimizer is made. Its state, u and v of each weight, starts near convergence and advances
    wherever the weight is computed in training mode, as in torch's own: once a forward pass. A loop that
    calls ``before_update`` has it advance there and nowhere else. In evaluation it never does.

    Args:
        iterations: rounds of power iteration each time.
        initial_iterations: rounds at ``attach``, from a random u; the paper has none. None for as many as
            bring σ to convergence, which is what a weight that is not trained gets in any case.
        of: whose singular value it is. ``matrix``: a convolution's weight as (C_out, C_in k k), as in the
            paper. ``convolution``: the convolution itself as a linear map, stride and padding included, on
            inputs of the size that it is first called with; until then its weight is left as it is. Other
            layers are their matrices.
        exact: singular vectors by SVD each time in place of power iteration, as a reference for it: slow.
        bidirectional: divide by the mean of two values, of the weight as (C_out, C_in k k) and as
            (C_in, C_out k k), which are one for a dense layer (Lin, Sekar and Fanti 2021: BSN).
        scale: c, by which every normalised weight is multiplied (the same paper: SSN, and BSSN with both).
        gain: learn one factor γ a layer, starting from the weight's largest singular value as a matrix
            (equation 32, Tables 7 and 8). Where the division starts near convergence, attaching leaves the
            layer's function as it was.

    Raises:
        ValueError: an option is no such thing, or two contradict each other.
    """

    scales = Scale.WHOLE

    def __init__(
        self,
        iterations: int = 1,
        initial_iterations: int | None = None,
        *,
        of: str = "matrix",
        exact: bool = False,
        bidirectional: bool = False,
        scale: float = 1.0,
        gain: bool = False,
    ) -> None:
        check_whole("iterations", iterations, least=1)
        if initial_iterations is not None:
            check_whole("initial_iterations", initial_iterations, least=0)
        if of not in OF:
            raise ValueError(f"unknown of {of!r}; {nearest(str(of), OF)}")
        check_flag("exact", exact)
        check_flag("bidirectional", bidirectional)
        check_positive("scale", scale)
        check_flag("gain", gain)
        if exact and (iterations > 1 or initial_iterations):
            raise ValueError("exact=true has no iterations: leave iterations and initial_iterations out")
        if of == "convolution" and (exact or bidirectional):
            other = "exact" if exact else "bidirectional"
            raise ValueError(f"{other}=true is of the weight as a matrix: leave of=convolution out")
        if gain and scale != 1:
            raise ValueError(f"gain=true learns the factor that scale={scale} sets: leave one of them out")
        self.iterations = None if exact else iterations
        self.initial_iterations = initial_iterations
        self.of = of
        self.bidirectional = bidirectional
        self.scale = scale
        self.gain = gain

    def parametrizations(self, weight: Tensor, layer: nn.Module) -> list[nn.Module]:
        steps: list[nn.Module] = [self._division(weight, layer)]
        if self.gain:
            steps.append(Gain.learned(weight, layer))
        elif self.scale != 1:
            steps.append(Gain(self.scale))
        return steps

    def _division(self, weight: Tensor, layer: nn.Module) -> Division:
        convolution = isinstance(layer, CONVOLUTIONS)
        if self.of == "convolution" and convolution:
            assert self.iterations is not None
            return DivideByConvolutionNorm(weight, layer, self.iterations, self.initial_iterations)
        kind = DivideByBothSigmas if self.bidirectional and convolution else DivideBySigma
        return kind(weight, output_dim(layer), self.iterations, self.initial_iterations)

    def attach(self, discriminator: nn.Module) -> nn.Module:
        super().attach(discriminator)
        if self.of == "convolution":
            for layer, _ in weights(discriminator).values():
                if isinstance(layer, CONVOLUTIONS):
                    layer.register_forward_pre_hook(see_input, with_kwargs=True)
        return discriminator

    @torch.no_grad()
    def before_update(self, discriminator: nn.Module) -> None:
        alike: defaultdict[Any, list[tuple[Division, Tensor]]] = defaultdict(list)
        for layer, parameter in weights(discriminator).values():
            for step, weight in parametrization_steps(layer, parameter):
                if isinstance(step, Division):
                    step.driven = True
                    alike[type(step), step.iterations, weight.device].append((step, weight))
                    break
        for (kind, *_), divisions in alike.items():
            kind.iterate(divisions)


@NORMALIZERS.register("spectral_norm")
def spectral_norm(
    iterations: int = 1,
    initial_iterations: int | None = 0,
    *,
    of: str = "matrix",
    exact: bool = False,
    bidirectional: bool = False,
    scale: float = 1.0,
    gain: bool = False,
) -> SpectralNorm:
    """Divide each weight by its largest singular value, by power iteration (Miyato et al. 2018, Alg. 1).

    By its name it starts as in the paper: from a random u, without a round before training.
    """
    return SpectralNorm(
        iterations,
        initial_iterations,
        of=of,
        exact=exact,
        bidirectional=bidirectional,
        scale=scale,
        gain=gain,
    )
