"""Names of normalizers, losses, networks and data sets in one spelling, whatever a configuration writes."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from snlab.core.errors import UserError
from snlab.core.registry import Spec, parse

# Of what the papers' tables name: the options' defaults, so that one that is written out is no other.
DEFAULTS: dict[str, dict[str, Any]] = {
    "weight_clipping": {"c": 0.01, "layers": "convolutions"},
    "gradient_penalty": {"weight": 10.0, "kind": "two_sided", "target": 1.0},
    "batch_norm": {"gain": False},
    "layer_norm": {"gain": False},
    "weight_norm": {"gain": False},
    "frobenius_norm": {"gain": False},
    "orthonormal": {"weight": 0.001, "initialise": True},
    "spectral_norm": {
        "iterations": 1, "initial_iterations": 0, "of": "matrix", "exact": False, "bidirectional": False,
        "scale": 1.0, "gain": False,
    },
    "standard_cnn": {"width": 1.0, "latent_dim": 128, "variant": "paper", "last_width": 1.0},
    "resnet": {
        "architecture": "cifar10", "width": 1.0, "width_d": 1.0, "latent_dim": 128, "fused": True,
        "conditional": None, "class_weight_d": 1.0, "class_weight_g": 0.1,
    },
    "stl10": {"size": 48}, "imagenet": {"size": 128}, "mnist": {"size": 32}, "fashion_mnist": {"size": 32},
    "photos": {"size": 32}, "digits": {"size": 16},
}  # fmt: skip


@lru_cache(maxsize=1024)
def plain(text: str) -> str:
    """The spelling without options at their defaults, terms sorted; text that is no name stays as it is.

    >>> plain("spectral_norm(gain=true, iterations=1)+gradient_penalty(weight=10)"), plain("stl10(size=48)")
    ('gradient_penalty+spectral_norm(gain=true)', 'stl10')
    """
    try:
        return "+".join(sorted(str(_plain(term)) for term in parse(text)))
    except UserError:
        return text


def _plain(term: Spec) -> Spec:
    defaults = DEFAULTS.get(term.name, {})
    written = term.options.items()
    return Spec(term.name, {k: v for k, v in written if k not in defaults or not same(v, defaults[k])})


def same(value: Any, other: Any) -> bool:
    """Whether two options have one value: true is not 1."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


@lru_cache(maxsize=1024)
def split_width(network: str) -> tuple[str, float]:
    """A network without its width, in plain spelling, and the width; NaN where that is no number.

    >>> split_width("resnet(architecture=wgan_gp, width=0.25)")
    ('resnet(architecture=wgan_gp)', 0.25)
    """
    try:
        terms = parse(network)
    except UserError:
        return network, math.nan
    width = terms[0].options.get("width", 1.0)
    number = isinstance(width, int | float) and not isinstance(width, bool)
    # A fused resampling is the same function.
    kept = {key: value for key, value in terms[0].options.items() if key not in ("width", "fused")}
    text = "+".join(str(term) for term in [Spec(terms[0].name, kept), *terms[1:]])
    return plain(text), float(width) if number else math.nan
