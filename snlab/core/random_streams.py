"""Named random streams, each with a generator of its own, saved with the module that holds them.

Streams are independent of one another: drawing more latents leaves the data's order as it was, so runs that
share a seed can be compared in pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from snlab.core.errors import UserError


def stream_seed(seed: int, name: str) -> int:
    """The seed of the stream ``name``: 63 bits of a hash, so that neighbouring seeds share nothing."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8]) >> 1


@contextmanager
def seeded(seed: int, name: str) -> Iterator[None]:
    """Torch's global CPU stream seeded for ``name`` inside and as it was outside: for initialisers."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_seed(seed, name))
        yield


class Streams(nn.Module):
    """Generators by name, on the device of the module that holds them.

    >>> streams = Streams(0, "data", "latents")
    >>> torch.equal(torch.rand(2, generator=streams["data"]), torch.rand(2, generator=streams["latents"]))
    False
    """

    def __init__(self, seed: int, *names: str) -> None:
        super().__init__()
        self.seed = seed
        self._generators = {name: self._start(name, torch.device("cpu")) for name in names}

    def _start(self, name: str, device: torch.device) -> torch.Generator:
        return torch.Generator(device).manual_seed(stream_seed(self.seed, name))

    def __getitem__(self, name: str) -> torch.Generator:
        return self._generators[name]

    def place(self, device: torch.device) -> None:
        """Start every stream on ``device``, unless it is there: a generator serves one device only."""
        for name, generator in self._generators.items():
            if generator.device.type != device.type:
                self._generators[name] = self._start(name, device)

    # torch.nn.Module saves and restores these two with the state dict.

    def get_extra_state(self) -> dict[str, Any]:
        return {name: generator.get_state() for name, generator in self._generators.items()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        for name, generator in self._generators.items():
            try:
                generator.set_state(state[name].cpu())
            except (KeyError, RuntimeError) as error:
                raise UserError(
                    f"the checkpoint's random stream {name!r} does not fit a {generator.device.type} device; "
                    "a run goes on where it was started"
                ) from error
