"""What normalizers that insert a layer before every activation have in common."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import ClassVar, NamedTuple, cast

from torch import Tensor, nn
from torch.nn.modules import activation

from snlab.core.checks import check_flag
from snlab.core.errors import UserError
from snlab.nn.layers import CONVOLUTIONS, originals
from snlab.normalizers.normalizer import Normalizer

# All of torch's that work on each entry, or as GLU on two; not those that give probabilities.
NONE = ("MultiheadAttention", "Softmax", "Softmax2d", "Softmin", "LogSoftmax")
ACTIVATIONS = tuple(getattr(activation, name) for name in activation.__all__ if name not in NONE)
COUNTED = (nn.Linear, nn.Bilinear, *CONVOLUTIONS)


class Place(NamedTuple):
    """Where a layer is inserted: before ``activation``, for the channels that ``source`` gives."""

    name: str
    activation: nn.Module
    source_name: str
    source: nn.Module


class BeforeActivations(Normalizer):
    """A normalizer that inserts a layer of its own before every activation that is a module.

    The layer becomes a part of the activation, under the name ``child``, so that no other layer's name
    changes; it is for the channels of the dense or convolution layer that comes before in the module's order,
    which the first forward pass checks. An activation that is called as a function, as ``torch.relu``, is not
    seen; one that is called in several places has one layer for all of them.

    Args:
        gain: learn a factor for each channel, from 1; the paper's comparison has none. A bias is learned in
            any case, from 0.
    """

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
        for place in self._places(discriminator):
            layer = self.layer(_channels(place.source)).to(originals(place.source, "weight")[-1])
            if not self.gain:
                ones = cast(Tensor, layer.weight).detach()
                del layer.weight
                layer.register_buffer("weight", ones, persistent=False)
            place.activation.add_module(self.child, layer.train(place.activation.training))
            place.activation.register_forward_pre_hook(
                partial(_apply, self.child, place.name, place.source_name)
            )
        return discriminator

    def _places(self, discriminator: nn.Module) -> list[Place]:
        """Where to insert; UserError where that is nowhere, or cannot be."""
        places = []
        source_name, source = "", None
        for name, module in discriminator.named_modules():
            if "parametrizations" in name.split("."):
                continue
            if isinstance(module, COUNTED):
                source_name, source = name, module
            elif isinstance(module, ACTIVATIONS):
                what = f"nothing was changed: activation {name!r} ({type(module).__name__})"
                if hasattr(module, self.child):
                    raise UserError(f"{what} has {self.child} already")
                if source is None:
                    raise UserError(
                        f"{what} has no dense or convolution layer before it, to say how many channels"
                        f" {self.child} is for"
                    )
                places.append(Place(name, module, source_name, source))
        if not places:
            raise UserError(
                f"{self.child} goes before activations, and {type(discriminator).__name__} has no module that"
                " is one, as nn.ReLU is"
            )
        return places


def _channels(source: nn.Module) -> int:
    return cast(int, source.out_channels if isinstance(source, CONVOLUTIONS) else source.out_features)


def _apply(child: str, name: str, source: str, place: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    """A hook: an activation's input, through its ``child``, found by name so that copies use their own."""
    layer, (x,) = cast(nn.Module, getattr(place, child)), inputs
    channels = len(cast(Tensor, layer.weight))
    if x.ndim < 2 or x.shape[1] != channels:
        raise UserError(
            f"{child} before activation {name!r} is for what layer {source!r} gives, (batch, {channels},"
            f" ...), and was given {tuple(x.shape)}"
        )
    return cast(Tensor, layer(x))
