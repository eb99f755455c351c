"""Any data set as a LightningDataModule: in memory, on the training device, sampled by the training step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

from pytorch_lightning import LightningDataModule

from snlab.data.dataset import DataSet


class Endless:
    """Hands out the same data set at every step.

    Which samples a step sees is drawn inside the step from the module's stream ``data``: Lightning fetches a
    batch ahead, so samples drawn by a loader would be one draw further than the checkpoint beside them.
    """

    def __init__(self, dataset: DataSet) -> None:
        self.dataset = dataset

    def __iter__(self) -> Iterator[DataSet]:
        return repeat(self.dataset)


class DataModule(LightningDataModule):
    """Holds one data set and moves it to the training device once."""

    def __init__(self, dataset: DataSet) -> None:
        super().__init__()
        self.dataset = dataset

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return self.dataset.sample_shape

    @property
    def classes(self) -> int:
        """How many classes the training samples are labelled with; 0 where they have no labels."""
        return 0 if self.dataset.train_labels is None else self.dataset.classes

    def load(self) -> None:
        """Read the samples, if only their shapes are known so far; UserError if they are not to be had."""
        self.dataset = self.dataset.loaded()

    def setup(self, stage: str) -> None:
        if self.trainer is not None:
            self.dataset = self.dataset.to(self.trainer.strategy.root_device)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint says of the data that its networks were trained on."""
        return {"dataset": self.dataset.name, "sample_shape": list(self.sample_shape)}

    def train_dataloader(self) -> Endless:
        return Endless(self.dataset)
