"""The commit that code is checked out at, against git itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

from snlab.core.machine import commit


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_commit_is_gits_and_says_that_files_differ(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "code.py").write_text("x = 1\n")
    git(tmp_path, "init", "-q")
    assert commit(package) is None  # in a checkout, and not of it
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    git(tmp_path, "tag", "v1")
    head = git(tmp_path, "rev-parse", "HEAD")
    commit.cache_clear()
    assert commit(package) == head
    (package / "code.py").write_text("x = 2\n")
    commit.cache_clear()
    assert commit(package) == f"{head}-dirty"
    commit.cache_clear()


def test_outside_of_a_checkout_there_is_none(tmp_path: Path) -> None:
    assert commit(tmp_path) is None
    assert commit(tmp_path / "not there") is None
