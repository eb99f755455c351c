"""The GAN as a LightningModule. One training step is one generator update, and Algorithm 1 on one screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim.lr_scheduler import LambdaLR

from snlab.core import names
from snlab.core.distributed import all_gather, shard, world_size
from snlab.core.errors import UserError
from snlab.core.random_streams import Streams
from snlab.data import DataSet
from snlab.losses import Loss
from snlab.nn.conditional import given, judge
from snlab.nn.evaluation import evaluating, frozen
from snlab.nn.moving_average import MovingAverage
from snlab.normalizers import Batch, Normalizer

LOSSES = (names.LOSS_DISCRIMINATOR, names.LOSS_PENALTY, names.LOSS_GENERATOR)


@dataclass
class Adam:
    """Adam's options; the defaults are setting C of Table 1, with its n_dis of 1.

    Args:
        lr: learning rate α.
        beta1: decay of the gradient's mean.
        beta2: decay of the squared gradient's mean.
    """

    lr: float = 0.0002
    beta1: float = 0.5
    beta2: float = 0.999

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise UserError(f"Adam's lr is {self.lr}; it must be above 0")
        for name, value in (("beta1", self.beta1), ("beta2", self.beta2)):
            if not 0 <= value < 1:
                raise UserError(f"Adam's {name} is {value}; it must be at least 0 and below 1")

    def optimizer(self, module: nn.Module) -> torch.optim.Adam:
        betas = (float(self.beta1), float(self.beta2))  # torch refuses an int beside a float
        group = {"params": list(module.parameters())}  # as a group there may be none: a fixed generator's
        return torch.optim.Adam([group], lr=self.lr, betas=betas)


class GAN(LightningModule):
    """A generator and a discriminator, trained in turn.

    Its unit of time is the generator update: with the generator's optimizer alone wrapped by Lightning,
    ``trainer.global_step`` counts exactly those.

    Args:
        generator: maps latents (batch, latent_dim) to samples (batch, *sample_shape).
        discriminator: maps samples to logits (batch,); the normalizer is attached here.
        normalizer: what controls the discriminator.
        loss: the adversarial loss.
        latent_dim: dimension of the standard normal latents.
        seed: of the streams ``data``, ``latents`` and ``penalty``.
        n_dis: discriminator updates a generator update.
        batch_size: real samples, and generated ones, in a discriminator update, of all devices together.
        generator_batch_size: generated samples in a generator update; batch_size if None.
        adam: options of both optimizers.
        generator_adam: options of the generator's, where they differ.
        decay_from: generator step from which both learning rates fall linearly, to 0 at the last step.
        ema_decay: decay of the exponential moving average of the generator, which is then what is scored.
        classes: how many classes the labels tell apart that both networks are given; 0 for none given.
        class_weights: of an auxiliary classifier's cross entropy, on real samples in the discriminator's
            loss and on generated ones in the generator's.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        normalizer: Normalizer,
        loss: Loss,
        latent_dim: int,
        *,
        seed: int = 0,
        n_dis: int = 1,
        batch_size: int = 64,
        generator_batch_size: int | None = None,
        adam: Adam | None = None,
        generator_adam: Adam | None = None,
        decay_from: int | None = None,
        ema_decay: float | None = None,
        classes: int = 0,
        class_weights: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        super().__init__()
        for name, count in (("n_dis", n_dis), ("batch_size", batch_size), ("latent_dim", latent_dim)):
            if count < 1:
                raise UserError(f"{name} is {count}; at least 1 is needed")
        if generator_batch_size is not None and generator_batch_size < 1:
            raise UserError(f"generator_batch_size is {generator_batch_size}; at least 1 is needed")
        if decay_from is not None and decay_from < 0:
            raise UserError(f"decay_from is {decay_from}; a generator step, 0 or more, is needed")
        if ema_decay is not None and not 0 <= ema_decay < 1:
            raise UserError(f"ema_decay is {ema_decay}; it must be at least 0 and below 1")
        self.automatic_optimization = False
        self.generator = generator
        self.discriminator = normalizer.attach(discriminator)
        self.normalizer = normalizer
        self.loss = loss
        self.latent_dim = latent_dim
        self.classes = classes
        self.class_weights = class_weights
        self.n_dis = n_dis
        self.batch_size = batch_size
        self.generator_batch_size = generator_batch_size or batch_size
        self.adam = adam or Adam()
        self.generator_adam = generator_adam or self.adam
        self.decay_from = decay_from
        self.ema = MovingAverage(generator, ema_decay) if ema_decay is not None else None
        self.streams = Streams(seed, "data", "latents", "penalty")
        # Sums since the last log of LOSSES, and the steps summed: on the device, so that no step waits. Each
        # rank has its shard's, so this is no buffer: those are the same on all ranks.
        self.loss_totals = torch.zeros(len(LOSSES) + 1)

    # ---- one generator update (Algorithm 1) -------------------------------------------------------------

    def training_step(self, data: DataSet, batch_index: int) -> None:
        generator_optimizer, discriminator_optimizer = cast(list[LightningOptimizer], self.optimizers())
        of_discriminator, of_generator = self.class_weights
        for _ in range(self.n_dis):
            real, labels = self.real(data, self.batch_size)  # (batch, *sample_shape), (batch,) or None
            with torch.no_grad():
                fake = given(self.generator, shard(self.latents(self.batch_size)), labels)  # as real
            self.normalizer.before_update(self.discriminator)
            with parametrize.cached():  # each weight is normalised once an update
                real_logits, class_loss = judge(self.discriminator, real, labels)  # (batch,), ()
                fake_logits, _ = judge(self.discriminator, fake, labels)
                loss = self.loss.discriminator(real_logits, fake_logits) + of_discriminator * class_loss
                batch = Batch(real, fake, labels, real_logits, fake_logits, self.streams["penalty"])
                penalty = self.normalizer.penalty(self.discriminator, batch)
            discriminator_optimizer.zero_grad()
            self.manual_backward(loss + penalty)
            discriminator_optimizer.optimizer.step()  # unwrapped: Lightning counts what it wraps
            self.normalizer.after_update(self.discriminator)
            self.loss_totals[:2] += torch.stack((loss, penalty)).detach() / self.n_dis

        with frozen(self.discriminator):
            beside, labels = self.beside_generated(data)  # each (batch,) or None
            fake = given(self.generator, shard(self.latents(self.generator_batch_size)), labels)
            fake_logits, class_loss = judge(self.discriminator, fake, labels)
            loss = self.loss.generator(fake_logits, beside) + of_generator * class_loss
            generator_optimizer.zero_grad()
            if loss.requires_grad:  # a fixed generator has nothing to learn
                self.manual_backward(loss)
        generator_optimizer.step()
        self.loss_totals[2] += loss.detach()
        self.loss_totals[3] += 1

        if self.ema is not None:
            self.ema.update(self.generator)
        for scheduler in cast(list[LambdaLR], self.lr_schedulers()):
            scheduler.step()

    # ---- samples ----------------------------------------------------------------------------------------

    def real(self, data: DataSet, n: int) -> tuple[Tensor, Tensor | None]:
        """This rank's shard of n real samples from the stream ``data``, and its labels if they are given."""
        samples, labels = data.sample(n, self.streams["data"])
        return shard(samples), shard(labels) if self.classes and labels is not None else None

    def beside_generated(self, data: DataSet) -> tuple[Tensor | None, Tensor | None]:
        """For a generator update: real logits, if the loss is relativistic, and labels, if they are given."""
        if not (self.classes or self.loss.relativistic):
            return None, None
        real, labels = self.real(data, self.generator_batch_size)
        with torch.no_grad():
            logits = judge(self.discriminator, real, labels)[0] if self.loss.relativistic else None
        return logits, labels

    def latents(self, n: int) -> Tensor:
        """Standard normal latents, (n, latent_dim), from the stream ``latents``."""
        return torch.randn(n, self.latent_dim, generator=self.streams["latents"], device=self.device)

    @property
    def scored_generator(self) -> nn.Module:
        """The generator whose samples are scored: the moving average, if there is one."""
        return self.generator if self.ema is None else self.ema.module

    @torch.no_grad()
    def generate(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples as they are scored, (n, *sample_shape): running batch statistics, moving average if any."""
        with evaluating(self.scored_generator):
            return given(self.scored_generator, latents, labels)

    # ---- what Lightning asks for ------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        check_precision(self.trainer.precision)
        self.check_sharding(self.trainer.world_size)
        device = self.trainer.strategy.root_device
        self.streams.place(device)
        self.loss_totals = self.loss_totals.to(device)

    def check_sharding(self, devices: int) -> None:
        """UserError where a batch cannot be sharded evenly over so many devices."""
        for name in ("batch_size", "generator_batch_size"):
            if getattr(self, name) % devices:
                raise UserError(
                    f"{name} is {getattr(self, name)}; {devices} devices want a multiple of {devices}"
                )

    def configure_optimizers(self) -> Any:
        optimizers = [self.generator_adam.optimizer(self.generator), self.adam.optimizer(self.discriminator)]
        schedulers = [LambdaLR(optimizer, self._learning_rate_factor) for optimizer in optimizers]
        return optimizers, [{"scheduler": scheduler, "interval": "step"} for scheduler in schedulers]

    def _learning_rate_factor(self, generator_step: int) -> float:
        total = self.trainer.max_steps
        if self.decay_from is None or generator_step <= self.decay_from:
            return 1.0
        return max(0.0, (total - generator_step) / (total - self.decay_from))

    def mean_losses(self) -> dict[str, float]:
        """Means of the losses since the last call, by logged name; waits for every process and its device."""
        *sums, steps = self._totals_of_all().mean(0).tolist()
        self.loss_totals.zero_()
        return {name: total / max(steps, 1) for name, total in zip(LOSSES, sums, strict=True)}

    def _totals_of_all(self) -> Tensor:
        """Every rank's loss totals, (ranks, losses + 1)."""
        return all_gather(self.loss_totals[None], world_size())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["loss_totals"] = self._totals_of_all()
        checkpoint["normalizer"] = self.normalizer.state_dict()
        checkpoint["classes"] = self.classes

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        classes = checkpoint.get("classes", self.classes)
        if classes != self.classes:
            raise UserError(
                f"the checkpoint's networks are of {classes} classes, the data has {self.classes}"
            )
        if "normalizer" in checkpoint:  # there since some normalizers keep more than the discriminator holds
            self.normalizer.load_state_dict(checkpoint["normalizer"])
        totals: Tensor = checkpoint["loss_totals"]
        if len(totals) == world_size():
            totals = shard(totals)
        self.loss_totals.copy_(totals.mean(0))


def check_precision(precision: str | int | None) -> None:
    """UserError for a precision other than single, and bfloat16 autocast.

    16-mixed scales losses, and only the wrapped optimizer's step would scale gradients back. The true
    precisions would have Lightning convert the batch, which is the whole data set.
    """
    if str(precision) not in ("None", "32", "32-true", "bf16", "bf16-mixed"):
        raise UserError(f"trainer.precision is {precision}; 32-true and bf16-mixed are supported")
