"""Timing contenders against each other on a machine that others may be using."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import torch

from snlab.core.machine import processor

CPU = torch.device("cpu")
VERSIONS = ("snlab", "torch", "pytorch-lightning", "numpy", "wandb")


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """The collector runs before and not inside."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def seconds(function: Callable[[], object], device: torch.device = CPU) -> float:
    """Until ``device`` has done what the function asks of it."""
    wait_for(device)
    start = time.perf_counter()
    function()
    wait_for(device)
    return time.perf_counter() - start


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_turn(
    contenders: Mapping[str, Callable[[], None]], rounds: int, device: torch.device = CPU, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of every contender in every round; each round runs all, in alternating order.

    What a neighbour takes falls on contenders that stand side by side alike, so ratios within a round are
    what to look at. The rounds of the warm-up are not counted.
    """
    names = list(contenders)
    timings: dict[str, list[float]] = {name: [] for name in names}
    with no_garbage_collection():
        for i in range(warm_up + rounds):
            for name in names if i % 2 == 0 else reversed(names):
                taken = seconds(contenders[name], device)
                if i >= warm_up:
                    timings[name].append(taken)
            gc.collect()
            told = f"warm-up {i + 1}/{warm_up}" if i < warm_up else f"round {i + 1 - warm_up}/{rounds}"
            print(told, file=sys.stderr, flush=True)
    return timings


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def machine(device: torch.device = CPU) -> dict[str, Any]:
    """Where this runs, and how busy it is."""
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    return gpu | {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "load_average": list(os.getloadavg()),
    }


def versions() -> dict[str, str]:
    return {name: version(name) for name in VERSIONS} | {"python": platform.python_version()}
