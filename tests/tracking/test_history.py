"""Columns hold what the lines do, by the reading that defines it: json, line by line, rows as mappings."""

from __future__ import annotations

import json
import math
import random
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snlab.tracking.damage import damage
from snlab.tracking.history import FLOATS, INTEGERS, LISTS, OTHERS, Values, gathered, read_history, read_rows
from snlab.tracking.history_cache import from_bytes, to_bytes
from snlab.tracking.run_folder import FINISHED, Run, RunWriter

STEP = "generator_step"


def by_definition(path: Path) -> tuple[dict[int, dict[str, Any]], int]:
    """The rows by generator step, and the number of broken lines."""
    rows: dict[int, dict[str, Any]] = {}
    broken = 0
    for line in path.read_bytes().split(b"\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict) and isinstance(row.get(STEP), int):
            rows.setdefault(row[STEP], {}).update(row)
        else:
            broken += bool(line.strip())
    return dict(sorted(rows.items())), broken


def null(value: Any) -> Any:
    """NaN, which json takes though JSON has no word for it, is null here."""
    if isinstance(value, list):
        return [null(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def assert_read(path: Path) -> None:
    rows, broken = by_definition(path)
    history = read_history(path)
    for found in (history, from_bytes(to_bytes(history))):
        assert found.broken == broken
        assert found.rows() == {step: {k: null(v) for k, v in row.items()} for step, row in rows.items()}
        names = {name: None for row in rows.values() for name in row if name != STEP}
        assert list(found.columns) == list(names)  # in order of first appearance
        for name in names:
            values = [row[name] for row in rows.values() if name in row]
            assert type(found.last(name)) is type(null(values[-1]))
            assert found.last(name) == null(values[-1])
            steps, packed = found.of(name)
            assert steps.tolist() == [step for step, row in rows.items() if name in row]
            numbers = packed.floats()
            if all(isinstance(value, int | float | None) for value in values):
                wanted = [math.nan if value is None else value for value in values]
                assert numbers is not None
                assert np.array_equal(numbers, np.array(wanted, dtype=float), equal_nan=True)
            else:
                assert numbers is None
        scalars: dict[str, Any] = {}
        for row in rows.values():
            scalars |= {k: null(v) for k, v in row.items() if not isinstance(v, list)}
        assert found.last_scalars() == scalars
    assert [*read_rows(path)] == [*map(json.loads, whole_lines(path))]


def whole_lines(path: Path) -> list[bytes]:
    found = []
    for line in path.read_bytes().split(b"\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and isinstance(row.get(STEP), int):
            found.append(line)
    return found


def a_value(rng: random.Random) -> Any:
    bits = np.array([rng.getrandbits(64)], dtype=np.uint64).view(np.float64)[0]  # any float there is
    floats = [float(bits) if np.isfinite(bits) else 0.1, rng.random(), -0.0, 5e-324, 1.7976931348623157e308]
    kinds: list[Any] = [
        *floats, None, rng.randrange(-(2**63), 2**63), 3, True, "a word", "", [], [0.5, None], floats,
        [1, 2.5], {"a": [1]}, [[0.5]], "\ud800", "\u0000é",
    ]  # fmt: skip
    return rng.choice(kinds)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_json_holds_comes_back(seed: int, tmp_path: Path) -> None:
    """Lines of few and of many kinds, steps out of order and again, names that change what they are."""
    rng = random.Random(seed)
    names = [f"name/{i}" for i in range(8)]
    path = tmp_path / "metrics.jsonl"
    with path.open("w") as file:
        for i in range(rng.choice([0, 1, 40, 700])):
            chosen = rng.sample(names, rng.randrange(len(names)))
            row = {STEP: i // 3 if seed % 2 else rng.randrange(60)}
            for name in chosen:
                steady = rng.random() < 0.9 or seed % 3 == 0
                row[name] = rng.random() if steady else a_value(rng)
            file.write(json.dumps(row) + rng.choice(["\n", "\n", "\n", " \n", "\n\n", "\r\n"]))
    assert_read(path)


BROKEN = [
    b'{"generator_step": 2, "a"', b"\x00" * 64, b"[1, 2]", b"3", b"null", b'{"a": 1.0}', b"\xff\xfe\x00",
    b'{"generator_step": "2", "a": 1.0}', b'{"generator_step": 2.0}', b'{"generator_step": null}',
    b"[" * 100_000, b'{"generator_step": 2} {"generator_step": 3}', b"   ", b"",
    b'{"generator_step": 3, "a": NaN, "b": Infinity, "c": -Infinity}', b'{"generator_step": 4, "a": 1e400}',
    b'{"generator_step": 3, "a": 1, "a": 2}',
    b'\xef\xbb\xbf{"generator_step": 5, "a": 1.0}', b'{"generator_step": 5, "a": "\xff"}',
]  # fmt: skip


@pytest.mark.parametrize("line", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_line_is_left_out_and_counted(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    good = b'{"generator_step": 1, "a": 1.0, "b": 2.0}\n'
    path.write_bytes(good + line + b"\n" + good.replace(b"1,", b"9,") + line)
    assert_read(path)


def test_kinds_are_as_small_as_they_can_be(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path)
    for step in range(600):
        row = {
            "a": step / 3,
            "b": None if step % 2 else 0.5,
            "n": step,
            "s": [0.5, 0.25],
            "m": 1 if step else 1.5,
        }
        writer.append_metrics(step, row)
    columns = read_history(tmp_path / "metrics.jsonl").columns
    kinds = {name: column.values.kind for name, column in columns.items()}
    assert kinds == {"a": FLOATS, "b": FLOATS, "n": INTEGERS, "s": LISTS, "m": OTHERS}
    assert len({id(column.rows) for column in columns.values()}) == 1  # the same rows, kept once


def test_joined_values_of_kinds_that_differ() -> None:
    parts = [[1.5, None], [3], ["word"], [[0.5]], [[1.0, None], []], []]
    wanted = [value for part in parts for value in part]
    assert Values.joined([Values.of(part) for part in parts]).unpacked() == wanted
    lists = Values.joined([Values.of(part) for part in parts[3:5]])
    assert lists.kind == LISTS
    assert lists.at(np.array([2, 0])).unpacked() == [[], [0.5]]
    assert lists.floats() is None


def test_a_run_answers_from_its_columns(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path)
    writer.write_config({"generator_steps": 4})
    for step, value in ((1, 0.5), (2, math.nan), (4, 2.5)):
        writer.append_metrics(step, {"a": value, "spectrum/x": [1.0, value], "word": "yes"})
    run = Run.read(tmp_path)
    steps, values = run.numbers("a")
    assert steps.tolist() == [1, 2, 4]
    assert np.array_equal(values, [0.5, math.nan, 2.5], equal_nan=True)
    assert [str(value) for value in run.series("a")[1]] == ["0.5", "nan", "2.5"]
    assert run.series("spectrum/x")[1] == [[1.0, 0.5], [1.0, None], [1.0, 2.5]]
    assert run.numbers("spectrum/x") is None
    assert run.numbers("word") is None
    assert run.numbers("nothing") is None
    assert run.series("nothing") == ([], [])
    assert (run.last("a"), run.last_step) == (2.5, 4)
    assert math.isnan(run.last("nothing"))
    assert run.names("spec") == ["spectrum/x"]


def test_memory_is_within_three_times_the_text(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path)
    lines = []
    for step in range(1500):
        row = {f"sigma/exact/layer{i}": (step + 1) / (i + 3) for i in range(60)}
        lines.append(
            json.dumps({STEP: step} | row | ({"spectrum/a": [1 / 3] * 64} if step % 10 == 0 else {}))
        )
    path = writer.folder / "metrics.jsonl"
    path.write_text("\n".join(lines))
    size = path.stat().st_size
    del lines
    read_history(path)  # what is imported once
    tracemalloc.start()
    history = from_bytes(to_bytes(read_history(path)))
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert history.last_step == 1499
    assert kept < size
    assert peak < 3 * size


@pytest.mark.parametrize(("last", "reason"), [(200, None), (150, "its history ends at update 150 of 200")])
def test_a_history_that_lost_its_end_is_damaged_wherever_it_is_from(last: int, reason: str | None) -> None:
    history = gathered({STEP: step, "a": 1.0} for step in range(0, last + 1, 50))
    run = Run(Path("wandb:me/p/id/name"), {"generator_steps": 200}, {"outcome": FINISHED}, history)
    assert run.on_wandb
    assert damage(run) == reason
