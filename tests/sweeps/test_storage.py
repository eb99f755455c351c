"""A study whose database is gone, damaged or busy."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from snlab.core.errors import UserError
from snlab.sweeps.storage import StudyLostError
from tests.sweeps.test_study import N, opened, states

# ---- a database that is gone ------------------------------------------------------------------------------


def unlink(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    path.unlink()
    path.touch()


def truncate(path: Path) -> None:
    os.truncate(path, 5000)


def overwrite(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [unlink, replace, truncate, overwrite, make_a_folder])
def test_a_study_that_is_lost_says_so_in_a_line_whatever_is_asked(harm, tmp_path):
    study = opened(tmp_path)
    claim = study.claim()
    harm(tmp_path / "study.db")
    with pytest.raises(StudyLostError, match="the same command begins a new study") as caught:
        study.claim()
    assert caught.value.for_good
    assert "\n" not in str(caught.value)
    if harm in (truncate, overwrite):
        for ask in (study.tasks, lambda: study.beat(claim), lambda: study.done(claim, "finished", 1.0)):
            with pytest.raises(StudyLostError, match="is damaged"):
                ask()
        with pytest.raises(UserError, match=r"study\.db is damaged .*; delete it"):
            opened(tmp_path)


def test_a_database_that_is_busy_or_full_is_not_lost_for_good(tmp_path, monkeypatch):
    study = opened(tmp_path)
    for reason in ("database is locked", "database or disk is full", "disk I/O error"):
        error = OperationalError("", {}, sqlite3.OperationalError(reason))
        monkeypatch.setattr(study, "_trials", lambda *_, error=error: raising(error))
        with pytest.raises(StudyLostError, match=f"study.db cannot be reached .*{reason}") as caught:
            study.tasks()
        assert not caught.value.for_good
        monkeypatch.undo()
    assert states(study) == ["waiting"] * N


def raising(error: Exception):
    raise error
