"""What ``snlab runs``, ``show`` and ``compare`` print, and run folders under names of their own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from snlab.cli import main


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a command prints; ``columns`` wide, without as into a pipe."""

    def run(*words: object, columns: int | None = None, code: int = 0) -> str:
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns is not None:
            monkeypatch.setenv("COLUMNS", str(columns))
        assert main([str(word) for word in words]) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out

    return run


def named(folder: Path, identity: str) -> Path:
    """A run's folder, moved to where its name ends in that identity, which its summary has too."""
    path = folder / "summary.json"
    if path.exists():
        path.write_text(json.dumps(json.loads(path.read_text()) | {"identity": identity}))
    return folder.rename(folder.parent / f"{folder.name}-{identity}")


def lines(text: str) -> list[list[str]]:
    """The cells of a table that is set apart by two blanks or more."""
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
