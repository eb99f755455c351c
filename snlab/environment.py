"""The environment variables that snlab reads."""

from __future__ import annotations

CACHE = "SNLAB_CACHE"  # folder of trained feature extractors; the user's cache folder if unset
DEVICES = "SNLAB_DEVICES"  # devices of a run whose configuration does not say; 1 if unset
