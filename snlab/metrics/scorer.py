"""Scores of a generator by a protocol: the one way in which runs and `snlab evaluate` compute them."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from snlab.core.cached import cached
from snlab.core.distributed import by_units, on_all_ranks, world_size
from snlab.core.folders import cache_folder
from snlab.core.machine import machine
from snlab.metrics.extractors import Extractor, Features
from snlab.metrics.fidelity import fidelity, real_images
from snlab.metrics.frechet import Moments
from snlab.metrics.protocols import Protocol

UNIT = 1000  # images at a time on the device; a multiple of extractors' batches, so that these stay the same
HASHED = 1000  # images at a time, of those that may be mapped to memory
VERSION = 1  # of the cached statistics: raise it where the same images would give others
WAIT = 24 * 3600.0  # seconds to wait for another that computes the same: on a CPU Inception takes hours

Generate = Callable[[Tensor, Tensor | None], Tensor]
Done = Callable[[float], None]

log = logging.getLogger(__name__)


class Scorer:
    """Scores generators against the real images of one data set.

    The same latents give the same scores, to the last digit, however many ranks share the work: of several,
    each generates and looks at some of the images, and rank 0 scores them.

    Args:
        extractor: what looks at the images.
        protocol: which scores, from how many images.
        images: real training images, uint8 (N, C, H, W); the protocol says how many are used.
        cache: the folder in which statistics of real images are kept, else ``statistics`` in `cache_folder`.

    Raises:
        UserError: there are fewer real images than the protocol wants.
    """

    def __init__(
        self, extractor: Extractor, protocol: Protocol, images: Tensor, cache: Path | None = None
    ) -> None:
        protocol.check(min(len(images), protocol.n_real), protocol.n_generated)
        self.extractor = extractor
        self.protocol = protocol
        self.images = images
        self.cache = cache
        self._real: Features | None = None

    @property
    def n_real(self) -> int:
        """How many real images are compared with."""
        return min(len(self.images), self.protocol.n_real)

    def scores(
        self,
        generate: Generate,
        latents: Tensor,
        labels: Tensor | None = None,
        device: torch.device | str = "cpu",
        done: Done = lambda _: None,
    ) -> dict[str, float]:
        """The protocol's scores by name, as `fidelity` gives them; nothing on ranks other than 0.

        Args:
            generate: makes uint8 images (n, C, H, W) of latents (n, latent_dim) and labels (n,) or None.
            latents: (n, latent_dim), as many as the protocol generates, the same on all ranks.
            labels: of the generated images, int64 (n,), where the generator is given them.
            device: where ``generate`` runs, and the extractor.
            done: told how many images more this rank has looked at.
        """
        device = torch.device(device)
        real = on_all_ranks(lambda: self.real(device, done) if _first() else None)

        def features(rows: slice) -> tuple[Tensor, Tensor]:
            of_rows = None if labels is None else labels[rows].to(device)
            found = self.extractor.features(generate(latents[rows].to(device), of_rows))
            done(rows.stop - rows.start)
            return found.features, found.logits

        of_all, logits = by_units(len(latents), UNIT, features)
        fake = Features(of_all, logits, self.extractor.name)
        return {} if real is None else fidelity(real, fake, self.protocol)

    def real(self, device: torch.device, done: Done = lambda _: None) -> Features:
        """Features of the real images, without logits, and their moments: computed once, by this rank alone.

        They are cached by all that they depend on: the images themselves, byte for byte and in order, the
        extractor's weights, and the machine, as far as it decides how sums round.
        """
        if self._real is None:
            images = real_images(self.images, self.protocol)
            folder = Path(self.cache or cache_folder() / "statistics")
            path = folder / f"{self.extractor.name}-{len(images)}-{self._key(images, device)}.pt"
            stored = cached(path, lambda: self._computed(images, device, done), WAIT)
            found = torch.load(io.BytesIO(stored), map_location=device, weights_only=True)
            features: Tensor = found["features"]
            moments = Moments(found["mean"], found["covariance"], len(features))
            self._real = Features(features, features[:, :0], self.extractor.name, moments)
        return self._real

    def _computed(self, images: Tensor, device: torch.device, done: Done) -> bytes:
        parts = []
        for part in images.split(UNIT):
            parts.append(self.extractor.features(part.to(device)).features)
            done(len(part))
        features = torch.cat(parts)
        moments = Moments.of(features)
        log.info("computed %s features of %d real images", self.extractor.name, len(features))
        file = io.BytesIO()
        torch.save({"features": features, "mean": moments.mean, "covariance": moments.covariance}, file)
        return file.getvalue()

    def _key(self, images: Tensor, device: torch.device) -> str:
        depends: list[Any] = [VERSION, self.extractor.name, self.extractor.digest, list(images.shape)]
        depends += [torch.__version__, machine(device), torch.backends.cpu.get_cpu_capability()]
        digest = hashlib.sha256(json.dumps(depends).encode())
        for part in images.split(HASHED):
            digest.update(part.cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16]


def _first() -> bool:
    """Whether this rank is the one that scores."""
    return world_size() == 1 or dist.get_rank() == 0
