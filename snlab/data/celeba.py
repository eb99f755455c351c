"""CelebA: 162,770 and 19,962 faces, as JPEG, with forty attributes in a table."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from snlab.core.checks import check_whole
from snlab.core.errors import nearest
from snlab.data.dataset import DATASETS, DataSet
from snlab.data.pictures import decoded
from snlab.data.published import File, Item, Source, extracted
from snlab.data.stored import Part, Stored

COUNTS = {"train": 162_770, "test": 19_962}
IMAGES = Item("img_align_celeba", "img_align_celeba.zip")
TABLES = (  # the partition, and the tables that torchvision wants beside it
    "list_eval_partition.txt",
    "list_attr_celeba.txt",
    "identity_CelebA.txt",
    "list_bbox_celeba.txt",
    "list_landmarks_align_celeba.txt",
)
# fmt: off
ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips",
    "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby",
    "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male",
    "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose",
    "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair",
    "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young",
)
# fmt: on


@DATASETS.register("celeba")
def celeba(size: int = 64, *, attribute: str | None = None) -> DataSet:
    """162,770 faces of celebrities, and the 19,962 of the test partition held out (Liu et al. 2015).

    Of the aligned images, 178 x 218, the 178 x 178 in the middle, resized to uint8 (N, 3, size, size) by the
    mean over the area of each new pixel (PIL's box filter). The validation partition is left out. The images,
    once unpacked, are published without digests: a broken one is found, a changed one is not.

    Args:
        size: height and width, in pixels, 8 to 178.
        attribute: one of the forty, as in ``Smiling``: its absence and presence are the labels, 0 and 1;
            there are none without.

    Raises:
        ValueError: for another size, or an unknown attribute.
    """
    check_whole("size", size, least=8, most=178)
    if attribute is not None and attribute not in ATTRIBUTES:
        raise ValueError(f"unknown attribute {attribute!r}; {nearest(str(attribute), ATTRIBUTES)}")
    items = (IMAGES, *(Item(table, table) for table in TABLES))
    source = Source("celeba", "celeba", items, _files, extracted)
    return Stored(
        "celeba",
        key=f"{size}-{attribute}" if attribute else str(size),
        train=(COUNTS["train"], 3, size, size),
        heldout=(COUNTS["test"], 3, size, size),
        convert=lambda: (_part(source, "train", size, attribute), _part(source, "test", size, attribute)),
        classes=2 if attribute else 0,
        labelled=(attribute is not None, attribute is not None),
        source=source,
    ).dataset()


def _files() -> Mapping[str, File]:
    from torchvision.datasets import CelebA  # here: it takes a second, and others do without

    return {
        file: File(md5, (f"https://drive.google.com/file/d/{identifier}/view",))
        for identifier, md5, file in CelebA.file_list
    }


def _part(source: Source, split: str, size: int, attribute: str | None) -> Part:
    from torchvision.datasets import CelebA

    tables = [(file, md5) for _, md5, file in CelebA.file_list if file in TABLES]
    found = source.reading(tables, lambda: CelebA(source.folder.parent, split))
    labels = found.attr[:, found.attr_names.index(attribute)] if attribute else None
    images = decoded("celeba", source.folder / IMAGES.read, found.filename, size)
    return Part(images, None if labels is None else labels.to(torch.int64))
