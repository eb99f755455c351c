"""One run on several devices: a process for each, with the same weights and a shard of every batch."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning import Trainer
from pytorch_lightning.plugins.layer_sync import TorchSyncBatchNorm
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from snlab.core.distributed import all_gather, global_count, world_size
from snlab.core.environment import (
    LAUNCHER,
    rank,
    started_by_first_process,
    started_by_srun,
    started_by_torchrun,
)
from snlab.core.errors import UserError

POLL_SECONDS = 1.0


def strategy(accelerator: Any, devices: Any, num_nodes: int) -> DDPStrategy | str:
    """The Trainer's strategy where the user leaves it to us: data parallel over more than one device.

    UserError where the processes that were started are not those that the options ask for.
    """
    count = devices if isinstance(devices, int) and devices == num_nodes == 1 else 0
    if not count:
        probe = Trainer(
            accelerator=accelerator,
            devices=devices,
            num_nodes=num_nodes,
            plugins=[OwnProcesses(num_nodes)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        count = probe.world_size
    if started_by_torchrun() and int(os.environ["WORLD_SIZE"]) != count:
        raise UserError(
            f"torchrun started {os.environ['WORLD_SIZE']} processes, and trainer.devices and "
            f"trainer.num_nodes ask for {count}"
        )
    if count == 1:
        return "auto"
    # Each update uses the parameters of one network only. Buffers are the same everywhere by themselves, or
    # each process's own.
    return DDPStrategy(
        find_unused_parameters=True,
        broadcast_buffers=False,
        cluster_environment=_environment(count, num_nodes),
    )


# ---- who starts a run's processes -----------------------------------------------------------------------


class OwnProcesses(LightningEnvironment):
    """Lightning starts a run's processes itself, whatever variables a cluster or a shell has left over.

    Args:
        num_nodes: machines of a run; over several, one process is started by hand on each, by Lightning's
            NODE_RANK, MASTER_ADDR and MASTER_PORT.
    """

    def __init__(self, num_nodes: int = 1) -> None:
        super().__init__()
        self._num_nodes = num_nodes

    @property
    def creates_processes_externally(self) -> bool:
        return started_by_first_process()

    @property
    def main_address(self) -> str:
        return super().main_address if self._num_nodes > 1 else "127.0.0.1"

    @property
    def main_port(self) -> int:
        try:
            return super().main_port
        except ValueError:
            raise UserError(
                f"MASTER_PORT is {os.environ['MASTER_PORT']!r}; a port's number is wanted"
            ) from None

    def local_rank(self) -> int:
        return rank()

    def node_rank(self) -> int:
        return super().node_rank() if self._num_nodes > 1 else 0


def cluster(strategy: DDPStrategy | str) -> list[ClusterEnvironment]:
    """The Trainer's plugin by which a run of one process is one, whatever job it is part of."""
    return [OwnProcesses()] if strategy == "auto" and not started_by_torchrun() else []


def _environment(count: int, num_nodes: int) -> ClusterEnvironment:
    if started_by_torchrun():
        return TorchElasticEnvironment()
    if not started_by_srun(count):
        return OwnProcesses(num_nodes)
    try:
        environment = SLURMEnvironment(auto_requeue=False)
        environment.validate_settings(count // num_nodes, num_nodes)
        return environment
    except (RuntimeError, ValueError) as error:
        raise UserError(f"SLURM: {' '.join(str(error).split())}") from error


def speak_by_rank() -> None:
    """Have Lightning's messages come from the first process. By itself it believes any variable left over."""
    rank_zero_only.rank = rank()  # type: ignore[attr-defined]


# ---- the end of one process is the end of all -----------------------------------------------------------


@contextmanager
def leading() -> Iterator[None]:
    """Tell the processes that Lightning starts from this one, inside, whom to end with.

    Inside one of those, it tells nothing.
    """
    if started_by_first_process():
        yield
        return
    os.environ[LAUNCHER] = str(os.getpid())
    try:
        yield
    finally:
        os.environ.pop(LAUNCHER, None)


def end_with_launcher() -> None:
    """Where another process of this run started this one, end when it has ended, however that was.

    Else a process would be left waiting on a GPU, or for a first word, for half an hour.
    """
    if not started_by_torchrun() and started_by_first_process():  # torchrun ends its processes itself
        threading.Thread(target=_watch, args=(int(os.environ[LAUNCHER]),), daemon=True).start()


def _watch(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(POLL_SECONDS)
    os._exit(1)


# ---- batch norm -----------------------------------------------------------------------------------------


class SyncBatchNorm(TorchSyncBatchNorm):
    """Lightning plugin: batch norm with the statistics of the whole batch, as one process would have them.

    Torch's own SyncBatchNorm takes GPUs only, waits for them in every layer, and has no second derivative.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        for layer in _batch_norms(model):
            layer.forward = partial(_over_all_processes, layer)  # type: ignore[method-assign]
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        for layer in _batch_norms(model):
            layer.__dict__.pop("forward", None)
        return model


def _batch_norms(model: nn.Module) -> list[_BatchNorm]:
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and not isinstance(m, nn.SyncBatchNorm)]


def _over_all_processes(layer: _BatchNorm, x: Tensor) -> Tensor:
    """``layer``'s output for this rank's shard (batch, C, ...), by the statistics of the whole batch."""
    if not layer.training and layer.running_mean is not None:
        return type(layer).forward(layer, x)
    precise = x if x.dtype == torch.float64 else x.float()
    own = torch.stack(torch.var_mean(precise, [0, *range(2, x.ndim)], correction=0))  # (2, C)
    variances, means = all_gather(own[None], world_size()).unbind(1)  # (ranks, C) each
    mean = means.mean(0)
    variance = (variances + (means - mean).square()).mean(0)  # of shards of one size
    if layer.running_mean is not None:
        _track(layer, mean.detach(), variance.detach(), global_count(x.numel() // x.shape[1]))

    scale = torch.rsqrt(variance + layer.eps)
    shape = (-1, *[1] * (x.ndim - 2))  # (C, 1, ...)
    if layer.weight is None:
        return ((precise - mean.view(shape)) * scale.view(shape)).to(x.dtype)
    scale, shift = (scale * layer.weight).view(shape), layer.bias.view(shape)
    return torch.addcmul(shift, precise - mean.view(shape), scale).to(x.dtype)


@torch.no_grad()
def _track(layer: _BatchNorm, mean: Tensor, variance: Tensor, n: int) -> None:
    """Move the running statistics towards those of a batch of ``n`` values a channel, as torch does."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(1)
    momentum = layer.momentum if layer.momentum is not None else 1 / float(layer.num_batches_tracked)
    layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), momentum)
    layer.running_var.lerp_((variance * n / max(n - 1, 1)).to(layer.running_var.dtype), momentum)
