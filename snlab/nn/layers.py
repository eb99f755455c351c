"""The weights that a network multiplies by: which they are, and each as a matrix.

A convolution's weight is read as the matrix of shape (C_out, C_in * k * k), stride and padding ignored
(Miyato et al. 2018, section 4, footnote 3); a transposed convolution stores C_in first and is turned round.
What one tensor holds is one matrix: the stacked gates of a recurrent layer, the packed projections of
attention, as if they were a dense layer of as many outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
WEIGHTED = (nn.Linear, nn.Embedding, nn.EmbeddingBag, *CONVOLUTIONS)
PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")  # of MultiheadAttention

# ---- which -----------------------------------------------------------------------------------------------


def weights(module: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Every weight of ``module`` that is a matrix, as its layer and the parameter's name, in their order.

    A weight goes by its layer's dotted name where the parameter is called ``weight``, else by its own.

    >>> list(weights(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.LSTMCell(3, 1))))
    ['0', '2.weight_ih', '2.weight_hh']
    """
    return {
        _name(name, parameter): (layer, parameter)
        for name, layer in _modules(module)
        for parameter in _weight_parameters(layer)
    }


def weight_layers(module: nn.Module) -> dict[str, nn.Module]:
    """The layers of ``weights(module)`` whose parameter is called ``weight``.

    >>> list(weight_layers(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))))
    ['0', '2']
    """
    return {name: layer for name, (layer, parameter) in weights(module).items() if parameter == "weight"}


