from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from snlab.cli import main
from snlab.core.errors import UserError
from snlab.results.findings import findings
from snlab.results.reading import DAMAGED, collect, final
from snlab.results.report import page
from snlab.results.tables import make, render
from snlab.tracking.run_folder import DIVERGED, FINISHED, KILLED, UNFINISHED

FID = "fid/embedded-digits"


def two_good(lab: Any) -> None:
    lab.write("none", 0)
    lab.write("spectral_norm", 0)


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))


def unreadable(folder: Path, how: str) -> None:
    """Damage a run's folder so that nothing can be read from it."""
    config = folder / "config.yaml"
    match how:
        case "config is gone":
            config.unlink()
        case "only checkpoints":
            for path in [config, *folder.glob("*.json*")]:
                path.unlink()
            (folder / "checkpoints").mkdir()
            (folder / "checkpoints/step-00000020.ckpt").write_bytes(b"")
        case "config is no YAML":
            config.write_text("a: [")
        case "config is a list":
            config.write_text("[1, 2]")
        case "config is not UTF-8":
            config.write_bytes(b"a: \xff\xfe")
        case "config is deep":
            config.write_text("[" * 5000)
        case "model is a number":
            edit(config, lambda c: c.update(model=3))
        case "seed is a word":
            edit(config, lambda c: c.update(seed_everything="zero"))
        case "keys are numbers":
            edit(config, lambda c: c.update({1: 2}))
        case "config holds itself":
            config.write_text("model: &m\n  inner: *m\nseed_everything: 0\n")
        case "steps are null":
            edit(config, lambda c: c.update(generator_steps=None))
        case "summary is cut":
            (folder / "summary.json").write_text('{"outcome": "fin')
        case "summary is a list":
            (folder / "summary.json").write_text("[]")
        case "metrics are a folder":
            (folder / "metrics.jsonl").unlink()
            (folder / "metrics.jsonl").mkdir()


UNREADABLE = [
    "config is gone", "only checkpoints", "config is no YAML", "config is a list", "config is not UTF-8",
    "config is deep", "model is a number", "seed is a word", "steps are null", "keys are numbers",
    "config holds itself", "summary is cut",
    "summary is a list", "metrics are a folder",
]  # fmt: skip


@pytest.mark.parametrize("how", UNREADABLE)
def test_one_bad_folder_is_named_and_blocks_nothing(how: str, lab: Any) -> None:
    two_good(lab)
    unreadable(lab.write("weight_norm", 0, name="bad"), how)
    found = collect(lab.root)
    assert [run.normalizer for run in found.runs] == ["none", "spectral_norm"]
    (skipped,) = found.skipped
    assert skipped.folder.name == "bad"
    assert skipped.reason
    assert "\n" not in skipped.reason
    (table,) = make("normalizers", found.runs, found.skipped)
    (note,) = [note for note in table.notes if "skipped" in note]
    assert note == f"1 run folder skipped: bad ({skipped.reason})"
    assert "1 run folder skipped: bad" in " ".join(render(table).split())


def test_many_are_counted_and_the_report_lists_all(lab: Any) -> None:
    two_good(lab)
    for i in range(8):
        (lab.write("none", i, name=f"bad{i}", until=20) / "config.yaml").unlink()
    found = collect(lab.root)
    (table,) = make("normalizers", found.runs, found.skipped)
    assert any(
        note.startswith("8 run folders skipped: bad0 (") and "and 2 more" in note for note in table.notes
    )
    text = page(found.runs, found.skipped)
    assert all(f"bad{i}" in text for i in range(8))


def test_only_bad_folders_are_a_users_mistake_in_one_line(lab: Any) -> None:
    (lab.write("none", 0, name="bad") / "config.yaml").write_text("a: [")
    with pytest.raises(UserError, match=r"no run in .* can be read: bad: ") as error:
        collect(lab.root)
    assert "\n" not in str(error.value)


def test_the_commands_go_on_and_say_what_they_skip(lab: Any, tmp_path: Path, capsys: Any) -> None:
    two_good(lab)
    (lab.write("weight_norm", 0, name="bad") / "config.yaml").unlink()
    where = ["--runs", str(lab.root)]
    assert main(["table", "normalizers", *where]) == 0
    assert "1 run folder skipped: bad" in capsys.readouterr().out
    assert main(["table", "normalizers", *where, "--format", "csv"]) == 0
    assert "bad: its config.yaml is gone" in capsys.readouterr().err
    assert main(["figure", "fidelity", *where, "--out", str(tmp_path / "a.png")]) == 0
    assert "bad: its config.yaml is gone" in capsys.readouterr().err


