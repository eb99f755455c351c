"""The baseline: the same algorithm as a plain torch loop, the way it is usually written.

Weights and images in torch's default layout; torch's own parametrizations, whose spectral norm iterates once
a forward pass; gradients of the discriminator's weights in the generator's step, too, though nothing uses
them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from snlab.core.random_streams import Streams
from snlab.data import DataSet
from snlab.nn.layers import weight_layers

NORMALIZERS = ("none", "spectral_norm", "weight_norm", "gradient_penalty")
PENALTY_WEIGHT = 10.0


class PlainLoop:
    """Trains a generator and a discriminator by the standard loss.

    Args:
        normalizer: one of NORMALIZERS; torch's parametrization of that name is attached to every layer.
        latent_dim: of the generator's input.
        streams: ``data``, ``latents`` and ``penalty``, drawn from in the order of snlab's step.
        lr, betas: Adam's, for both networks.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        normalizer: str,
        dataset: DataSet,
        streams: Streams,
        *,
        latent_dim: int = 128,
        n_dis: int = 5,
        batch_size: int = 64,
        lr: float = 0.0002,
        betas: tuple[float, float] = (0.5, 0.999),
    ) -> None:
        for layer in weight_layers(discriminator).values():
            if normalizer == "spectral_norm":
                parametrizations.spectral_norm(layer)
            elif normalizer == "weight_norm":
                parametrizations.weight_norm(layer)
                gain = layer.parametrizations.weight.original0  # type: ignore[union-attr]
                torch.nn.init.ones_(gain.requires_grad_(False))  # type: ignore[union-attr, operator]
        self.generator = generator
        self.discriminator = discriminator
        self.penalised = normalizer == "gradient_penalty"
        self.dataset = dataset
        self.streams = streams
        self.latent_dim = latent_dim
        self.n_dis = n_dis
        self.batch_size = batch_size
        self.generator_optimizer = torch.optim.Adam(generator.parameters(), lr, betas)
        trained = [p for p in discriminator.parameters() if p.requires_grad]
        self.discriminator_optimizer = torch.optim.Adam(trained, lr, betas)

    def update(self) -> None:
        """One generator update: n_dis discriminator updates, then the generator's."""
        for _ in range(self.n_dis):
            real, _ = self.dataset.sample(self.batch_size, self.streams["data"])
            with torch.no_grad():
                fake = self.generator(self.latents())
            loss = F.softplus(-self.discriminator(real)).mean() + F.softplus(self.discriminator(fake)).mean()
            if self.penalised:
                loss = loss + PENALTY_WEIGHT * self.gradient_penalty(real, fake)
            self.discriminator_optimizer.zero_grad()
            loss.backward()
            self.discriminator_optimizer.step()

        loss = F.softplus(-self.discriminator(self.generator(self.latents()))).mean()
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()

    def latents(self) -> Tensor:
        latents = self.streams["latents"]
        return torch.randn(self.batch_size, self.latent_dim, generator=latents, device=latents.device)

    def gradient_penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        """E[(‖∇f(x̂)‖ - 1)²] between real and fake (Gulrajani et al. 2017, equation 3)."""
        epsilon = torch.rand(len(real), 1, 1, 1, generator=self.streams["penalty"], device=real.device)
        between = (epsilon * real + (1 - epsilon) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(self.discriminator(between).sum(), between, create_graph=True)
        return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
