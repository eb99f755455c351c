"""The normalizers that tests run over: every registered one, and the options that make another of one."""

from __future__ import annotations

from snlab.normalizers import NORMALIZERS

VARIANTS = [
    "spectral_norm(gain=true)",
    "spectral_norm(exact=true)",
    "spectral_norm(of=convolution)",
    "spectral_norm(bidirectional=true, scale=1.4)",
    "frobenius_norm(gain=true)",
    "weight_norm(gain=true)",
    "weight_norm(gain=layer)",
]
ALL = [*NORMALIZERS.names(), *VARIANTS]
