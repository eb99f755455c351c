"""``snlab table``: its options, on folders that the tests write."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from snlab.cli import main
from snlab.core.errors import UserError
from snlab.results.reading import collect
from snlab.results.tables import make, render
from snlab.results.tables.formats import SUFFIXES


@pytest.fixture
def two(lab: Any) -> tuple[str, str]:
    """Two folders of runs: of two normalizers, and of a third."""
    lab.write("none", 0)
    lab.write("spectral_norm", 0)
    other = type(lab)(lab.root.parent / "other")
    other.write("weight_norm", 0)
    return str(lab.root), str(other.root)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["table", *arguments]) == 0
    return capsys.readouterr().out


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_several_folders_are_one_table_and_a_run_counts_once(
    two: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = two
    text = said(
        capsys, "normalizers", "--runs", first, "--runs", second, "--runs", first, "--format", "csv"
    )  # fmt: skip
    found = {row["normalizer"]: row["seeds"] for row in rows(text)}
    assert found == {"none": "1", "weight norm": "1", "spectral norm": "1"}
    assert len(collect(first, Path(first) / ".").runs) == 2


def test_columns_are_chosen_by_key_in_every_format(
    two: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ("--columns", "ratio/saturation, loss,fid")
    for format in SUFFIXES.values():
        text = said(capsys, "normalizers", "--runs", two[0], "--format", format, *wanted)
        assert "recall" not in text
        assert "seeds" not in text.split("one finished run")[0]
    (none, _) = rows(said(capsys, "normalizers", "--runs", two[0], "--format", "csv", *wanted))
    assert [key for key in none if not key.endswith(("_std", "_n"))] == [
        "normalizer", "ratio/saturation", "loss", "fid/embedded-digits",
    ]  # fmt: skip


@pytest.mark.parametrize(("suffix", "format"), SUFFIXES.items())
def test_a_file_has_the_format_of_its_name(
    suffix: str, format: str, two: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / f"table{suffix}"
    assert said(capsys, "normalizers", "--runs", two[0], "--out", str(out)) == f"{out}\n"
    assert out.read_text(encoding="utf-8") == render(make("normalizers", collect(two[0]).runs), format)
    said(capsys, "normalizers", "--runs", two[0], "--out", str(out), "--format", "csv")
    assert len(rows(out.read_text(encoding="utf-8"))) == 2


def test_a_papers_table_and_a_data_set_by_name(
    two: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, "miyato2018/table2", "--runs", two[0], "--dataset", "digits", "--format", "csv")
    found = {row["method"]: row for row in rows(text) if row["section"] == "standard CNN"}
    assert found["spectral norm"]["dataset"] == "digits"
    assert float(found["spectral norm"]["fid"]) == 30.0  # 110 - 20 * 4 at the last update
    assert found["weight norm"]["outcomes"] == "not run"


def test_every_table_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "tables"]) == 0
    names = [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()]
    assert {"normalizers", "miyato2018/table2", "miyato2018/table8", "mimicry2020/cifar10"} <= set(names)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["miyato2018/table3"], "miyato2018 has table2, table7, table8"),
        (["miyato218/table2"], "did you mean 'miyato2018/table2'?"),
        (["normalizers", "--columns", "fidd"], "no column 'fidd'; did you mean 'fid'?"),
        (["normalizers", "--columns", "seeds,"], "no column ''"),
        (["normalizers", "--format", "latx"], "did you mean 'latex'?"),
        (["normalizers", "--out", "table.pdf"], ".tex"),
        (["normalizers", "--out", "/proc/nowhere/table.md"], "cannot write /proc/nowhere/table.md"),
        (["normalizers", "--dataset", "digit"], "did you mean 'digits'?"),
        (["miyato2018/table2", "--dataset", "stl1"], "'stl1'"),
        (["normalizers", "--runs", "nowhere"], "no folder nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    arguments: list[str], hint: str, two: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    assert main(["table", *arguments, "--runs", two[0]]) == 2
    shown = capsys.readouterr()
    assert hint in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert shown.out == ""
    assert not list(place.iterdir())


def test_a_column_that_one_part_alone_has(lab: Any) -> None:
    lab.write("none", 0)
    lab.write("none", 0, "mixture(kind=ring)")
    tables = make("normalizers", collect(lab.root).runs)
    digits, ring = render(tables, "markdown", ["modes/covered"]).split("### mixture")
    assert "| none |\n" in digits
    assert "| none | 2.00 |\n" in ring  # 2 modes, at the last update
    with pytest.raises(UserError, match="no column 'modes/coverd'; did you mean 'modes/covered'"):
        render(tables, "markdown", ["modes/coverd"])
