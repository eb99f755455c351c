"""A LightningModule of the user's, trained by two processes: ``python two_processes.py RUNS``."""

from __future__ import annotations

import sys

from pytorch_lightning import Trainer
from torch import Tensor

from snlab import RunFolder
from snlab.callbacks.losses import Losses
from snlab.callbacks.sigma import Sigma


def main(runs: str) -> None:
    from points import Count, Wrapped, loader, probe  # found as a neighbour, where this file is run

    class Logged(Wrapped):
        def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
            super().training_step(batch, batch_idx)
            self.log("train/updates", float(self.updates), sync_dist=True)

    Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp_fork_find_unused_parameters_true",
        logger=RunFolder(
            runs, dataset="points", normalizer="none", loss="standard", seed=0, generator_steps=6
        ),
        callbacks=[Losses(2), Sigma(probe(), 3), Count(every=2)],
        max_epochs=-1,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Logged(), loader(100))


if __name__ == "__main__":
    main(sys.argv[1])
