"""snlab: which discriminator normalizer, and why.

    from snlab import SpectralNorm
    SpectralNorm().attach(my_discriminator)

Nothing heavy is imported until a name is asked for, so that ``import snlab`` and ``snlab --help`` are quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "GAN": "snlab.gan",
    "Batch": "snlab.normalizers",
    "Normalizer": "snlab.normalizers",
    "SpectralNorm": "snlab.normalizers.spectral_norm",
    "WeightNorm": "snlab.normalizers.weight_norm",
    "GradientPenalty": "snlab.normalizers.gradient_penalty",
    "RunFolder": "snlab.callbacks.run_folder",
    "UserError": "snlab.core.errors",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'snlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
