"""The cache saves time and changes nothing else: whatever happens to it, the answers are the file's."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snlab.core.cached import cached
from snlab.results import reading
from snlab.results.reading import collect, records
from snlab.tracking import history_cache
from snlab.tracking.history import FLOATS, Column, History, Values, read_history
from snlab.tracking.history_cache import entry_of, kept_history, to_bytes, unread
from snlab.tracking.run_folder import FINISHED, RunWriter

OLD = 1_700_000_000  # seconds: long enough ago


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, that keeps even small files."""
    monkeypatch.setenv("SNLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(history_cache, "SMALLEST", 0)
    history_cache._writable.cache_clear()
    return tmp_path / "cache/histories"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return metrics(tmp_path / "run", 30)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that is read as text."""
    found: list[Path] = []

    def noted(path: Path) -> History:
        found.append(path)
        return read_history(path)

    monkeypatch.setattr(history_cache, "read_history", noted)
    return found


def metrics(folder: Path, rows: int, seed: int = 0, when: float = OLD, lines: int | None = None) -> Path:
    """A finished run's; so many ``lines`` of it alone."""
    writer = RunWriter(folder)
    writer.write_config({"seed_everything": seed, "generator_steps": rows - 1, "model": {}, "data": {}})
    writer.write_summary({"outcome": FINISHED, "generator_step": rows - 1})
    for step in range(rows)[:lines]:
        writer.append_metrics(step, {"a": step / 7 + seed, "s": [1.0, step / 3], "word": "yes"})
    os.utime(folder / "metrics.jsonl", (when, when))
    return folder / "metrics.jsonl"


def assert_right(path: Path) -> None:
    wanted = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        wanted[row["generator_step"]] = row
    assert kept_history(path).rows() == wanted


def test_a_file_is_read_once(path: Path, parsed: list[Path], cache: Path) -> None:
    assert unread(path) == path.stat().st_size
    for _ in range(3):
        assert_right(path)
    assert parsed == [path]
    assert unread(path) == 0
    assert len(list(cache.glob("*.columns"))) == 1


@pytest.mark.parametrize("how", ["grown", "rewritten", "touched"])
def test_what_has_changed_is_read_anew(how: str, path: Path, parsed: list[Path], cache: Path) -> None:
    assert_right(path)
    if how == "grown":
        with path.open("a") as file:
            file.write('{"generator_step": 99, "b": 1.0}\n')
        os.utime(path, (OLD, OLD))  # of the same time
    elif how == "rewritten":
        path.write_text(path.read_text().replace("yes", "noo"))  # of the same size
        os.utime(path, (OLD + 1, OLD + 1))
    else:
        os.utime(path, ns=(0, OLD * 10**9 + 1))
    assert_right(path)
    assert len(parsed) == 2
    assert len(list(cache.glob("*.columns"))) == 1  # what was kept before is gone


def test_a_file_that_is_still_written_is_not_kept(path: Path, parsed: list[Path], cache: Path) -> None:
    os.utime(path, (time.time(), time.time()))
    for _ in range(2):
        assert_right(path)
    assert len(parsed) == 2
    assert not cache.exists()


def test_a_run_that_ends_leaves_its_history_in_the_cache(
    path: Path, parsed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whom reads it first, too, nothing is asked but the cache."""
    os.utime(path, (time.time(), time.time()))
    summary = {"outcome": FINISHED, "generator_step": 29}
    RunWriter(path.parent).write_summary(summary)
    assert parsed == [path]
    monkeypatch.setattr(history_cache, "QUIET", 0.0)  # some seconds later
    assert unread(path) == 0
    assert_right(path)
    assert parsed == [path]
    path.unlink()  # and where it can leave nothing, it ends all the same
    RunWriter(path.parent).write_summary(summary)
    assert json.loads((path.parent / "summary.json").read_text()) == summary


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "no checksum", "checksum of another", "a folder"])
def test_a_damaged_entry_is_made_again(how: str, path: Path, parsed: list[Path], cache: Path) -> None:
    assert_right(path)
    (entry,) = cache.glob("*.columns")
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    match how:
        case "cut":
            entry.write_bytes(entry.read_bytes()[:-8])
        case "flipped":
            entry.write_bytes(content)
        case "empty":
            entry.write_bytes(b"")
        case "no checksum":
            entry.with_suffix(".sha256").unlink()
        case "checksum of another":
            entry.with_suffix(".sha256").write_text(hashlib.sha256(b"other").hexdigest())
        case "a folder":
            entry.unlink()
            entry.mkdir()
    for _ in range(2):
        assert_right(path)
    assert len(parsed) == (3 if how == "a folder" else 2)  # where nothing can be kept, each time


@pytest.mark.parametrize("how", ["a file in its place", "full"])
def test_where_nothing_can_be_kept_the_answers_are_the_same(
    how: str, path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "full":

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("snlab.core.cached.write_atomically", full)
    else:
        cache.parent.write_text("")
    for _ in range(2):
        assert_right(path)


def test_the_oldest_go_where_there_are_too_many(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [metrics(tmp_path / f"run{i}", 30) for i in range(4)]
    entries = []
    for i, path in enumerate(paths):
        kept_history(path)
        entry = entry_of(path)
        assert entry is not None
        os.utime(entry, (OLD + i, OLD + i))
        entries.append(entry)
        if i == 0:
            monkeypatch.setattr(history_cache, "MOST", 3 * entry.stat().st_size + 64)
    assert [entry.exists() for entry in entries] == [False, True, True, True]
    assert not entries[0].with_suffix(".sha256").exists()
    assert_right(paths[0])


def test_where_it_runs_from_is_all_one(
    path: Path, parsed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_history(path)
    monkeypatch.chdir(path.parent)
    kept_history(Path("metrics.jsonl"))
    link = path.parent.parent / "link"
    link.symlink_to(path.parent, target_is_directory=True)
    kept_history(link / "metrics.jsonl")
    assert parsed == [path]


READ = """
import sys
from pathlib import Path
from snlab.tracking import history_cache
history_cache.SMALLEST = 0
for name in sys.argv[1:]:
    rows = history_cache.kept_history(Path(name)).rows()
    assert [row["a"] for row in rows.values()] == [step / 7 for step in rows], name
"""


@pytest.mark.slow
def test_many_processes_at_once(tmp_path: Path, cache: Path) -> None:
    paths = [str(metrics(tmp_path / f"run{i}", 200)) for i in range(8)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", READ, *paths[:: (-1) ** i]], env=environment)
        for i in range(4)
    ]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4
    assert len(list(cache.glob("*.columns"))) == 8
    assert all(unread(Path(path)) == 0 for path in paths)


# ---- many runs -------------------------------------------------------------------------------------------


def test_a_hundred_long_runs_are_read_from_the_cache_at_once(tmp_path: Path, cache: Path) -> None:
    """100 runs of 10,000 updates and 65 names, 0.5 GB of numbers: in far less than 5 s of a processor."""
    updates, names = 10_000, [f"sigma/exact/layer{i}" for i in range(65)]
    numbers = np.random.default_rng(0).random((len(names), updates))
    rows = np.arange(updates)
    columns = {name: Column(rows, Values(FLOATS, of)) for name, of in zip(names, numbers, strict=True)}
    content = to_bytes(History(rows, columns))
    paths = [metrics(tmp_path / f"runs/run{i:02}", updates, i, lines=1) for i in range(100)]
    entries = [entry for path in paths if (entry := entry_of(path)) is not None]
    cached(entries[0], lambda: content, 1)
    for entry in entries[1:]:  # 99 more names of one file: a disk does not hold the test up
        for suffix in (".columns", ".sha256"):
            os.link(entries[0].with_suffix(suffix), entry.with_suffix(suffix))
    before = time.process_time()
    found = records(collect(tmp_path / "runs").runs)
    assert time.process_time() - before < 2.5
    assert len(found) == 100
    assert {row["outcome"] for row in found} == {FINISHED}
    assert [row["sigma/exact/layer64"] for row in found] == [numbers[64, -1]] * 100


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for i in range(6):
        metrics(tmp_path / f"runs/run{i}", 40, seed=i)
    return tmp_path / "runs"


def test_progress_is_shown_where_it_takes_long_and_once(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    collect(runs)
    assert capsys.readouterr().err == ""
    for path in runs.glob("*/metrics.jsonl"):
        os.utime(path, (OLD + 5, OLD + 5))
    monkeypatch.setattr(reading, "SEEN", 1)
    found = collect(runs).runs
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "reading what 6 runs logged, once (0.0 GB)"
    assert said[-1].startswith("reading what 6 runs logged, once (0.0 GB): done in")
    assert [row["a"] for row in records(found)] == [39 / 7 + i for i in range(6)]
    assert [str(row) for row in records(collect(runs).runs)] == [str(row) for row in records(found)]
    assert capsys.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("broken", [False, True])
def test_other_processes_read_ahead(
    broken: bool, runs: Path, monkeypatch: pytest.MonkeyPatch, cache: Path, parsed: list[Path]
) -> None:
    """The last files are read by another process; where that one fails, by this one."""
    from snlab.tracking import reading_ahead

    monkeypatch.setattr(reading_ahead, "WORTH", 1)
    monkeypatch.setattr(reading_ahead, "_cpus", lambda: 2)
    code = "import sys; sys.exit(1)" if broken else (
        "from snlab.tracking import history_cache, reading_ahead\n"
        "history_cache.SMALLEST = 0\nreading_ahead.read_all()"
    )  # fmt: skip
    monkeypatch.setattr(reading_ahead, "_CODE", code)
    paths = sorted(runs.glob("*/metrics.jsonl"))
    with reading_ahead.reading_ahead(paths, 1000):
        end = time.monotonic() + 60
        while not broken and any(map(unread, paths)) and time.monotonic() < end:
            time.sleep(0.05)
        for path in paths:
            kept_history(path)
    assert parsed == (paths if broken else [])
    assert [row["a"] for row in records(collect(runs).runs)] == [39 / 7 + i for i in range(6)]
