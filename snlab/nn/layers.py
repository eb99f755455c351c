"""The layers that multiply by a weight: which they are, and their weights as matrices.

A convolution's weight is read as the matrix of shape (C_out, C_in * k * k), stride and padding ignored
(Miyato et al. 2018, section 4, footnote 3); a transposed convolution stores C_in first and is turned round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from torch import Tensor, nn
from torch.nn.utils import parametrize

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHTED = (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)


def weight_layers(module: nn.Module) -> dict[str, nn.Module]:
    """Every layer of ``module`` that multiplies by a weight, by its dotted name, in order of registration.

    >>> list(weight_layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))))
    ['0', '2']
    """
    return {name or "weight": layer for name, layer in module.named_modules() if isinstance(layer, WEIGHTED)}


def output_dim(layer: nn.Module) -> int:
    """Which dimension of the layer's weight counts the outputs."""
    return 1 if isinstance(layer, TRANSPOSED) else 0


def as_matrix(weight: Tensor, dim: int = 0) -> Tensor:
    """``weight`` of any rank as the matrix (size of ``dim``, everything else)."""
    return weight.movedim(dim, 0).flatten(1)


def effective_weight(layer: nn.Module) -> Tensor:
    """The weight that the layer multiplies by, in the layer's own shape."""
    return cast(Tensor, layer.weight)


def raw_weight(layer: nn.Module) -> Tensor:
    """The parameter that the optimizer moves: a parametrized weight's original, else the weight itself."""
    return _originals(layer)[-1] if parametrize.is_parametrized(layer, "weight") else effective_weight(layer)


def _originals(layer: nn.Module) -> list[Tensor]:
    """What the first parametrization is given: one tensor, or several with the weight last."""
    steps = cast(parametrize.ParametrizationList, layer.parametrizations.weight)  # type: ignore[union-attr]
    if steps.is_tensor:
        return [steps.original]
    return [cast(Tensor, getattr(steps, f"original{i}")) for i in range(steps.ntensors)]


def parametrization_steps(layer: nn.Module) -> Iterator[tuple[nn.Module, Tensor]]:
    """Each parametrization of the layer's weight in the order applied, with the weight that it is given."""
    if parametrize.is_parametrized(layer, "weight"):
        inputs, before = _originals(layer), None
        for step in cast(nn.ModuleList, layer.parametrizations.weight):  # type: ignore[union-attr]
            if before is not None:
                inputs = [before(*inputs)]
            yield step, inputs[-1]
            before = step


def estimated_sigma(layer: nn.Module) -> Tensor | None:
    """What training divides the layer's weight by, where a parametrization keeps such an estimate, else None.

    A parametrization tells it by a method ``sigma(weight)``.
    """
    for step, weight in parametrization_steps(layer):
        if hasattr(step, "sigma"):
            return cast(Callable[[Tensor], Tensor], step.sigma)(weight)
    return None