def test_links_in_a_circle_end(lab: Any) -> None:
    two_good(lab)
    for name in ("here", "there"):
        (lab.root / name).symlink_to(lab.root, target_is_directory=True)
    assert len(collect(lab.root).runs) == 2


def test_a_folder_that_cannot_be_opened_is_named(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    two_good(lab)
    (lab.root / "locked").mkdir()
    scan = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = collect(lab.root)
    assert [(skip.folder.name, skip.reason) for skip in found.skipped] == [("locked", "Permission denied")]


# ---- damaged runs ----------------------------------------------------------------------------------------


def lines(folder: Path) -> list[str]:
    return (folder / "metrics.jsonl").read_text().splitlines(keepends=True)


def damage(folder: Path, how: str) -> None:
    """Damage the record of a finished run so that it could still be read."""
    metrics, rows = folder / "metrics.jsonl", lines(folder)
    match how:
        case "gone":
            metrics.unlink()
        case "empty":
            metrics.write_text("")
        case "stops early":
            metrics.write_text("".join(rows[:3]))
        case "last line cut":
            metrics.write_text("".join(rows)[:-20])
        case "a line broken":
            metrics.write_text("".join([*rows[:2], rows[2][:30] + "\n", *rows[3:]]))
        case "zeros in a line":
            metrics.write_bytes(
                "".join(rows[:2]).encode() + b"\x00" * 512 + b"\n" + "".join(rows[3:]).encode()
            )
        case "other numbers than the summary's":
            summary = json.loads((folder / "summary.json").read_text())
            (folder / "summary.json").write_text(json.dumps(summary | {"metrics": {FID: 3.25}}))


DAMAGE = {
    "gone": "its metrics.jsonl is gone", "empty": "ends at update 0 of 200",
    "stops early": "metrics.jsonl ends at update 50 of 200", "last line cut": "has 1 broken line",
    "a line broken": "has 1 broken line", "zeros in a line": "has 1 broken line",
    "other numbers than the summary's": f"metrics.jsonl and summary.json differ in {FID}",
}  # fmt: skip


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_record_is_no_result(how: str, lab: Any) -> None:
    """Not even where its early score would win."""
    two_good(lab)
    damage(lab.write("weight_norm", 0, name="hurt", metrics=lambda *_: {FID: 1.0}), how)
    found = collect(lab.root)
    assert found.skipped == []
    (hurt,) = [run for run in found.runs if run.normalizer == "weight_norm"]
    assert hurt.outcome == DAMAGED
    assert DAMAGE[how] in hurt.summary["reason"]
    (table,) = make("normalizers", found.runs)
    columns = [column.key for column in table.columns]
    (row,) = [row for row in table.rows if row[0].text == "weight norm"]
    assert row[columns.index("outcomes")].text == "1 damaged"
    assert row[columns.index(FID)].text == "–"
    assert any(note.startswith("1 damaged, which is no result: hurt (") for note in table.notes)
    text = " ".join(findings(found.runs))
    assert "spectral norm gives the lowest" in text
    assert "1 damaged, which is no result" in text


@pytest.mark.parametrize("outcome", [DIVERGED, KILLED, UNFINISHED])
def test_what_did_not_finish_may_stop_anywhere(outcome: str, lab: Any) -> None:
    damage(lab.write("none", 0, outcome=outcome, until=100), "last line cut")
    (run,) = collect(lab.root).runs
    assert run.outcome == outcome


def test_a_score_left_out_at_the_end_is_none(lab: Any) -> None:
    """An earlier one would stand under more updates than it saw."""
    lab.write(
        "none", 0, metrics=lambda n, s, step, p: {"loss/generator": 1.0} | ({FID: 9.0} if step < 200 else {})
    )
    (run,) = collect(lab.root).runs
    assert run.outcome == FINISHED
    assert final(run, FID) != final(run, FID)  # NaN
    assert final(run, "loss/generator") == 1.0
    assert "9.0" not in render(make("normalizers", [run]))


def test_words_among_the_metrics_are_left_alone(lab: Any) -> None:
    lab.write("none", 0, metrics=lambda *_: {"note": "a user's own", FID: 9.0, "sigma/exact/a": None})
    found = collect(lab.root)
    assert found.skipped == []
    assert "9.00" in render(make("normalizers", found.runs))
