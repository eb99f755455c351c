"""Where the tests of published data sets put their files."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for published files, not there yet; beside it a cache of the test's own."""
    monkeypatch.setenv("SNLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SNLAB_DATA", str(tmp_path / "published"))
    return tmp_path / "published"
