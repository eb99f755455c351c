"""Looking at networks without changing them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Every module in evaluation mode inside, and each submodule as it was before, outside.

    No power iteration runs and no batch statistic moves inside.
    """
    training = [(m, m.training) for module in modules for m in module.modules()]
    try:
        for module in modules:
            module.eval()
        yield
    finally:
        for module, mode in training:
            module.training = mode


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No gradient is computed for the module's parameters inside; gradients still pass through it."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@contextmanager
def differentiable(*tensors: Tensor) -> Iterator[None]:
    """Gradients with respect to ``tensors`` are there inside: also of frozen ones, and under ``no_grad``."""
    still = [tensor for tensor in tensors if tensor.is_leaf and not tensor.requires_grad]
    with torch.inference_mode(False), torch.enable_grad():
        try:
            for tensor in still:
                tensor.requires_grad_()
            yield
        finally:
            for tensor in still:
                tensor.requires_grad_(False)
