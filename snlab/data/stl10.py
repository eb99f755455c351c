"""STL-10: 100,000 photographs without labels, from ImageNet, and 8,000 others held out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from snlab.data.dataset import DATASETS, DataSet
from snlab.data.published import File, Item, Source, altered, extracted
from snlab.data.shrinking import shrunk
from snlab.data.stored import Part, Stored

SIDE = 96
COUNTS = {"train": 100_000, "heldout": 8_000}
FILES = {"train": "unlabeled_X.bin", "heldout": "test_X.bin"}
CHUNK = 2_000  # images


@DATASETS.register("stl10")
def stl10(size: int = 48) -> DataSet:
    """100,000 photographs without labels, and the 8,000 of the test split held out (Coates et al. 2011).

    The 96 x 96 images of the unlabelled split, each pixel of ``size=48`` the mean of 2 x 2 (box filter), as
    uint8 (N, 3, size, size). There are no labels: what is trained on has none, so those of the test split
    are left aside.

    Args:
        size: height and width, in pixels, 96 or what it is a multiple of, at least 8.

    Raises:
        ValueError: for another size.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 8 or SIDE % size:
        sizes = [str(side) for side in range(8, SIDE + 1) if SIDE % side == 0]
        raise ValueError(f"size wants one of {', '.join(sizes)}, got {size!r}")

    def files() -> Mapping[str, File]:
        from torchvision.datasets import STL10  # here: it takes a second, and others do without

        return {STL10.filename: File(STL10.tgz_md5, (STL10.url,))}

    source = Source("stl10", "", (Item("stl10_binary", "stl10_binary.tar.gz"),), files, extracted)
    return Stored(
        "stl10",
        key=str(size),
        train=(COUNTS["train"], 3, size, size),
        heldout=(COUNTS["heldout"], 3, size, size),
        convert=lambda: (Part(_read(source, "train", size)), Part(_read(source, "heldout", size))),
        labelled=(False, False),
        source=source,
    ).dataset()


def _read(source: Source, part: str, size: int) -> Iterator[Tensor]:
    """As torchvision reads them, but not all at once: the file takes 2.76 GB, and torchvision two of it."""
    from torchvision.datasets import STL10
    from torchvision.datasets.utils import check_integrity

    path = source.folder / STL10.base_folder / FILES[part]
    if not check_integrity(path, dict([*STL10.train_list, *STL10.test_list])[path.name]):
        raise altered("stl10", path, path.parent)
    with path.open("rb") as file:
        while len(data := np.fromfile(file, np.uint8, CHUNK * 3 * SIDE * SIDE)):
            columns = torch.from_numpy(data).view(-1, 3, SIDE, SIDE)  # (n, C, x, y): column after column
            yield shrunk(columns.transpose(2, 3), SIDE // size).contiguous()
