"""CIFAR-10 and CIFAR-100: 50,000 and 10,000 small photographs of things, as pickled batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from snlab.data.dataset import DATASETS, DataSet
from snlab.data.published import File, Item, Source, extracted
from snlab.data.stored import Part, Stored

COUNTS = {"train": 50_000, "heldout": 10_000}


@DATASETS.register("cifar10")
def cifar10() -> DataSet:
    """50,000 small photographs in ten classes, and the 10,000 of the test batch held out (Krizhevsky 2009).

    uint8 (N, 3, 32, 32), as they are published. Labels are the classes, airplane to truck.
    """
    return _stored("CIFAR10", "cifar10", 10, Item("cifar-10-batches-py", "cifar-10-python.tar.gz"))


@DATASETS.register("cifar100")
def cifar100() -> DataSet:
    """50,000 small photographs in a hundred classes, and 10,000 held out (Krizhevsky 2009).

    uint8 (N, 3, 32, 32), as they are published. Labels are the fine ones, apple to worm.
    """
    return _stored("CIFAR100", "cifar100", 100, Item("cifar-100-python", "cifar-100-python.tar.gz"))


def _stored(published: str, name: str, classes: int, item: Item) -> DataSet:
    def reader() -> Any:
        from torchvision import datasets  # here: it takes a second, and others do without

        return getattr(datasets, published)

    def files() -> Mapping[str, File]:
        return {reader().filename: File(reader().tgz_md5, (reader().url,))}

    source = Source(name, "", (item,), files, extracted)

    def part(train: bool) -> Part:
        read, meta = reader(), reader().meta
        looked_at = [*read.train_list, *read.test_list, (meta["filename"], meta["md5"])]
        found = source.reading(looked_at, lambda: read(source.folder, train=train), item.read)
        images = torch.from_numpy(found.data).movedim(3, 1)  # (N, 3, 32, 32)
        return Part(images.split(10_000), torch.tensor(found.targets))

    return Stored(
        name,
        key="32",
        train=(COUNTS["train"], 3, 32, 32),
        heldout=(COUNTS["heldout"], 3, 32, 32),
        convert=lambda: (part(True), part(False)),
        classes=classes,
        source=source,
    ).dataset()
