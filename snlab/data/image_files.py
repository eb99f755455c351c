"""The image files below a folder: their classes and their split, before any is opened."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from snlab.core.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
TRAIN = "train"
HELDOUT = ("test", "val", "heldout")  # folders beside ``train``


class Found(NamedTuple):
    """An image file, before it is opened."""

    name: str  # its path below the folder, with "/"
    path: Path
    size: int  # bytes
    changed: int  # time of the last change, ns
    label: int = 0


@dataclass(frozen=True)
class Listing:
    """The image files below a folder, in the order of their names, and what could not be looked at."""

    root: Path
    train: list[Found]
    heldout: list[Found]
    classes: list[str]
    left_out: list[str]


def listing(root: Path, heldout: float) -> Listing:
    """Every image file below ``root``; none is opened. UserError for no folder, or none of them in it."""
    if not root.is_dir():
        what = "is no folder" if root.exists() else "is not there"
        raise UserError(f"data set folder: {root} {what}{_nearest(root)}")
    left_out: list[str] = []
    found = sorted(_below(root, "", (), left_out), key=lambda image: os.fsencode(image.name))
    if not found:
        at = f" ({left_out[0]})" if left_out else ""
        raise UserError(f"data set folder: {root} has no images{at}; they end in {', '.join(SUFFIXES)}")
    within = _without_common([image.name for image in found])
    top = [name.split("/", 1)[0].lower() if "/" in name else "" for name in within]
    sides: list[int]  # 0 for training, 1 for held out
    if TRAIN in top and any(first in HELDOUT for first in top):
        split = {TRAIN: 0} | dict.fromkeys(HELDOUT, 1)
        kept = [i for i, first in enumerate(top) if first in split]
        if len(kept) < len(found):
            others = f"{len(found) - len(kept):,} images are neither in {TRAIN} nor in {', '.join(HELDOUT)}"
            left_out.append(f"{others}, and left out")
        found, sides = [found[i] for i in kept], [split[top[i]] for i in kept]
        inside = [within[i].split("/", 1)[1] for i in kept]
        within = _without_common(inside)
    else:
        sides = _drawn(found, heldout, root)
    classes, labels = _classes(within)
    found = [image._replace(label=label) for image, label in zip(found, labels, strict=True)]
    train, held = ([i for i, side in zip(found, sides, strict=True) if side == which] for which in (0, 1))
    return Listing(root, train, held, classes, left_out)


def _nearest(root: Path) -> str:
    try:
        beside = [path.name for path in root.parent.iterdir() if path.is_dir()]
    except OSError:
        return f", nor {root.parent}"
    close = difflib.get_close_matches(root.name, beside, n=1)
    return f"; did you mean {str(root.with_name(close[0]))!r}?" if close else ""


def _below(
    folder: Path, name: str, above: tuple[tuple[int, int], ...], left_out: list[str]
) -> Iterator[Found]:
    """Image files in a folder, ``name`` as seen from the top and "" there, and in those below it."""
    try:
        about = folder.stat()
        entries = list(os.scandir(folder))
    except OSError as error:
        left_out.append(f"the folder {printable(name or str(folder))} cannot be read: {error.strerror}")
        return
    here = (about.st_dev, about.st_ino)
    if here in above:  # a link to a folder that this one is in
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        inside = f"{name}/{entry.name}" if name else entry.name
        if entry.is_dir():
            yield from _below(Path(entry.path), inside, (*above, here), left_out)
        elif Path(entry.name).suffix.lower() in SUFFIXES:
            if entry.is_file():
                about = entry.stat()
                yield Found(inside, Path(entry.path), about.st_size, about.st_mtime_ns)
            elif entry.is_symlink():
                yield Found(inside, Path(entry.path), -1, 0)  # to nowhere: named among the broken


def _drawn(found: list[Found], share: float, root: Path) -> list[int]:
    """0 for training and 1 for held out, at least once each: these are the lowest ``share`` of all hashes."""
    if len(found) < 2:
        raise UserError(
            f"data set folder: {root} has one image; one to train on and one to hold out are needed"
        )
    hashes = [
        int.from_bytes(hashlib.sha256(os.fsencode(image.name)).digest()[:8], "big") / 2**64 for image in found
    ]
    order = sorted(hashes)
    limit = min(max(share, order[1]), order[-1])
    return [int(one < limit) for one in hashes]


def _without_common(names: Sequence[str]) -> list[str]:
    """The names without the folders that are around all of them."""
    parts = [name.split("/") for name in names]
    while all(len(one) > 1 for one in parts) and len({one[0] for one in parts}) == 1:
        parts = [one[1:] for one in parts]
    return ["/".join(one) for one in parts]


def _classes(names: Sequence[str]) -> tuple[list[str], list[int]]:
    """The sub-folders, sorted, and which of them each image lies in; no classes where some lie in none."""
    if not all("/" in name for name in names):
        return [], [0] * len(names)
    folders = [name.split("/", 1)[0] for name in names]
    classes = sorted(set(folders), key=os.fsencode)
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, [numbers[name] for name in folders]


def printable(name: str) -> str:
    """A name of whatever bytes as text of one line."""
    return " ".join(os.fsencode(name).decode("utf-8", errors="backslashreplace").split())
