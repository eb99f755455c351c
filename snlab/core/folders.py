"""Where snlab keeps what it makes or downloads once, for all runs of a user."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from snlab.core.environment import CACHE, DATA


def cache_folder() -> Path:
    """``$SNLAB_CACHE``, else the user's cache folder as the system has it (``~/.cache/snlab`` on Linux)."""
    return Path(os.environ.get(CACHE) or platformdirs.user_cache_dir("snlab")).expanduser()


def data_folder() -> Path:
    """``$SNLAB_DATA``, else ``downloads`` in the cache folder: published files as torchvision has them."""
    named = os.environ.get(DATA)
    return Path(named).expanduser() if named else cache_folder() / "downloads"
