"""Downloading a published file through torchvision, with our progress bar."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from snlab.core.progress import progress

DRIVE = re.compile(r"https://drive\.google\.com/file/d/([^/]+)/view")
TIMEOUT = 60.0  # seconds without a byte after which a server is given up


def download(name: str, urls: Sequence[str], path: Path, md5: str) -> None:
    """Get a file of a data set, from the first of its addresses that has it; torchvision checks its md5.

    Raises whatever error torchvision raises, of the last address; ``path`` may then be a part of the file.
    """
    with _patience():
        for place, url in enumerate(urls, start=1):
            try:
                with _bar(f"{name}: downloading {url}"):
                    _download(url, path, md5)
                return
            except Exception:
                if place == len(urls):
                    raise


def _download(url: str, path: Path, md5: str) -> None:
    from torchvision.datasets.utils import download_file_from_google_drive, download_url

    shared = DRIVE.fullmatch(url)
    if shared:  # not to be asked like others: it answers with a page
        download_file_from_google_drive(shared[1], path.parent, path.name, md5)
    else:
        download_url(url, path.parent, path.name, md5)


@contextmanager
def _patience() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def _bar(what: str) -> Iterator[None]:
    """Inside, torchvision tells its progress by ``progress`` instead of tqdm."""
    from torchvision.datasets import utils

    class Bar:
        """The part of tqdm that torchvision uses."""

        def __init__(self, total: float | None = None, **_: Any) -> None:
            self._shown = progress(what, total)

        def __enter__(self) -> Bar:
            self.update: Callable[[float], None] = self._shown.__enter__()
            return self

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            self._shown.__exit__(kind, error, trace)

    before, utils.tqdm = utils.tqdm, Bar
    try:
        yield
    finally:
        utils.tqdm = before
