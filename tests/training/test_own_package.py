"""A package of a user's own: installed, imported by ``--import``, or named by ``class_path``."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from snlab.cli import main
from snlab.tracking.run_folder import Run
from tests.forked import Command
from tests.sweeps.waiting import wait_for

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parent / "own_package"
NAMES = {
    "data.dataset": "spiral",
    "model.network": "tiny(width=8)",
    "model.loss": "soft_hinge(margin=2)",
    "model.normalizer": "spectral_norm+small_logits",
}
CLASSES = {
    "data": {"dataset": {"class_path": "own_gan.spiral"}},
    "model": {
        "network": {"class_path": "own_gan.Tiny", "init_args": {"width": 8}},
        "loss": {"class_path": "own_gan.soft_hinge", "init_args": {"margin": 2}},
        "normalizer": {"class_path": "own_gan.SmallLogits", "init_args": {"weight": 1}},
    },
}
SHORT = ["--measure.probe_size=16", "--measure.every=0.5", "--wandb.mode=disabled"]


def python(folder: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``python`` in ``folder``, by the command that does not put that on its path (-P)."""
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=folder,
        env=environment(path),
        capture_output=True,
        text=True,
        timeout=200,
    )


def environment(path: Path | None) -> dict[str, str]:
    known = [str(p) for p in (path, os.environ.get("PYTHONPATH")) if p]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(known)}


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def snlab(folder: Path, *words: str, path: Path | None = None) -> Command:
    """``snlab WORDS``, started in ``folder``, which the installed command does not put on its path either."""
    return Command(*words, log=folder / "said", cwd=folder, path=path)


def printed(command: Command) -> str:
    assert command.wait() == 0, command.out + command.err
    return command.out


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder that pip has installed the package into, from a copy, with nothing from anywhere else."""
    folder = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(PACKAGE, folder / "source")
    where = folder / "packages"
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    said(python(folder, *pip, "--disable-pip-version-check", "--target", str(where), str(source)))
    return where


def sweep_file(folder: Path, parameters: dict, *words: str) -> Path:
    document = {
        "method": "grid",
        "parameters": parameters,
        "command": ["snlab", "fit", "--generator_steps=2", *SHORT, *words, "${args}"],
    }
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def table_of(runs: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["table", "normalizers", "--runs", str(runs), "--format", "markdown"]) == 0
    return capsys.readouterr().out


def runs_in(folder: Path) -> list[Run]:
    return [Run.read(path.parent) for path in sorted(folder.glob("*/config.yaml"))]


def test_installed_it_is_listed_sweeps_and_stands_in_the_table(installed, tmp_path, capsys):
    lines = printed(snlab(tmp_path, "list", "normalizers", path=installed)).splitlines()
    penalties = lines.index("penalties: added to the discriminator's loss")
    assert "  small_logits(weight=0.1): The mean square of the logits of real samples." in lines[penalties:]
    losses = {"model.loss": {"values": ["hinge", "soft_hinge(margin=2)"]}}
    sweep_file(tmp_path, losses, *(f"--{key}={value}" for key, value in NAMES.items() if key != "model.loss"))
    printed(snlab(tmp_path, "sweep", "mine.yaml", "--workers", "2", path=installed))
    found = runs_in(tmp_path / "runs/mine")
    assert {run.config["model"]["loss"] for run in found} == set(losses["model.loss"]["values"])
    assert all(run.outcome == "finished" for run in found)
    assert all(f"own_gan.{name}" in run.config["sources"] for run in found for name in ("spiral", "Tiny"))
    table = table_of(tmp_path / "runs/mine", capsys)  # read without the package: the runs say what they are
    for words in ("spiral", "tiny (width=8)", "spectral norm + small logits", "loss=soft_hinge(margin=2)"):
        assert words in table, table


def test_installed_its_own_tests_pass(installed, tmp_path):
    shutil.copy(PACKAGE / "test_own_gan.py", tmp_path)
    done = python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", path=installed)
    assert "1 passed" in said(done)


def test_a_run_of_it_that_was_stopped_goes_on(installed, tmp_path):
    long = ("--generator_steps=300", "--checkpoint_every=10", "--resume")
    named = (f"--{key}={value}" for key, value in NAMES.items())
    command = ["fit", *SHORT, *long, *named]
    first = snlab(tmp_path, *command, path=installed)
    wait_for(lambda: list(tmp_path.glob("runs/*/checkpoints/*")))
    first.send_signal(signal.SIGTERM)
    assert first.wait(100) == 75, first.out + first.err
    (run,) = runs_in(tmp_path / "runs")
    assert run.outcome == "killed"
    stopped_at = run.summary["generator_step"]
    assert 0 < stopped_at < 300
    assert "finished at generator step 300" in printed(snlab(tmp_path, *command, path=installed))
    (run,) = runs_in(tmp_path / "runs")
    assert run.outcome == "finished"


def test_with_nothing_installed_import_and_class_path_do_the_same(tmp_path, capsys):
    """In one sweep, whose command imports the module, and in which one value is made of classes."""
    shutil.copy(PACKAGE / "own_gan.py", tmp_path)
    named = {group: {} for group in ("data", "model")}
    for key, value in NAMES.items():
        group, option = key.split(".")
        named[group][option] = value
    sweep_file(tmp_path, {"config": {"values": [named, CLASSES]}})
    printed(snlab(tmp_path, "sweep", "mine.yaml", "--workers", "2", "--import", "own_gan"))
    by_class, by_name = sorted(runs_in(tmp_path / "runs/mine"), key=lambda run: isinstance(run.dataset, str))
    assert {run.outcome for run in (by_class, by_name)} == {"finished"}
    names = {run.normalizer for run in (by_class, by_name)}
    assert names == {"SmallLogits(weight=1.0)", "spectral_norm+small_logits"}
    assert {tuple(sorted(run.config["sources"])) for run in (by_class, by_name)} == {
        tuple(sorted(f"own_gan.{name}" for name in ("spiral", "Tiny", "soft_hinge", "SmallLogits")))
    }
    table = table_of(tmp_path / "runs/mine", capsys)
    for words in (
        "Tiny(latent_dim=4, width=8)",
        "(margin=2.0) loss",
        "SmallLogits(weight=1.0)",
        "small logits",
    ):
        assert words in table, table
    lines = printed(snlab(tmp_path, "list", "losses", "--import", "own_gan"))
    assert "soft_hinge(margin=1.0): The hinge loss with its corner rounded." in lines
