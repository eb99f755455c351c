"""Embedded extractors: a small classifier of a data set's own labels, where no published network is at hand.

Trained the first time, in seconds and deterministically, then read from the user's cache folder.
torch-fidelity knows it by name: ``calculate_metrics(..., feature_extractor="embedded-digits", cache=False)``
gives the scores of `snlab.metrics.fidelity`. (Its own cache goes by the name alone, whatever the weights.)
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import logging
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_fidelity import register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from snlab.core.cached import cached
from snlab.core.folders import cache_folder
from snlab.metrics.classifier import (
    Classifier,
    accuracy,
    classifier_for,
    every,
    on_one_cpu_thread,
    recipe_for,
    train_classifier,
)
from snlab.metrics.extractors import Extractor

HASHED = 1000  # images at a time: of those that are mapped to memory no more than these are copied
WAIT = 600.0  # seconds to wait for another process that trains the same classifier

log = logging.getLogger(__name__)


def embedded_extractor(
    name: str,
    images: Tensor,
    labels: Tensor,
    classes: int,
    heldout_images: Tensor,
    heldout_labels: Tensor,
    cache: Path | None = None,
) -> Extractor:
    """The extractor ``embedded-NAME`` of a data set: 64 features, one logit a class.

    ``images`` (N, C, H, W) uint8 with ``labels`` (N,), integers below ``classes``, are what it is trained on;
    the held-out ones only tell its accuracy, in the log. ``cache``: the folder of cached weights, else
    `cache_folder`. ValueError for images or labels of another kind.

    It is trained, or read, when the extractor is first used, and nothing is read of the images before: they
    may be mapped to memory, and are never copied as a whole. Of two processes that want it, one trains and
    the other waits. A cached file that is not what was written is trained again; where nothing can be
    written, it is kept in memory; the log says so.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or not len(images) or labels.shape != images.shape[:1]:
        raise ValueError(
            f"uint8 images (N, C, H, W) and labels (N,) wanted, not {images.dtype} {tuple(images.shape)} "
            f"and {tuple(labels.shape)}"
        )
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= classes:
        raise ValueError(f"labels must be 0 to {classes - 1}, not {lowest} to {highest}")
    name = f"embedded-{name}"

    def train() -> bytes:
        start = time.perf_counter()
        classifier = train_classifier(images.cpu(), labels.cpu().long(), classes)
        took = time.perf_counter() - start
        right = accuracy(classifier, heldout_images.cpu(), heldout_labels.cpu())
        log.info("trained %s in %.1f s, held-out accuracy %.3f", name, took, right)
        file = io.BytesIO()
        torch.save(classifier.state_dict(), file)
        return file.getvalue()

    def load() -> tuple[str, FeatureExtractorBase]:
        path = Path(cache or cache_folder()) / f"{name}-{_key(images, labels, classes)}.pt"
        weights = cached(path, train, WAIT)
        with on_one_cpu_thread():
            classifier = classifier_for(images, classes)
            classifier.load_state_dict(torch.load(io.BytesIO(weights), weights_only=True))
        _CLASSIFIERS[name] = classifier
        if name not in FEATURE_EXTRACTORS_REGISTRY:  # registering twice raises
            register_feature_extractor(name, EmbeddedFeatures)
        module = EmbeddedFeatures(name, list(EmbeddedFeatures.get_provided_features_list()))
        return hashlib.sha256(weights).hexdigest(), module

    return Extractor(name, load, batch_size=250)


# ---- for torch-fidelity ---------------------------------------------------------------------------------

_CLASSIFIERS: dict[str, Classifier] = {}  # by extractor name: torch-fidelity makes extractors from that alone


class EmbeddedFeatures(FeatureExtractorBase):
    """The classifier that `embedded_extractor` made last under this name, as torch-fidelity wants it."""

    def __init__(self, name: str, features_list: list[str], **options: Any) -> None:
        super().__init__(name, features_list)
        self.classifier = copy.deepcopy(_CLASSIFIERS[name])

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """uint8 images (n, C, H, W) to the layers of ``features_list``, in its order."""
        layers = dict(zip(self.get_provided_features_list(), self.classifier(images), strict=True))
        return tuple(layers[layer] for layer in self.features_list)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return "features", "logits"

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "logits" if metric == "isc" else "features"

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> None:
        return None


# ---- the cache ------------------------------------------------------------------------------------------


def _key(images: Tensor, labels: Tensor, classes: int) -> str:
    """The hash of all that the weights depend on: other data or another recipe is another file."""
    digest = hashlib.sha256(json.dumps([recipe_for(images), images.shape, classes]).encode())
    step = every(len(images))
    for part in images[::step].split(HASHED):
        digest.update(part.cpu().contiguous().numpy().data)
    digest.update(labels[::step].cpu().long().contiguous().numpy().data)
    return digest.hexdigest()[:16]
