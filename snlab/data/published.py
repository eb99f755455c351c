"""Published files: where they lie, and whether they are what was published."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from snlab.core.errors import UserError
from snlab.core.folders import data_folder

_CHUNK = 2**20


def missing(name: str, folder: Path, files: Iterable[str]) -> UserError:
    """The error of a data set whose files are not here: how to get them, with a network and without."""
    return UserError(
        f"{name} is not here: snlab data fetch {name} downloads it; without a network, put "
        f"{', '.join(files)} into {folder} (SNLAB_DATA names another folder than {data_folder()})"
    )


def altered(name: str, path: Path) -> UserError:
    """The error of a file that is there and is not the published one."""
    return UserError(
        f"{name}: {path} is not the published file, or only a part of it; delete it, get it again"
    )


def md5_of(path: Path) -> str:
    """The md5 of a file, by which torchvision knows published ones."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
