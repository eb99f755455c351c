"""Street View House Numbers: digits cut out of photographs of house fronts, in MATLAB's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from snlab.data.dataset import DATASETS, DataSet
from snlab.data.published import File, Item, Source
from snlab.data.stored import Part, Stored

COUNTS = {"train": 73_257, "extra": 531_131, "test": 26_032}
CHUNK = 10_000  # images


@DATASETS.register("svhn")
def svhn(*, extra: bool = False) -> DataSet:
    """73,257 digits of house numbers in colour, and 26,032 of the test split held out (Netzer et al. 2011).

    uint8 (N, 3, 32, 32), as they are published. Labels are the digits, 0 to 9 (the files call 0 a 10).

    Args:
        extra: train on the 531,131 easier ones as well, after the others: 604,388 in all.

    Raises:
        ValueError: for another value.
    """
    if not isinstance(extra, bool):
        raise ValueError(f"extra wants true or false, got {extra!r}")
    splits = ("train", "extra") if extra else ("train",)

    def files() -> Mapping[str, File]:
        from torchvision.datasets import SVHN  # here: it takes a second, and others do without

        return {file: File(md5, (url,)) for url, file, md5 in SVHN.split_list.values()}

    names = [f"{split}_32x32.mat" for split in (*splits, "test")]
    source = Source("svhn", "svhn", tuple(Item(file, file) for file in names), files)
    return Stored(
        "svhn",
        key="32-extra" if extra else "32",
        train=(sum(COUNTS[split] for split in splits), 3, 32, 32),
        heldout=(COUNTS["test"], 3, 32, 32),
        convert=lambda: (_part(source, *splits), _part(source, "test")),
        classes=10,
        source=source,
    ).dataset()


def _part(source: Source, *splits: str) -> Part:
    labels: list[Tensor] = []

    def images() -> Iterator[Tensor]:
        from torchvision.datasets import SVHN

        for split in splits:
            files = [SVHN.split_list[split][1:]]
            found = source.reading(files, lambda split=split: SVHN(source.folder, split))  # type: ignore[misc]
            labels.append(torch.from_numpy(found.labels))
            for start in range(0, len(found.data), CHUNK):
                yield torch.from_numpy(np.ascontiguousarray(found.data[start : start + CHUNK]))

    return Part(images(), lambda: torch.cat(labels))
