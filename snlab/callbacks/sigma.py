"""Singular values and Lipschitz constants of the discriminator, over the run."""

from __future__ import annotations

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import nn

from snlab.callbacks.measurement import Measurement, Metrics
from snlab.callbacks.probe import GRADIENT_POINTS, Probe, generate_trained
from snlab.core import names
from snlab.diagnostics.dense import dense_layers
from snlab.diagnostics.lipschitz import bounds, is_bounded, lipschitz
from snlab.diagnostics.sigma import layer_spectra, sigma, spectrum, used_weights
from snlab.nn.evaluation import evaluating
from snlab.nn.layers import estimated_sigma, weights


class Sigma(Measurement):
    """Logs ``sigma/*``, ``spectrum/*``, ``effective_rank/*``, ``lipschitz/*`` of ``module.discriminator``.

    Args:
        probe: the points at which its gradient is looked at.
        every: as for every measurement.
        bounds: whether the Lipschitz constant is bounded from both sides as well (``lipschitz.bounds``).
    """

    def __init__(self, probe: Probe, every: float = 0.01, bounds: bool = False) -> None:
        super().__init__(every)
        self.probe = probe
        self.bounds = bounds

    def logs(self, module: LightningModule) -> set[str]:
        discriminator = module.discriminator
        assert isinstance(discriminator, nn.Module)
        matrices = weights(discriminator)
        prefixes = (names.SIGMA_EXACT, names.SIGMA_RAW, names.SPECTRUM, names.EFFECTIVE_RANK)
        with evaluating(discriminator):
            estimated = [name for name, where in matrices.items() if estimated_sigma(*where) is not None]
        steepness = {names.LIPSCHITZ_GRADIENT_MEAN, names.LIPSCHITZ_GRADIENT_MAX}
        if is_bounded(discriminator):
            steepness.add(names.LIPSCHITZ_PRODUCT)
        if self.bounds:
            steepness.add(names.LIPSCHITZ_LOWER)
            if dense_layers(discriminator, self.probe.heldout) is not None:
                steepness |= {names.LIPSCHITZ_CERTIFIED, names.LIPSCHITZ_LOOSENESS}
        probe = self.probe.first(1)
        used = used_weights(discriminator, probe.heldout, probe.heldout_labels)
        norms = {f"{names.SIGMA_CONV}/{name}" for name in used}
        norms |= {f"{names.SIGMA_POWER_ITERATION}/{name}" for name in estimated}
        return steepness | norms | {f"{prefix}/{name}" for prefix in prefixes for name in matrices}

    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        discriminator = module.discriminator
        assert isinstance(discriminator, nn.Module)
        probe = self.probe.first(GRADIENT_POINTS).to(module.device)
        spectra, labels = layer_spectra(discriminator), probe.heldout_labels
        sigmas = sigma(discriminator, probe.heldout, spectra, labels)
        fake = generate_trained(module, probe.latents, labels)
        steepness = lipschitz(discriminator, probe.heldout, fake, probe.epsilon, sigmas, labels)
        if self.bounds:
            every_label = None if labels is None else labels.repeat(2)
            start = torch.cat([probe.heldout, fake])
            steepness |= bounds(discriminator, start, every_label, steepness.get(names.LIPSCHITZ_PRODUCT))
        return {**sigmas, **spectrum(discriminator, spectra), **steepness}
