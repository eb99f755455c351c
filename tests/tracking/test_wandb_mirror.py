"""What reaches W&B, read back from the file that its own client writes offline."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import wandb
from wandb.proto import wandb_internal_pb2 as protocol

from snlab.core import names
from snlab.tracking.run_folder import Run
from snlab.tracking.wandb_mirror import WandbMirror, WandbOptions
from snlab.tracking.wandb_tables import SCORE_COLUMNS, SPECTRUM_COLUMNS

pytestmark = pytest.mark.slow


def records(path: Path) -> Iterator[protocol.Record]:
    """The records of a .wandb file: LevelDB's log format behind a header of seven bytes."""
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, pending = 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        pending += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = protocol.Record()
            record.ParseFromString(pending)
            yield record
            pending = b""


def offline_file(run: Run) -> Path:
    """The run's file, whole: W&B's service may write its last block after ``finish`` returned."""
    wandb.teardown()
    (path,) = run.folder.glob("wandb/offline-run-*/*.wandb")
    assert any(record.HasField("exit") for record in records(path))
    return path


def nested(items) -> dict:
    """The items of a record, whose keys may be paths, as nested dictionaries."""
    found: dict = {}
    for item in items:
        *path, last = item.nested_key or [item.key]
        place = found
        for word in path:
            place = place.setdefault(word, {})
        place[last] = json.loads(item.value_json)
    return found


def history(path: Path) -> list[dict]:
    return [nested(record.history.item) for record in records(path) if record.HasField("history")]


def config(path: Path) -> dict:
    (start,) = (r.run for r in records(path) if r.HasField("run"))
    return nested(start.config.update)


