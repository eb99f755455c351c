from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest

from snlab.core.cached import cached


def test_made_once_and_verified_when_it_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made: list[int] = []

    def make() -> bytes:
        made.append(1)
        return b"what takes long"

    path = tmp_path / "folder" / "thing.pt"
    assert [cached(path, make, wait=1) for _ in range(3)] == [b"what takes long"] * 3
    assert len(made) == 1
    assert path.with_suffix(".sha256").read_text().strip() == hashlib.sha256(b"what takes long").hexdigest()
    path.write_bytes(b"what takes lonh")
    with caplog.at_level(logging.WARNING):
        assert cached(path, make, wait=1) == path.read_bytes() == b"what takes long"
    assert len(made) == 2
    assert "not what was written there" in caplog.text


def test_where_nothing_can_be_kept_it_is_made_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert cached(tmp_path / "file" / "thing.pt", lambda: b"made", wait=1) == b"made"
    assert "cannot keep thing.pt" in caplog.text