def other_weights(module: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Every parameter of two dimensions or more that ``weights(module)`` has not, likewise.

    Such are a bilinear layer's, which is no single matrix, and a user's own, of which nothing is known.

    >>> list(other_weights(nn.Sequential(nn.Bilinear(2, 3, 4), nn.Linear(4, 1))))
    ['0']
    """
    found = {}
    for name, layer in _modules(module):
        # What an old hook or pruning splits a weight into is named after it.
        known = (*_weight_parameters(layer), "bias")
        for parameter in (*layer._parameters, *_parametrized(layer)):
            if not parameter.startswith(known) and any(_is_matrix(t) for t in originals(layer, parameter)):
                found[_name(name, parameter)] = (layer, parameter)
    return found


def _modules(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """``module`` and all inside it by name, without the parametrizations and what is inside those."""
    inner: set[int] = set()
    for name, layer in module.named_modules():
        if isinstance(layer, parametrize.ParametrizationList):
            inner |= {id(part) for part in layer.modules()}
        elif id(layer) not in inner:
            yield name, layer


def _weight_parameters(layer: nn.Module) -> list[str]:
    if isinstance(layer, WEIGHTED):
        return ["weight"]
    if isinstance(layer, nn.MultiheadAttention):  # which of them are None depends on its arguments
        return [name for name in PROJECTIONS if layer._parameters.get(name, name) is not None]
    if isinstance(layer, nn.RNNCellBase):
        return ["weight_ih", "weight_hh"]
    if isinstance(layer, nn.RNNBase):
        return [name for name in layer._flat_weights_names if name.startswith("weight")]
    return []


def _is_matrix(tensor: Tensor) -> bool:
    return not is_lazy(tensor) and tensor.ndim >= 2


def _name(layer: str, parameter: str) -> str:
    if parameter == "weight":
        return layer or parameter
    return f"{layer}.{parameter}" if layer else parameter


# ---- as what ---------------------------------------------------------------------------------------------


def effective_weight(layer: nn.Module, parameter: str = "weight") -> Tensor:
    """The weight that the layer multiplies by, in the layer's own shape."""
    return cast(Tensor, getattr(layer, parameter))


def raw_weight(layer: nn.Module, parameter: str = "weight") -> Tensor:
    """The parameter that the optimizer moves: a parametrized weight's original, else the weight itself."""
    if parametrize.is_parametrized(layer, parameter):
        return originals(layer, parameter)[-1]
    return effective_weight(layer, parameter)


def is_settled(layer: nn.Module, parameter: str) -> bool:
    """Whether the weight is the layer's own and has values: neither computed in a hook nor lazy."""
    own = parameter in layer._parameters or parameter in layer._buffers
    return parametrize.is_parametrized(layer, parameter) or (
        own and not any(is_lazy(tensor) for tensor in originals(layer, parameter))
    )


def originals(layer: nn.Module, parameter: str) -> list[Tensor]:
    """What a weight is computed from: itself, or what the first parametrization is given, the weight last.

    Where a hook computes it, the parameters that the hook has split it into.
    """
    if not parametrize.is_parametrized(layer, parameter):
        tensors = {**layer._parameters, **layer._buffers}
        if parameter in tensors:
            tensors = {parameter: tensors[parameter]}
        return [t for name, t in tensors.items() if name.startswith(parameter) and t is not None]
    steps = cast(parametrize.ParametrizationList, layer.parametrizations[parameter])  # type: ignore[index]
    if steps.is_tensor:
        return [steps.original]
    return [cast(Tensor, getattr(steps, f"original{i}")) for i in range(steps.ntensors)]


def _parametrized(layer: nn.Module) -> list[str]:
    return list(layer.parametrizations) if parametrize.is_parametrized(layer) else []  # type: ignore[arg-type]


def parametrization_steps(layer: nn.Module, parameter: str = "weight") -> Iterator[tuple[nn.Module, Tensor]]:
    """Each parametrization of a weight in the order applied, with the weight that it is given."""
    if parametrize.is_parametrized(layer, parameter):
        inputs, before = originals(layer, parameter), None
        for step in cast(nn.ModuleList, layer.parametrizations[parameter]):  # type: ignore[index]
            if before is not None:
                inputs = [before(*inputs)]
            yield step, inputs[-1]
            before = step


def estimated_sigma(layer: nn.Module, parameter: str = "weight") -> Tensor | None:
    """What training divides the raw weight by in total, where that is one number and is told, else None.

    A parametrization tells what it divides by in a method ``sigma(weight)``; one that has none, as one that
    scales rows, leaves no single number.
    """
    total: Tensor | None = None
    for step, weight in parametrization_steps(layer, parameter):
        if not hasattr(step, "sigma"):
            return None
        divisor = cast(Callable[[Tensor], Tensor], step.sigma)(weight)
        total = divisor if total is None else total * divisor
    return total


# ---- as a matrix -----------------------------------------------------------------------------------------


def output_dim(layer: nn.Module) -> int:
    """Which dimension of the layer's weight counts the outputs."""
    return 1 if isinstance(layer, TRANSPOSED) else 0


def as_matrix(weight: Tensor, dim: int = 0) -> Tensor:
    """``weight`` of any rank as the matrix (size of ``dim``, everything else)."""
    return weight.movedim(dim, 0).flatten(1)


def as_matrix_in_memory_order(weight: Tensor, dim: int = 0) -> Tensor:
    """``as_matrix`` with its columns in the order in which they lie in memory: no copy of a dense tensor.

    The order of columns changes no singular value and no left singular vector. ``row_in_memory_order`` and
    ``row_as_it_lies`` take right singular vectors there and back.
    """
    return weight.permute(dim, *_columns(weight, dim)).flatten(1)


def row_in_memory_order(row: Tensor, weight: Tensor, dim: int = 0) -> Tensor:
    """A tensor of the shape of ``weight`` without ``dim`` as a row (n,) of the matrix in memory order."""
    return row.permute([d if d < dim else d - 1 for d in _columns(weight, dim)]).flatten()


def row_as_it_lies(row: Tensor, weight: Tensor, dim: int = 0) -> Tensor:
    """The way back: a row (n,) in the shape of ``weight`` without ``dim``, in the weight's layout."""
    columns = _columns(weight, dim)
    lying = row.view([weight.shape[d] for d in columns])
    return lying.permute([columns.index(d) for d in range(weight.ndim) if d != dim])


def in_memory_order(tensor: Tensor, weight: Tensor) -> Tensor:
    """The entries of ``tensor`` in the order in which those of ``weight`` lie: no copy of what lies alike."""
    return tensor.permute(_by_stride(weight)).flatten()


def _columns(weight: Tensor, dim: int) -> list[int]:
    return [d for d in _by_stride(weight) if d != dim]


def _by_stride(weight: Tensor) -> list[int]:
    """The dimensions from the one of the longest stride to that of the shortest."""
    return sorted(range(weight.ndim), key=weight.stride().__getitem__, reverse=True)
