"""What this machine has, and whether snlab trains on it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

GOOD, MISSING, BROKEN = "ok", "missing", "broken"


def examine() -> int:
    """Print one line a finding; returns 0 unless something that training needs is broken."""
    console = Console(highlight=False, soft_wrap=True)
    broken = False
    for name, check in CHECKS.items():
        try:
            state, text = check()
        except Exception as error:  # a doctor does not fall ill
            state, text = BROKEN, f"{type(error).__name__}: {' '.join(str(error).split())}"
        broken = broken or state == BROKEN
        console.print(f"{state:8} {name}: {text}", markup=False)
    return int(broken)


def _versions() -> tuple[str, str]:
    names = ("snlab", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "torch-fidelity", "wandb")
    return GOOD, ", ".join([f"python {platform.python_version()}", *(f"{n} {version(n)}" for n in names)])


def _devices() -> tuple[str, str]:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return GOOD, f"{cores} CPU cores, torch uses {torch.get_num_threads()}; GPUs: {', '.join(gpus) or 'none'}"


def _disk() -> tuple[str, str]:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return (GOOD if free > 1 else BROKEN), f"{free:.0f} GiB free in the working directory"


def _cache() -> tuple[str, str]:
    from snlab.core.folders import cache_folder

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return (
            MISSING,
            f"{folder} cannot be written ({error.strerror}); each run trains its own extractor",
        )
    return GOOD, f"{folder}, {len(list(folder.glob('*.pt')))} embedded extractors in it"


def _inception() -> tuple[str, str]:
    from snlab.core.errors import UserError
    from snlab.metrics.extractors import inception_extractor

    try:
        return GOOD, f"sha256 {inception_extractor().digest[:8]}..."
    except UserError as error:
        return MISSING, str(error)


def _wandb() -> tuple[str, str]:
    import wandb

    mode = os.environ.get("WANDB_MODE")
    if mode:
        return GOOD, f"WANDB_MODE is {mode}"
    try:
        known = wandb.login(prompt=False, verify=False)
    except Exception as error:  # of a key or a variable that W&B does not take
        return MISSING, f"{' '.join(str(error).split())}; runs are kept offline"
    if known:
        return GOOD, "logged in: runs are online"
    return GOOD, "not logged in: runs are kept offline (wandb login changes that)"


def _training_step() -> tuple[str, str]:
    import torch
    from pytorch_lightning import Trainer

    from snlab.core.messages import plain_messages
    from snlab.training.build import build_data, build_gan

    data, gan = build_data("digits"), build_gan([1, 16, 16], network="standard_cnn(width=0.125)")
    start = time.perf_counter()
    with plain_messages():
        trainer = Trainer(
            max_steps=2,
            max_epochs=-1,
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(gan, data)
    seconds = time.perf_counter() - start
    finite = all(bool(torch.isfinite(p).all()) for p in gan.parameters())
    device = trainer.strategy.root_device  # the GAN itself is on the CPU again
    return (GOOD if finite else BROKEN), f"two generator updates on {device} in {seconds:.1f} s"


CHECKS: dict[str, Callable[[], tuple[str, str]]] = {
    "versions": _versions,
    "devices": _devices,
    "disk": _disk,
    "cache": _cache,
    "Inception weights": _inception,
    "W&B": _wandb,
    "a training step": _training_step,
}