def artifacts(path: Path) -> list:
    return [
        r.request.log_artifact.artifact if r.HasField("request") else r.artifact
        for r in records(path)
        if r.HasField("artifact") or (r.HasField("request") and r.request.HasField("log_artifact"))
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    from snlab.training.fit import fit

    run = fit(
        [
            *("--generator_steps", "4", "--measure.every", "2", "--measure.fidelity", "none"),
            *(
                "--model.network",
                "standard_cnn(width=0.125)",
                "--model.normalizer",
                "gradient_penalty(weight=1)",
            ),
            *(
                "--runs",
                str(tmp_path_factory.mktemp("runs")),
                "--wandb.mode",
                "offline",
                "--wandb.group",
                "test",
            ),
        ]
    )
    assert run.outcome == "finished"
    return run


def test_the_mirror_holds_every_number_of_the_folder(run):
    logged: dict[int, dict] = {}
    for row in history(offline_file(run)):
        logged.setdefault(row["generator_step"], {}).update(row)
    for step, row in run.rows.items():
        for name, value in row.items():
            if not isinstance(value, list):
                assert logged[step][name] == pytest.approx(value, rel=1e-6), name


def test_spectra_are_histograms_and_samples_one_image(run):
    rows = history(offline_file(run))
    spectra = [value for row in rows for name, value in row.items() if name == "spectrum/conv1"]
    assert len(spectra) == 2
    assert all(value["_type"] == "histogram" for value in spectra)
    assert sum(spectra[0]["values"]) == len(run.rows[2]["spectrum/conv1"])
    samples = [row["samples"] for row in rows if "samples" in row]
    assert samples
    assert all(value["_type"] == "image-file" for value in samples)


def test_tables_hold_the_last_scores_and_spectra_of_the_folder(run):
    path = offline_file(run)
    held = {}
    for row in history(path):
        for name in row.keys() & {names.TABLE_SCORES, names.TABLE_SPECTRA}:
            assert (row["generator_step"], row[name]["_type"]) == (4, "table-file")
            held[name] = json.loads((path.parent / "files" / row[name]["path"]).read_text(encoding="utf-8"))
    assert {name: tuple(table["columns"]) for name, table in held.items()} == {
        names.TABLE_SCORES: SCORE_COLUMNS,
        names.TABLE_SPECTRA: SPECTRUM_COLUMNS,
    }
    (scores,) = held[names.TABLE_SCORES]["data"]
    said = dict(zip(SCORE_COLUMNS, scores, strict=True))
    assert (said["run"], said["normalizer"]) == (run.folder.name, run.normalizer)
    assert (said["outcome"], said["score"], said["value"]) == ("finished", None, None)
    layers: dict[str, list[float]] = {}
    for _, _, layer, index, value in held[names.TABLE_SPECTRA]["data"]:
        layers.setdefault(layer, []).append(value)
        assert index == len(layers[layer])  # this network has too few to thin out
    for layer, values in layers.items():
        assert values == pytest.approx(sorted(run.rows[4][f"spectrum/{layer}"], reverse=True))
    assert {*layers} == {name.removeprefix("spectrum/") for name in run.names("spectrum/")} - {"dense"}


def test_the_configuration_is_complete_and_there_once(run):
    assert {k: v for k, v in config(offline_file(run)).items() if k != "_wandb"} == run.config


def test_generator_step_is_the_step_of_everything(run):
    metrics = [r.metric for r in records(offline_file(run)) if r.HasField("metric")]
    assert {(m.name or m.glob_name, m.step_metric) for m in metrics} == {
        ("generator_step", ""),
        ("*", "generator_step"),
    }


def test_name_group_and_identity(run):
    (start,) = (r.run for r in records(offline_file(run)) if r.HasField("run"))
    assert (start.run_id, start.display_name, start.run_group) == (
        run.summary["identity"],
        run.folder.name,
        "test",
    )


def test_an_unreachable_server_leaves_the_run_offline(tmp_path):
    """In a process of its own: wandb keeps what it learned of its server for as long as a process lives."""
    code = (
        "import sys, pathlib, snlab.tracking.wandb_mirror as t\n"
        "t.INIT_TIMEOUT_SECONDS = 1\n"
        "mirror = t.WandbMirror(t.WandbOptions(), pathlib.Path(sys.argv[1]), 'abc', {'a': 1})\n"
        "mirror.log_metrics({'x': 1.0}, step=3)\n"
        "mirror.close('finished', failed=False)\n"
    )
    nowhere = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40, "WANDB_MODE": "online"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, **nowhere},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "W&B does not start (" in done.stderr
    assert "the run goes on, mirrored offline" in done.stderr
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert history(path)[0]["x"] == 1.0


