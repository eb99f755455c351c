"""Feature extractors: what turns images into the vectors that fidelity scores compare.

A score compares only with scores from the same extractor: so an extractor's name ends the score's name, and
the digest of its weights is kept with the run.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from snlab.core.errors import UserError
from snlab.metrics.frechet import Moments

INCEPTION = "inception-v3-compat"  # torch-fidelity's name: InceptionV3 as in the published TensorFlow graph

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Features:
    """What an extractor sees in n images: ``features`` (n, d) and ``logits`` (n, k), float32.

    ``known``: the moments of the features, where they have been computed before.
    """

    features: Tensor
    logits: Tensor
    extractor: str
    known: Moments | None = None

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, part: slice) -> Features:
        return Features(self.features[part], self.logits[part], self.extractor)

    @cached_property
    def moments(self) -> Moments:
        """Mean (d,) and covariance (d, d), computed once: of the real side, once a run."""
        return Moments.of(self.features) if self.known is None else self.known


class Extractor:
    """A frozen network of torch-fidelity's with a name and the sha256 of its weights.

    ``load`` gives that digest and the network, when either is first asked for: training one takes seconds.
    The network answers two layers: that of the Fréchet distance, then that of the inception score.
    ``colour``: it takes three channels only. ``published``: its weights are a file that the user has to have,
    and `check` looks for.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], tuple[str, FeatureExtractorBase]],
        batch_size: int,
        colour: bool = False,
        published: bool = False,
    ) -> None:
        self.name = name
        self.load = load
        self.batch_size = batch_size
        self.colour = colour
        self.published = published

    @cached_property
    def _loaded(self) -> tuple[str, FeatureExtractorBase]:
        digest, module = self.load()
        return digest, module.eval().requires_grad_(False)

    def check(self) -> None:
        """UserError where published weights are missing or are something else. Nothing is trained for it."""
        if self.published:
            _ = self._loaded

    @property
    def digest(self) -> str:
        """The sha256 of the weights."""
        return self._loaded[0]

    @property
    def module(self) -> FeatureExtractorBase:
        """The network."""
        return self._loaded[1]

    @torch.no_grad()
    def features(self, images: Tensor) -> Features:
        """Features of ``images`` (n, C, H, W), uint8, on their device; without gradient, nothing is changed.

        Grey images (C = 1) are repeated to three channels where the network takes colour only. ValueError for
        other than uint8 images.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or not len(images):
            raise ValueError(f"uint8 images (n, C, H, W) wanted, not {images.dtype} {tuple(images.shape)}")
        if self.colour and images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        self.module.to(images.device)
        batches = [self.module(batch.contiguous()) for batch in images.split(self.batch_size)]
        features, logits = (torch.cat(layer) for layer in zip(*batches, strict=True))  # (n, d), (n, k)
        return Features(features, logits, self.name)


# ---- Inception -------------------------------------------------------------------------------------------


def inception_weights_path() -> Path:
    """Where torch-fidelity keeps the published Inception weights: torch.hub's folder of checkpoints."""
    return Path(torch.hub.get_dir()) / "checkpoints" / URL_INCEPTION_V3.rsplit("/", 1)[1]


def inception_extractor(weights: str | Path | None = None) -> Extractor:
    """torch-fidelity's InceptionV3: 2048 features, 1008 logits without bias.

    ``weights``: a file that holds them, instead of torch-fidelity's own cache. Nothing is ever downloaded.
    The file is read when the extractor is first used, or by its `check`: UserError where it is missing or is
    something else. Weights other than the published ones are used, with a warning, since scores from them
    compare with nobody else's.
    """
    path = Path(weights) if weights is not None else inception_weights_path()
    return Extractor(INCEPTION, lambda: _inception(path), batch_size=50, colour=True, published=True)


def _inception(path: Path) -> tuple[str, FeatureExtractorInceptionV3]:
    """The digest of the weights at ``path``, and the network that has them."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"no Inception weights at {path} ({error.strerror}): download {URL_INCEPTION_V3} to there, "
            f"or say where they are (inception_weights); embedded features need none"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    try:
        torch.load(io.BytesIO(data), weights_only=True)  # torch-fidelity itself would run code from the file
        # Its constructor draws initial weights before it reads the file's: from a copy of the random state.
        with torch.random.fork_rng(devices=[]):
            module = FeatureExtractorInceptionV3(
                INCEPTION, ["2048", "logits_unbiased"], feature_extractor_weights_path=io.BytesIO(data)
            )
    except Exception as error:  # unpickling and load_state_dict raise nearly anything
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path} does not hold torch-fidelity's Inception weights ({reason}...): "
            f"download {URL_INCEPTION_V3} again"
        ) from error
    if not digest.startswith(published := path_digest(URL_INCEPTION_V3)):
        log.warning(
            "%s: not the published Inception weights (sha256 %s..., not %s...)", path, digest[:8], published
        )
    return digest, module


def path_digest(url: str) -> str:
    """The start of the sha256 that ends a published file's name, as torch.hub has it.

    >>> path_digest("https://example.org/weights-2015-12-05-6726825d.pth")
    '6726825d'
    """
    return url.rsplit("-", 1)[1].removesuffix(".pth")
