"""A Trainer that trains, and neither logs, saves nor shows anything."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Trainer


def quiet(steps: int, **options: Any) -> Trainer:
    """Of ``steps`` steps, on the CPU."""
    return Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
