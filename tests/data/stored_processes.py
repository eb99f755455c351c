"""A script of ``test_stored.py``: a process that converts slowly, or that trains on what is mapped to memory.

``stored_processes.py convert SECONDS``: waits so long between chunks, prints a line at each, then a digest.
``stored_processes.py train N``: trains on N mapped images of 3 x 64 x 64 that are there already; prints, as
JSON, the largest private memory of the process, in bytes, and how much of it there was before.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snlab.data import DataSet
from snlab.data.stored import Part, Stored

CHUNKS, CHUNK, SHAPE = 5, 20, (1, 4, 4)


def chunks(seed: int, wait: float = 0.0) -> Iterator[Tensor]:
    for i in range(CHUNKS):
        print(f"chunk {i}", flush=True)
        time.sleep(wait)
        yield torch.randint(
            256, (CHUNK, *SHAPE), generator=torch.Generator().manual_seed(seed + i), dtype=torch.uint8
        )


def slow(wait: float = 0.0) -> Stored:
    labels = torch.arange(CHUNKS * CHUNK) % 4
    shape = (CHUNKS * CHUNK, *SHAPE)
    parts = lambda: (Part(chunks(0, wait), labels), Part(chunks(100, wait), labels))  # noqa: E731
    return Stored("slow", "key", shape, shape, parts, classes=4)


def digest(data: DataSet) -> str:
    return hashlib.sha256(torch.cat([data.train, data.heldout]).numpy().tobytes()).hexdigest()


def large(n: int) -> Stored:
    """Images that are converted already."""
    return Stored("large", "key", (n, 3, 64, 64), (64, 3, 64, 64), convert=lambda: sys.exit("converted"))


def private_bytes() -> int:
    """Memory that is this process's alone and of no file: RssAnon of proc_pid_status(5)."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def train(n: int) -> dict[str, Any]:
    from pytorch_lightning import Callback, Trainer  # here: they take seconds, and converting does without

    from snlab.data.module import DataModule
    from snlab.training.build import build_gan

    taken: list[int] = []

    class Memory(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            taken.append(private_bytes())

    before = private_bytes()
    data = DataModule(large(n).dataset())
    data.load()
    gan = build_gan([3, 64, 64], network="standard_cnn(width=0.125)", batch_size=16, n_dis=2)
    trainer = Trainer(
        max_steps=4,
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Memory()],
    )
    trainer.fit(gan, data)
    for i in range(0, n, 8000):  # all over the file, as long training reads it
        data.dataset.train[i : i + 1000].amax()
        taken.append(private_bytes())
    mapped = data.dataset.mapped
    return {"before": before, "most": max(taken), "steps": trainer.global_step, "mapped": mapped}


if __name__ == "__main__":
    if sys.argv[1] == "convert":
        print(digest(slow(float(sys.argv[2])).load()))
    else:
        print(json.dumps(train(int(sys.argv[2]))))
