"""Somebody's LightningModules: tiny GANs of points in the plane, each stepping its optimizers in its own way.

Each counts in plain Python how often its generator was updated: ``updates``.
"""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.utils.data import DataLoader, TensorDataset

from snlab.callbacks.measurement import Measurement
from snlab.callbacks.probe import Probe

N_CRITIC = 3


class Points(LightningModule):
    """What all of them have."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.generator = nn.Linear(2, 2)
        self.discriminator = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1), nn.Flatten(0))
        self.updates = 0

    def critic_loss(self, real: Tensor) -> Tensor:
        fake = self.generator(torch.randn(len(real), 2)).detach()
        return (softplus(self.discriminator(fake)) + softplus(-self.discriminator(real))).mean()

    def generator_loss(self, n: int) -> Tensor:
        return softplus(-self.discriminator(self.generator(torch.randn(n, 2)))).mean()

    def configure_optimizers(self) -> Any:
        return [torch.optim.Adam(part.parameters()) for part in (self.generator, self.discriminator)]


class Wrapped(Points):
    """Manual optimisation, both optimizers wrapped: Lightning counts two steps an update."""

    wrapped = True

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.automatic_optimization = False

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.critic(batch[0])
        self.update(len(batch[0]))

    def critic(self, real: Tensor) -> None:
        self._step(1, self.critic_loss(real))

    def update(self, n: int) -> None:
        self._step(0, self.generator_loss(n))
        self.updates += 1

    def _step(self, i: int, loss: Tensor) -> None:
        optimizer = self.optimizers()[i]
        optimizer.zero_grad()
        self.manual_backward(loss)
        (optimizer if self.wrapped else optimizer.optimizer).step()


class Unwrapped(Wrapped):
    """As above, and Lightning counts no step."""

    wrapped = False


class CriticFirst(Wrapped):
    """The critic alone in all batches but every third."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.critic(batch[0])
        if batch_idx % N_CRITIC == N_CRITIC - 1:
            self.update(len(batch[0]))


class GeneratorFirst(Wrapped):
    """The generator in each third batch, the first of all among them."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        if batch_idx % N_CRITIC == 0:
            self.update(len(batch[0]))
        self.critic(batch[0])


class Twice(Wrapped):
    """Two updates of the generator a batch."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.critic(batch[0])
        self.update(len(batch[0]))
        self.update(len(batch[0]))


class Automatic(Points):
    """Automatic optimisation, one optimizer for both networks, one loss."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        self.updates += 1
        return self.critic_loss(batch[0]) + self.generator_loss(len(batch[0]))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters())


class AutomaticInTurn(Automatic):
    """One optimizer for both: the critic's loss in all batches but every third, the generator's in that."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        if batch_idx % N_CRITIC < N_CRITIC - 1:
            return self.critic_loss(batch[0])
        self.updates += 1
        return self.generator_loss(len(batch[0]))


class InParts(Wrapped):
    """Two optimizers hold parts of the generator; the discriminator has a third."""

    def configure_optimizers(self) -> Any:
        weight, bias = self.generator.parameters()
        parts = ([weight], self.discriminator.parameters(), [bias])
        return [torch.optim.SGD(part, lr=0.1) for part in parts]

    def update(self, n: int) -> None:
        super().update(n)
        self.optimizers()[2].step()


class Count(Measurement):
    """Notes the update at which it measures, by its own count and by the module's; logs the latter."""

    def __init__(self, every: float) -> None:
        super().__init__(every)
        self.seen: list[tuple[int, int]] = []

    def measure(self, trainer: Trainer, module: LightningModule) -> dict[str, float]:
        self.seen.append((self.steps.now, module.updates))
        return {"updates": float(module.updates)}

    def at(self) -> list[int]:
        """The updates at which it measured: the same by both counts."""
        assert all(ours == theirs for ours, theirs in self.seen)
        return [ours for ours, _ in self.seen]


def loader(batches: int = 1000) -> DataLoader[Any]:
    """So many batches of eight points."""
    points = torch.randn(8 * batches, 2, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(points), batch_size=8)


def probe(n: int = 16) -> Probe:
    generator = torch.Generator().manual_seed(1)
    train, heldout, latents = torch.randn(3, n, 2, generator=generator)
    return Probe(train, heldout, latents, torch.rand(n, generator=generator))


def trainer(*callbacks: Any, **options: Any) -> Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    if not options.get("enable_checkpointing"):
        quiet["enable_checkpointing"] = False
    return Trainer(accelerator="cpu", devices=1, callbacks=[*callbacks], **{**quiet, **options})
