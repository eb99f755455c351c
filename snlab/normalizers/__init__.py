"""Normalizers, one file each: a file that registers a class is found by being here."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from snlab.normalizers.batch import Batch
from snlab.normalizers.normalizer import NORMALIZERS, Composition, Normalizer, normalizer

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["NORMALIZERS", "Batch", "Composition", "Normalizer", "normalizer"]
