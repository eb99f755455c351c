"""The density ratio that the discriminator estimates, over the run."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn

from snlab.callbacks.measurement import Measurement, Metrics
from snlab.callbacks.probe import GRADIENT_POINTS, Probe, generate_trained
from snlab.core import names
from snlab.core.distributed import alone
from snlab.data import Density
from snlab.diagnostics.gradient import generator_gradients, logit_gradients
from snlab.diagnostics.ratio import ratio
from snlab.diagnostics.stability import WINDOW, stability
from snlab.losses import Loss
from snlab.nn.conditional import judge
from snlab.nn.evaluation import evaluating


class Ratio(Measurement):
    """Logs ``ratio/*`` of ``module.discriminator`` on the probe, with fresh fakes from its latents.

    Where ``module.loss`` is a ``Loss``, also what its discriminator's side is on the same fakes and on the
    probe's training reals, ``loss/discriminator_train``, or its held-out ones, ``loss/discriminator_heldout``
    (Miyato et al. 2018, Figure 15): neither has a penalty, or the loss of an auxiliary classifier.

    How steady the discriminator is over its last measurements (``stability``), from the second on, and the
    gradient that it leaves to the generator (``generator_gradients``).

    ``ratio/true_*`` are logged where both densities are known: the data's here, and the generator's where it
    has ``log_density``. Gradients are then taken at all fakes, else at the first 64.

    Args:
        probe: the points.
        density: of the data, where it is known.
        every: as for every measurement.
    """

    def __init__(self, probe: Probe, density: Density | None = None, every: float = 0.01) -> None:
        super().__init__(every)
        self.probe = probe
        self.density = density
        self.previous: Tensor | None = None  # logits on the held-out probe, the last times, (k, n)

    def logs(self, module: LightningModule) -> set[str]:
        measured = names.RATIOS + (names.TRUE_RATIOS if self._exact(module) else ())
        uncalibrated = (*measured, *names.STABILITY, *names.GENERATOR_GRADIENTS)
        plain = {f"{names.RATIO}/{name}" for name in uncalibrated}
        calibrated = {f"{names.RATIO}/{names.CALIBRATED}/{name}" for name in measured}
        losses = {names.LOSS_TRAIN, names.LOSS_HELDOUT} if isinstance(_loss(module), Loss) else set()
        return plain | calibrated | losses

    @torch.no_grad()
    def measure(self, trainer: Trainer, module: LightningModule) -> Metrics:
        discriminator = module.discriminator
        assert isinstance(discriminator, nn.Module)
        probe = self.probe.to(module.device)
        labels = probe.heldout_labels
        fake = generate_trained(module, probe.latents, labels)
        exact = self._exact(module)
        steep = slice(None if exact else GRADIENT_POINTS)
        f, gradient = logit_gradients(discriminator, fake[steep], None if labels is None else labels[steep])
        with evaluating(discriminator):
            train = judge(discriminator, probe.train, probe.train_labels)[0]
            heldout = judge(discriminator, probe.heldout, labels)[0]
            fakes = f if exact else judge(discriminator, fake, labels)[0]
        true: dict[str, Tensor] = {}
        if exact:
            true["true_heldout"], _ = self._truth(module, probe.heldout)
            true["true_fake"], of_truth = self._truth(module, fake, differentiated=True)
            if of_truth is not None:
                true |= {"fake_gradient": gradient, "true_fake_gradient": of_truth}
        previous = None if self.previous is None else self.previous[-1]
        now = heldout.cpu()[None]
        self.previous = now if self.previous is None else torch.cat([self.previous, now])[-WINDOW:]
        return {
            **ratio(train, heldout, fakes, previous, **true),
            **(stability(self.previous) if previous is not None else {}),
            **generator_gradients(f, gradient),
            **losses(_loss(module), train, heldout, fakes),
        }

    def _exact(self, module: LightningModule) -> bool:
        return self.density is not None and hasattr(module.generator, "log_density")

    def _truth(
        self, module: LightningModule, x: Tensor, differentiated: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """log q_data - log p_G at x, (n,), and its gradient, where wanted and both densities have one."""
        assert self.density is not None
        with torch.inference_mode(False), torch.set_grad_enabled(differentiated):
            x = x.detach().clone().requires_grad_(differentiated)
            q, p = self.density.log_prob(x.double()), module.generator.log_density(x)  # type: ignore
            true = q - p
            if not (q.requires_grad and p.requires_grad):
                return true.detach(), None
            return true.detach(), torch.autograd.grad(true.sum(), x)[0]

    def state_dict(self) -> dict[str, Any]:
        return {"previous": self.previous}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        previous = state_dict["previous"]
        self.previous = None if previous is None else torch.atleast_2d(previous)  # once the last one alone


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
