"""Two runs side by side: everything that both left, but what the clock says."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer

from snlab.callbacks.checkpoint import Checkpoint
from snlab.tracking.run_folder import Run

CLOCK = ("elapsed", "seconds", "begun", "ended")  # besides every time/...


def rows(run: Run) -> list[dict[str, Any]]:
    """Every line that was logged."""
    return [timeless(json.loads(line)) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


def timeless(value: Any) -> Any:
    """A value, through nested mappings, without the clock's readings."""
    if not isinstance(value, dict):
        return value
    kept = {k: v for k, v in value.items() if k not in CLOCK and not str(k).startswith("time/")}
    return {k: timeless(v) for k, v in kept.items()}


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Bit for bit, through nested containers."""
    a, b = timeless(a), timeless(b)
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}/{i}")
    else:
        assert a == b, where


def last_checkpoint(run: Run) -> dict[str, Any]:
    return torch.load(max((run.folder / "checkpoints").glob("*.ckpt")), weights_only=True)


def assert_equal(run: Run, other: Run) -> None:
    """Weights, averages, optimizers, power-iteration vectors, random streams, metrics, samples, summary."""
    assert_same(last_checkpoint(run), last_checkpoint(other))
    assert rows(run) == rows(other)
    samples = [{p.name: p.read_bytes() for p in (r.folder / "samples").iterdir()} for r in (run, other)]
    assert samples[0] == samples[1]
    assert timeless(run.summary) == timeless(other.summary)


def whole_and_resumed(
    fit: Callable[..., Run], options: Sequence[str], at: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Run, Run]:
    """A run that nothing stops, and one that is stopped after the step ``at`` and goes on."""
    whole = fit(*options, "--runs", str(folder / "whole"))
    original = Checkpoint.on_train_batch_end

    def stop(self: Checkpoint, trainer: Trainer, *args: Any) -> None:
        original(self, trainer, *args)
        if trainer.global_step == at:
            raise RuntimeError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="power"):
            fit(*options)
    return whole, fit(*options, "--resume")
