"""The image files of a published data set, none of which may be broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from snlab.data.decoding import UndecodableError, decode_all
from snlab.data.published import altered

CHUNK = 256  # images


def decoded(name: str, folder: Path, files: Sequence[str], size: int) -> Iterator[Tensor]:
    """Images in the order of their files in ``folder``, each as ``decode`` gives it.

    Yields:
        Chunks of them, uint8 (n, 3, size, size).

    Raises:
        UserError: for a file that is broken, or missing; it names the file.
    """
    found = _whole(name, folder, files, size)
    while chunk := list(islice(found, CHUNK)):
        yield torch.stack(chunk)


def _whole(name: str, folder: Path, files: Sequence[str], size: int) -> Iterator[Tensor]:
    images = decode_all((folder / file for file in files), size)
    for file, image in zip(files, images, strict=True):
        if isinstance(image, UndecodableError):
            raise altered(name, folder / file, folder) from image
        yield image
