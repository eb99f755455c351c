"""ImageNet (ILSVRC 2012): 1,281,167 and 50,000 photographs in a thousand classes, as JPEG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from snlab.core.checks import check_whole
from snlab.core.errors import UserError
from snlab.data.dataset import DATASETS, DataSet
from snlab.data.pictures import decoded
from snlab.data.published import File, Item, Source, altered
from snlab.data.stored import Part, Stored

COUNTS = {"train": 1_281_167, "val": 50_000}
CLASSES = 1000
PAGE = "https://image-net.org/challenges/LSVRC/2012/2012-downloads.php"
META = Item("meta.bin", "ILSVRC2012_devkit_t12.tar.gz")
IMAGES = {"train": Item("train", "ILSVRC2012_img_train.tar"), "val": Item("val", "ILSVRC2012_img_val.tar")}


@DATASETS.register("imagenet")
def imagenet(size: int = 128) -> DataSet:
    """1,281,167 photographs in a thousand classes, and the 50,000 for validation held out (Deng et al. 2009).

    The square in the middle of each, resized to uint8 (N, 3, size, size) by the mean over the area of each
    new pixel (PIL's box filter; by its bicubic where the square is smaller). Labels are the classes in the
    order of their WordNet ids, as torchvision has them. Read from the published archives, or from the folders
    that torchvision unpacks them into; of these a broken or missing image is found, a changed one is not.

    Args:
        size: height and width, in pixels, 8 to 512.

    Raises:
        ValueError: for another size.
    """
    check_whole("size", size, least=8, most=512)
    source = Source(
        "imagenet",
        "imagenet",
        (META, *IMAGES.values()),
        _files,
        _unpacked,
        by_hand=f"it cannot be downloaded without an account at {PAGE};",
    )
    return Stored(
        "imagenet",
        key=str(size),
        train=(COUNTS["train"], 3, size, size),
        heldout=(COUNTS["val"], 3, size, size),
        convert=lambda: (_part(source, "train", size), _part(source, "val", size)),
        classes=CLASSES,
        source=source,
    ).dataset()


def _files() -> Mapping[str, File]:
    from torchvision.datasets import imagenet as reader  # here: it takes a second, and others do without

    return {file: File(md5, (PAGE,)) for file, md5 in reader.ARCHIVE_META.values()}


def _unpacked(source: Source, item: Item, into: Path) -> None:
    from torchvision.datasets import imagenet as reader

    archive, beside = source.folder / item.published, into / item.published
    beside.symlink_to(archive.resolve())  # torchvision unpacks beside the archive
    try:
        if item == META:
            reader.parse_devkit_archive(into)
        elif item == IMAGES["train"]:
            reader.parse_train_archive(into)
        else:
            reader.parse_val_archive(into, wnids=_validation_classes(source))
    except RuntimeError as error:
        raise altered(source.name, archive) from error


def _validation_classes(source: Source) -> list[str]:
    from torchvision.datasets import imagenet as reader

    try:
        wnids: list[str] = reader.load_meta_file(source.folder)[1]
    except Exception as error:  # of pickle, zip or torch, whichever finds it broken
        raise altered(source.name, source.folder / META.read) from error
    return wnids


def _part(source: Source, split: str, size: int) -> Part:
    from torchvision.datasets import ImageNet

    _validation_classes(source)
    folder = source.folder / IMAGES[split].read
    try:
        found = ImageNet(source.folder, split)
    except (KeyError, FileNotFoundError) as error:  # a folder of no class, a class without images
        raise UserError(f"imagenet: {folder} is not as torchvision unpacks it: {_line(error)}") from error
    if len(found.samples) != COUNTS[split]:
        raise UserError(
            f"imagenet: {folder} has {len(found.samples):,} images of {COUNTS[split]:,}; "
            "delete it, and it is unpacked again from the archive"
        )
    files = [str(Path(path).relative_to(folder)) for path, _ in found.samples]
    return Part(decoded("imagenet", folder, files, size), torch.tensor(found.targets))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
