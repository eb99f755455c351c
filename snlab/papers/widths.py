"""Networks at another width: how they are named, and whether they can be built."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence

import torch

from snlab.core.errors import UserError
from snlab.core.registry import Spec, parse
from snlab.networks import NETWORKS

BYTES = 4  # of a weight
COPIES = 4  # while training: weights, gradients, Adam's two averages


def at_width(network: str, width: float) -> str:
    """A network's name with that width.

    >>> at_width("standard_cnn(width=0.25, last_width=2)", 1.0), at_width("resnet", 0.5)
    ('standard_cnn(last_width=2, width=1.0)', 'resnet(width=0.5)')
    """
    (term,) = parse(network)
    return str(Spec(term.name, {**term.options, "width": width}))


def check_width(network: str, width: float, sample_shape: Sequence[int], classes: int) -> None:
    """UserError for a width at which a layer would have no channel, or weights would not fit in memory.

    Nothing is built: what of a weight's shape grows with the width is told by those at 1 and at 2.
    """
    NETWORKS.build(at_width(network, width))  # it has a width, and that is one
    weights = [
        [(at_one, at_two > at_one) for at_one, at_two in zip(one, two, strict=True)]
        for one, two in zip(
            *(_shapes(at_width(network, w), tuple(sample_shape), classes) for w in (1.0, 2.0)), strict=True
        )
    ]
    name = parse(network)[0].name
    narrowest = min((size for shape in weights for size, grows in shape if grows), default=1)
    if width * narrowest < 1:
        raise UserError(
            f"--width is {width:g}; the narrowest layer of {name} has {narrowest} channels at width 1, "
            f"so at least {1 / narrowest:.3g} is needed"
        )
    # In logarithms, as the product may be beyond any number.
    logs = [
        sum(math.log(size) + (math.log(width) if grows else 0.0) for size, grows in shape)
        for shape in weights
    ]
    most = max(logs, default=0.0)
    wanted = math.log(BYTES * COPIES) + most + math.log(sum(math.exp(log - most) for log in logs) or 1.0)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if wanted > math.log(memory):
        raise UserError(
            f"--width is {width:g}; to train {name} at that width takes {_gigabytes(wanted)} for its weights "
            f"alone, and this machine has {_gigabytes(math.log(memory))}"
        )


def _shapes(network: str, sample_shape: tuple[int, ...], classes: int) -> Iterator[tuple[int, ...]]:
    """Of every weight of both networks; none is made."""
    architecture = NETWORKS.build(network)
    if architecture.conditional:
        architecture.classes = classes
    with torch.device("meta"):
        for half in (architecture.generator(sample_shape), architecture.discriminator(sample_shape)):
            yield from (tuple(weight.shape) for weight in half.parameters())


def _gigabytes(log: float) -> str:
    """Of the logarithm of a number of bytes.

    >>> _gigabytes(math.log(3.25e9)), _gigabytes(math.log(10) * 400)
    ('3.2 GB', '1e391 GB')
    """
    digits = log / math.log(10) - 9
    return f"{10**digits:,.1f} GB" if digits < 6 else f"1e{round(digits)} GB"