def test_no_word_in_the_environment_ends_a_run(tmp_path):
    """W&B itself refuses each of these, some of them for an offline run as well."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.wandb.ai login user password short\n", encoding="utf-8")
    (tmp_path / "settings").write_bytes(b"\xff[default\n")
    cases = {
        "40+ characters": {"WANDB_API_KEY": "short"},
        "API key must have 40+": {"NETRC": str(netrc)},
        "between 1 and 64 characters": {"WANDB_TAGS": "x" * 70},
        "valid boolean": {"WANDB_SILENT": "maybe"},
        "'online', 'offline'": {"WANDB_MODE": "onlin"},
        "valid URL": {"WANDB_BASE_URL": "nonsense", "WANDB_MODE": "online"},
        "utf-8": {"WANDB_CONFIG_DIR": str(tmp_path)},
    }
    script = str(Path(__file__).with_name("odd_environments.py"))
    free = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    done = subprocess.run(
        [sys.executable, script, str(tmp_path), json.dumps(list(cases.values()))],
        capture_output=True,
        text=True,
        env=free | {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for number, words in enumerate(cases):
        (path,) = (tmp_path / str(number)).glob("wandb/offline-run-*/*.wandb")
        assert history(path)[0]["x"] == 1.0
        (said,) = (tmp_path / f"{number}.said").read_text(encoding="utf-8").splitlines()
        assert words in said
        assert said.startswith("warning: W&B does not start (")
        assert said.endswith("; the run goes on, mirrored offline")


def test_without_any_wandb_a_run_goes_on(monkeypatch, tmp_path, recwarn):
    monkeypatch.setattr("wandb.init", lambda **_: (_ for _ in ()).throw(OSError("no space")))
    mirror = WandbMirror(WandbOptions(mode="online"), tmp_path, "abc", {})
    mirror.log_metrics({"x": [1.0, 2.0]}, step=3)
    mirror.log_samples(torch.zeros(4, 1, 8, 8), 3)
    mirror.upload_checkpoint(tmp_path / "none.ckpt")
    mirror.close("finished", failed=False)
    assert [str(warning.message) for warning in recwarn if "W&B" in str(warning.message)] == [
        "W&B does not start (no space); the run goes on without"
    ]


def test_what_is_mirrored_offline_is_shown_nowhere(run):
    assert run.wandb_url is None


@pytest.mark.parametrize(("mode", "variable"), [("disabled", "online"), ("auto", "disabled")])
def test_disabled_starts_and_writes_nothing(mode, variable, tmp_path, monkeypatch, recwarn):
    monkeypatch.setenv("WANDB_MODE", variable)
    monkeypatch.setattr("wandb.init", lambda **_: pytest.fail("it is started"))
    mirror = WandbMirror(WandbOptions(mode=mode), tmp_path, "abc", {})
    mirror.log_metrics({"x": [1.0, 2.0]}, step=3)
    mirror.log_samples(torch.zeros(4, 1, 8, 8), 3)
    mirror.upload_checkpoint(tmp_path / "none.ckpt")
    mirror.close("finished", failed=False)
    assert mirror.experiment is None
    assert not [*tmp_path.iterdir()]
    assert not [warning for warning in recwarn if "W&B" in str(warning.message)]


def test_losing_wandb_half_way_does_not_end_a_run(fit, monkeypatch, capsys):
    def broken(self, *_, **__):
        raise RuntimeError("the service died")

    monkeypatch.setattr("wandb.sdk.wandb_run.Run.log", broken)
    run = fit("--generator_steps", "3", "--measure.fidelity", "none", "--wandb.mode", "offline")
    assert run.outcome == "finished"
    assert "loss/discriminator" in run.names()
    said = [line for line in capsys.readouterr().err.splitlines() if "W&B" in line]
    assert said == ["warning: W&B is lost at generator step 1 (the service died); the run goes on without"]


def test_a_temporary_folder_that_is_cleared_away_ends_no_run(fit, monkeypatch, capsys, tmp_path):
    gone = SimpleNamespace(name=str(tmp_path / "gone"))
    monkeypatch.setattr("wandb.sdk.data_types.image.MEDIA_TMP", gone)
    run = fit("--generator_steps", "3", "--measure.fidelity", "none", "--wandb.mode", "offline")
    assert run.outcome == "finished"
    rows = history(offline_file(run))
    assert [row["generator_step"] for row in rows if "loss/discriminator" in row] == [1, 2, 3]
    said = [line for line in capsys.readouterr().err.splitlines() if "W&B" in line]
    assert len(said) == 3
    assert all("W&B lacks the samples of generator step" in line for line in said)


def test_a_checkpoint_is_an_artifact_where_asked(fit, run):
    options = ("--generator_steps", "2", "--measure.fidelity", "none", "--wandb.mode", "offline")
    asked = fit(*options, "--wandb.checkpoints", "true")
    (artifact,) = (one for one in artifacts(offline_file(asked)) if one.type != "run_table")
    assert artifact.type == "model"
    assert artifact.name == f"checkpoint-{asked.summary['identity']}"
    (entry,) = artifact.manifest.contents or [None]
    assert entry.path == "step-00000002.ckpt"
    assert {one.type for one in artifacts(offline_file(run))} == {"run_table"}
