"""The discriminators of ResNets that are given labels, each by another way to use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn

from snlab.networks.residual import (
    CONCATENATED_AFTER,
    Architecture,
    ResNetDiscriminator,
    blocks,
    glorot,
    scaled,
)
from snlab.nn.conditional import Concatenation, Projection

EMBEDDING = 128  # dimensions of the label's vector that is concatenated (Miyato et al. 2018, Table 6)


class ProjectionDiscriminator(ResNetDiscriminator):
    """Adds the features' inner product with the label's vector: images, labels (B,) -> logits (B,).

    Args:
        sample_shape, rows, width, fused: as of ``ResNetDiscriminator``.
        classes: how many classes the labels tell apart.
    """

    def __init__(
        self, sample_shape: tuple[int, ...], rows: Architecture, width: float, classes: int, *, fused: bool
    ) -> None:
        super().__init__(sample_shape, rows, width, fused=fused)
        self.projection = Projection(classes, self.dense.in_features)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        h = self.features(x)
        return self.dense(h).flatten() + cast(Tensor, self.projection(h, labels))

    def lipschitz_bound(self, norms: Mapping[str, float]) -> float:
        """As of ``ResNetDiscriminator``; the dense layer's vector and the label's add up."""
        return super().lipschitz_bound({**norms, "dense": norms["dense"] + norms["projection"]})


class ConcatenationDiscriminator(ResNetDiscriminator):
    """Gives the fourth block the label's vector beside the third's map: images, labels (B,) -> logits (B,).

    Args:
        sample_shape, rows, width, fused: as of ``ResNetDiscriminator``; the width multiplies the vector's
            dimension, too.
        classes: how many classes the labels tell apart.
    """

    def __init__(
        self, sample_shape: tuple[int, ...], rows: Architecture, width: float, classes: int, *, fused: bool
    ) -> None:
        dim = scaled(EMBEDDING, width)
        super().__init__(sample_shape, rows, width, fused=fused, beside=dim)
        self.concatenation = Concatenation(classes, dim)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        for i, block in enumerate(blocks(self), start=1):
            x = block(x)
            if i == CONCATENATED_AFTER:
                x = self.concatenation(x, labels)
        return self.dense(self.pooled(x)).flatten()


class AuxiliaryClassifier(ResNetDiscriminator):
    """Says of which class an image is, too: images -> logits (B,), class logits (B, classes).

    Args:
        sample_shape, rows, width, fused: as of ``ResNetDiscriminator``.
        classes: how many classes it tells apart.
    """

    def __init__(
        self, sample_shape: tuple[int, ...], rows: Architecture, width: float, classes: int, *, fused: bool
    ) -> None:
        super().__init__(sample_shape, rows, width, fused=fused)
        self.classifier = nn.Linear(self.dense.in_features, classes)
        glorot(self.classifier)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """``labels`` are for the loss alone: every conditional discriminator is called with them."""
        h = self.features(x)
        return self.dense(h).flatten(), self.classifier(h)


DISCRIMINATORS = {
    "projection": ProjectionDiscriminator,
    "concatenation": ConcatenationDiscriminator,
    "auxiliary_classifier": AuxiliaryClassifier,
}
