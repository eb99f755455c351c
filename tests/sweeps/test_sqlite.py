"""A study lies in the file that its folder's name says."""

from __future__ import annotations

import pytest

from snlab.sweeps.document import read_sweep
from snlab.sweeps.sqlite import path_of, url_of
from snlab.sweeps.study import Study


@pytest.mark.parametrize(
    "name", ["plain", "a b", "a?c", "a%41b", "a{b}", "a#b", "a[b]", "ü", "file:x", "a&b=c"]
)
def test_a_folder_of_any_name_holds_its_study(name, tmp_path, monkeypatch):
    file = tmp_path / "one.yaml"
    text = "program: snlab\nmethod: grid\nparameters: {seed_everything: {values: [0]}}\n"
    file.write_text(text + 'command: [snlab, fit, "${args}"]\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name / "study.db"
    assert path_of(url_of(path)) == path
    for _ in range(2):  # made, and opened again
        study = Study(read_sweep(str(file)), "k", [{"seed_everything": 0}], 1, url_of(path), lease=60)
        assert [task.state for task in study.tasks()] == ["waiting"]
    assert path.is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "one.yaml"])
    assert {p.name.strip(".") for p in path.parent.iterdir()} <= {"study.db", "study.db.lock"}
