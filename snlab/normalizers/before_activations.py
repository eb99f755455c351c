"""What normalizers that insert a layer before every activation have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, NamedTuple, cast

from torch import Tensor, nn
from torch.nn.modules import activation as activations

from snlab.core.checks import check_flag
from snlab.core.errors import UserError
from snlab.nn.layers import CONVOLUTIONS, originals
from snlab.normalizers.normalizer import Normalizer

# Torch's, without those that are no activation, or give probabilities.
OTHERS = ("MultiheadAttention", "Softmax", "Softmax2d", "Softmin", "LogSoftmax")
ACTIVATIONS = tuple(getattr(activations, name) for name in activations.__all__ if name not in OTHERS)
COUNTING = (nn.Linear, *CONVOLUTIONS)  # layers that tell how many channels they take and give


class Named(NamedTuple):
    """A module and its dotted name."""

    name: str
    module: nn.Module

    @property
    def parent(self) -> str:
        """The name of the module that it is in."""
        return self.name.rpartition(".")[0]


class BeforeActivations(Normalizer):
    """A normalizer that inserts a layer of its own before every activation that is a module.

    The layer becomes a part of the activation, under the name ``child``, so that no other layer's name
    changes. How many channels it is for is told by a dense or convolution layer next to it (``neighbour``),
    and checked at every forward pass. An activation that is called as a function, as ``torch.relu``, is not
    seen; one that is called in several places has one layer for all of them.

    Args:
        gain: learn a factor for each channel, from 1; the paper's comparison has none. A bias is learned in
            any case, from 0.
    """

    group = "layers"
    child: ClassVar[str]
    """The inserted layer's name within its activation, and the normalizer's own."""

    def __init__(self, gain: bool = False) -> None:
        check_flag("gain", gain)
        self.gain = gain

    @abstractmethod
    def layer(self, channels: int) -> nn.Module:
        """(B, channels, ...) to the same shape, with ``weight`` (channels,), of ones, and ``bias``."""

    def check(self, discriminator: nn.Module) -> None:
        self._places(discriminator)

    def attach(self, discriminator: nn.Module) -> nn.Module:
        for (name, activation), (source, counting), channels in self._places(discriminator):
            layer = self.layer(channels).to(originals(counting, "weight")[-1])
            if not self.gain:
                ones = cast(Tensor, layer.weight).detach()
                del layer.weight
                layer.register_buffer("weight", ones, persistent=False)
            activation.add_module(self.child, layer.train(activation.training))
            activation.register_forward_pre_hook(partial(_apply, self.child, name, source))
        return discriminator

    def _places(self, discriminator: nn.Module) -> list[tuple[Named, Named, int]]:
        """Each activation, the layer that tells its channels, and how many; UserError where there is none."""
        modules = [Named(*named) for named in discriminator.named_modules()]
        modules = [named for named in modules if "parametrizations" not in named.name.split(".")]
        places = []
        for i, (name, activation) in enumerate(modules):
            if isinstance(activation, ACTIVATIONS):
                what = f"nothing was changed: activation {name!r} ({type(activation).__name__})"
                if hasattr(activation, self.child):
                    raise UserError(f"{what} has {self.child} already")
                if (found := neighbour(modules, i)) is None:
                    raise UserError(
                        f"{what} has no dense or convolution layer near it, to say how many channels"
                        f" {self.child} is for"
                    )
                places.append((modules[i], *found))
        if not places:
            raise UserError(
                f"{self.child} goes before activations, and {type(discriminator).__name__} has no module that"
                " is one, as nn.ReLU is"
            )
        return places


def neighbour(modules: Sequence[Named], i: int) -> tuple[Named, int] | None:
    """The dense or convolution layer that tells how many channels activation ``i`` has, and the number.

    It is the last one before, in the order of ``modules``, by what it gives. An activation that opens a
    block, whose layer after is in the same module and of the same kind, goes by what that takes: the block
    may be given what several layers made.
    """
    counting = [isinstance(module, COUNTING) for _, module in modules]
    before = next((modules[j] for j in reversed(range(i)) if counting[j]), None)
    after = next((modules[j] for j in range(i + 1, len(modules)) if counting[j]), None)
    home = modules[i].parent
    if (after and after.parent == home) and (
        before is None or (before.parent != home and _convolves(before) == _convolves(after))
    ):
        layer = after.module
        return after, cast(int, layer.in_channels if _convolves(after) else layer.in_features)
    if before is None:
        return None
    layer = before.module
    return before, cast(int, layer.out_channels if _convolves(before) else layer.out_features)


def _convolves(layer: Named) -> bool:
    return isinstance(layer.module, CONVOLUTIONS)


def _apply(child: str, name: str, source: str, activation: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    """A hook: an activation's input through its ``child``, found by name so that a copy uses its own."""
    layer, (x,) = cast(nn.Module, getattr(activation, child)), inputs
    channels = len(cast(Tensor, layer.weight))
    if x.ndim < 2 or x.shape[1] != channels:
        raise UserError(
            f"{child} before activation {name!r} is for (batch, {channels}, ...), by layer {source!r}, and"
            f" was given {tuple(x.shape)}"
        )
    return cast(Tensor, layer(x))
