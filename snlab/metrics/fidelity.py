"""Fidelity scores from features, each by torch-fidelity's own function but the Fréchet distance."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from snlab.core import names
from snlab.metrics.extractors import Extractor, Features
from snlab.metrics.frechet import frechet_distance
from snlab.metrics.protocols import PROTOCOLS, Protocol

PAIRS_AT_ONCE = 5_000  # rows of the distance matrices held at a time: 1 GB against 50000 columns


def real_images(images: Tensor, protocol: Protocol) -> Tensor:
    """The real side: ``protocol.n_real`` of the ``images`` (N, C, H, W), or all.

    Which ones is drawn, always alike, for a data set may be sorted by label.
    """
    if len(images) <= protocol.n_real:
        return images
    drawn = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[: protocol.n_real]
    return images[drawn.to(images.device)]


def real_features(extractor: Extractor, images: Tensor, protocol: Protocol) -> Features:
    """Features of the real side of ``images``, uint8 (N, C, H, W). Compute them once a run."""
    return extractor.features(real_images(images, protocol))


def fidelity(real: Features, fake: Features, protocol: Protocol = PROTOCOLS["embedded"]) -> dict[str, float]:
    """The protocol's scores of ``fake`` against ``real``, as ``fid/EXTRACTOR`` and so on.

    - ``fid``: Fréchet distance between Gaussians (Heusel et al. 2017), lower is better. Not clipped: equal
      data give a number near 0 of either sign;
    - ``kid``: squared maximum mean discrepancy with a cubic kernel, unbiased and so at times below 0
      (Bińkowski et al. 2018), lower is better;
    - ``inception_score``: exp of the mean KL divergence of p(class | image) from p(class) (Salimans et al.
      2016), 1 to the number of classes, higher is better; the mean over the protocol's splits, of which
      ``inception_score_std`` is the standard deviation (of the splits themselves: n, not n - 1);
    - ``precision``, ``recall``: share of generated images in the real images' manifold and the reverse, by
      the third nearest neighbour (Kynkäänniemi et al. 2019), 0 to 1.

    ``real`` comes from `real_features`; of ``fake``, what is beyond the protocol's counts is left out. The
    same features give the same scores: what is drawn comes from torch-fidelity's fixed seed, and no global
    random state is touched. Features that are not finite give NaN. UserError where there are other numbers of
    images than the protocol wants; ValueError for features of two extractors.
    """
    if real.extractor != fake.extractor:
        raise ValueError(f"features of {real.extractor!r} and {fake.extractor!r} cannot be compared")
    protocol.check(len(real), len(fake))
    scores = dict.fromkeys(protocol.metrics, math.nan)
    if _finite(real) and _finite(fake):
        with np.errstate(all="ignore"):  # features near the largest float: the score is then inf or NaN
            scores = _scores(real, fake, protocol)
    return {f"{metric}/{real.extractor}": scores[metric] for metric in protocol.metrics}


def _finite(side: Features) -> bool:
    return bool(side.features.isfinite().all() and side.logits.isfinite().all())


def _scores(real: Features, fake: Features, protocol: Protocol) -> dict[str, float]:
    scores: dict[str, float] = {}
    if names.INCEPTION_SCORE in protocol.metrics:
        logits = fake.logits[: protocol.n_inception or protocol.n_fake].cpu()
        found = isc_features_to_metric(logits, splits=protocol.inception_splits)
        scores[names.INCEPTION_SCORE] = found[KEY_METRIC_ISC_MEAN]
        scores[names.INCEPTION_SCORE_STD] = found[KEY_METRIC_ISC_STD]
    fake = fake[: protocol.n_fake]
    if names.FID in protocol.metrics:
        scores[names.FID] = _frechet(real, fake)
    if names.KID in protocol.metrics:
        found = kid_features_to_metric(
            fake.features,
            real.features,
            kid_subsets=protocol.kid_subsets,
            kid_subset_size=min(protocol.kid_subset_size, len(real), len(fake)),
            verbose=False,
        )
        scores[names.KID] = found[KEY_METRIC_KID_MEAN]
    if names.PRECISION in protocol.metrics or names.RECALL in protocol.metrics:
        found = prc_features_to_metric(
            fake.features, real.features, save_cpu_ram=True, prc_batch_size=PAIRS_AT_ONCE, verbose=False
        )
        scores[names.PRECISION] = found[KEY_METRIC_PRECISION]
        scores[names.RECALL] = found[KEY_METRIC_RECALL]
    return scores


def _frechet(real: Features, fake: Features) -> float:
    try:
        return frechet_distance(real.moments, fake.moments)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return math.nan
