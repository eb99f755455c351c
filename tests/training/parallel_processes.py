"""A script of ``test_parallel_processes.py``: what each of several processes makes of its share.

``parallel_processes.py FOLDER DEVICES CASE...``, a case being ``NORMALIZER`` or ``NORMALIZER on NETWORK``,
with ``under LOSS`` or ``, mapped`` (to memory) behind it; Lightning runs it again for every further process.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn

from snlab.core.distributed import leave_process_group, shard
from snlab.data import scale
from snlab.gan import GAN
from snlab.training.build import build_data, build_gan
from snlab.training.parallel import SyncBatchNorm, strategy

NETWORK = "standard_cnn(width=0.125)"
STEPS = 3
MAPPED = ", mapped"


def trained(case: str, devices: int) -> GAN:
    """A GAN after three generator updates, each with two discriminator updates."""
    rest, _, loss = case.removesuffix(MAPPED).partition(" under ")
    normalizer, _, network = rest.partition(" on ")
    data = build_data()
    mapped = case.endswith(MAPPED)
    train = scale(data.dataset.train).to(torch.get_default_dtype())
    data.dataset = replace(data.dataset, train=train, mapped=mapped)
    gan = build_gan(
        list(data.sample_shape),
        normalizer=normalizer,
        network=network or NETWORK,
        loss=loss or "standard",
        n_dis=2,
        batch_size=16,
        ema_decay=0.5,
        classes=data.classes,
    )
    found = strategy("cpu", devices, 1)
    if isinstance(found, DDPStrategy):  # the same processes train several times
        found.cluster_environment = LightningEnvironment()
    trainer = Trainer(
        max_steps=STEPS,
        max_epochs=-1,
        accelerator="cpu",
        devices=devices,
        strategy=found,
        plugins=[SyncBatchNorm()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(gan, data)
    return gan


def batch_norm(shape: tuple[int, ...], layer: nn.Module) -> dict[str, Tensor]:
    """What batch norm in all processes together makes of a batch: output, two derivatives, statistics."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator) * 3 + 5
    direction = torch.randn(shape, generator=generator)
    SyncBatchNorm().apply(layer)
    own = shard(x).clone().requires_grad_()
    y = layer(own)
    (first,) = torch.autograd.grad((y.tanh() * shard(direction)).sum(), own, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), own)
    SyncBatchNorm().revert(layer.eval())
    return {"y": y.detach(), "first": first.detach(), "second": second, "after": layer(own).detach()}


def write_results(folder: Path, devices: int, cases: Sequence[str]) -> None:
    """What this process makes of each case, into ``folder``: CASE-RANK.pt, and layers-RANK.pt."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # so that rounding is what it is, and not what Adam makes of it
    try:
        for case in cases:
            gan = trained(case, devices)
            rank = gan.trainer.global_rank
            own = gan.loss_totals.clone()
            state = {**gan.state_dict(), **gan.normalizer.state_dict()}
            result = {"state": state, "own_totals": own, "losses": gan.mean_losses()}
            torch.save(result, folder / f"{case}-{rank}.pt")
        layers = {
            "images": batch_norm((6, 4, 3, 5), nn.BatchNorm2d(4)),
            "vectors": batch_norm((6, 4), nn.BatchNorm1d(4, affine=False, momentum=None)),
        }
        torch.save(layers, folder / f"layers-{rank}.pt")
    finally:
        torch.set_default_dtype(before)


if __name__ == "__main__":
    write_results(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    leave_process_group()
