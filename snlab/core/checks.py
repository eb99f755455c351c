"""Checks of the options that registered things are made with: ValueError in words that name the option."""

from __future__ import annotations

import math


def check_whole(option: str, value: object, least: int, most: int | None = None) -> None:
    """ValueError unless ``value`` is a whole number from ``least`` to ``most``.

    >>> check_whole("width", 0, least=1)
    Traceback (most recent call last):
    ...
    ValueError: width wants a whole number of at least 1, got 0
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):  # type: ignore[operator]
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{option} wants a whole number {limits}, got {value!r}")


def check_number(option: str, value: object) -> None:
    """ValueError unless ``value`` is a finite number."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number:
        raise ValueError(f"{option} wants a finite number, got {value!r}")


def check_positive(option: str, value: object, or_zero: bool = False) -> None:
    """ValueError unless ``value`` is a finite number above 0, or 0 itself where that is allowed."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < 0 or (value == 0 and not or_zero):  # type: ignore[operator]
        limits = "of at least 0" if or_zero else "above 0"
        raise ValueError(f"{option} wants a finite number {limits}, got {value!r}")


def check_flag(option: str, value: object) -> None:
    """ValueError unless ``value`` is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{option} wants true or false, got {value!r}")
