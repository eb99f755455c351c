"""The density ratio that the discriminator estimates, over the run."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn

from snlab.callbacks.measurement import Measurement, Metrics
from snlab.callbacks.probe import Probe, generate_trained
from snlab.core import names
from snlab.core.distributed import alone
from snlab.data import Density
from snlab.diagnostics.ratio import ratio
from snlab.losses import Loss
from snlab.nn.conditional import judge
from snlab.nn.evaluation import evaluating


class Ratio(Measurement):
    """Logs ``ratio/*`` of ``module.discriminator`` on the probe, with fresh fakes from its latents.

    Where ``module.loss`` is a ``Loss``, also what its discriminator's side is on the same fakes and on the
    probe's training reals, ``loss/discriminator_train``, or its held-out ones, ``loss/discriminator_heldout``
    (Miyato et al. 2018, Figure 15): neither has a penalty, or the loss of an auxiliary classifier.

    ``ratio/true_*`` are logged where both densities are known: the data's here, and the generator's where it
    has ``log_density``.

    Args:
        probe: the points.
        density: of the data, where it is known.
        every: as for every measurement.
    """

    def __init__(self, probe: Probe, density: Density | None = None, every: float = 0.01) -> None:
        super().__init__(every)
        self.probe = probe
        self.density = density
        self.previous: Tensor | None = None  # logits on the held-out probe, last time

    def logs(self, module: LightningModule) -> set[str]:
        exact = self.density is not None and hasattr(module.generator, "log_density")
        measured = names.RATIOS + (names.TRUE_RATIOS if exact else ())
        plain = {f"{names.RATIO}/{name}" for name in measured}
        calibrated = {f"{names.RATIO}/{names.CALIBRATED}/{name}" for name in measured}
        losses = {names.LOSS_TRAIN, names.LOSS_HELDOUT} if isinstance(_loss(module), Loss) else set()
        return plain | calibrated | losses

    @torch.no_grad()
    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        discriminator, generator = module.discriminator, module.generator
        assert isinstance(discriminator, nn.Module)
        probe = self.probe.to(module.device)
        labels = probe.heldout_labels
        fake = generate_trained(module, probe.latents, labels)
        points = ((probe.train, probe.train_labels), (probe.heldout, labels), (fake, labels))
        with evaluating(discriminator):
            train, heldout, fakes = (judge(discriminator, x, y)[0] for x, y in points)
        true_heldout = true_fake = None
        if self.density is not None and hasattr(generator, "log_density"):
            true_heldout, true_fake = (
                self.density.log_prob(x.double()) - generator.log_density(x)  # type: ignore[operator]
                for x in (probe.heldout, fake)
            )
        previous = None if self.previous is None else self.previous.to(heldout.device)
        self.previous = heldout.cpu()
        return {
            **ratio(train, heldout, fakes, previous, true_heldout, true_fake),
            **losses(_loss(module), train, heldout, fakes),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"previous": self.previous}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.previous = state_dict["previous"]


def losses(loss: object, train: Tensor, heldout: Tensor, fake: Tensor) -> dict[str, float]:
    """The discriminator's loss on training and on held-out reals, by logged name; nothing without a ``Loss``.

    Args:
        loss: the adversarial loss.
        train: logits of training reals, (n_train,).
        heldout: logits of held-out reals, (n_heldout,).
        fake: logits of generated samples, (n_fake,). Of two numbers of samples the larger is cut.
    """
    if not isinstance(loss, Loss):
        return {}
    n = min(len(train), len(heldout), len(fake))
    fake = _double(fake[:n])
    reals = {names.LOSS_TRAIN: train[:n], names.LOSS_HELDOUT: heldout[:n]}
    with alone():  # the other processes do not measure
        return {name: float(loss.discriminator(_double(real), fake)) for name, real in reals.items()}


def _double(logits: Tensor) -> Tensor:
    """As float64 on the CPU, as some devices have none."""
    return logits.cpu().double()


def _loss(module: LightningModule) -> object:
    return getattr(module, "loss", None)
