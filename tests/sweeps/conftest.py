"""Servers for the tests of sweeps, and what they run against W&B's: the real client's commands, and ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.sweeps.servers import postgresql, slurm
from tests.sweeps.wandb_server import WandbServer

__all__ = ["at_wandb", "folder", "postgresql", "python", "slurm", "sweep_file", "wandb", "wandb_server"]

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
TINY = (
    *("--generator_steps=3", "--model.network=standard_cnn(width=0.125)", "--measure.fidelity=none"),
    "--measure.probe_size=16",
)


@pytest.fixture(scope="module")
def wandb_server() -> Iterator[WandbServer]:
    with WandbServer() as server:
        yield server
    assert not server.unknown, f"the client asked what the server does not know: {server.unknown}"


@pytest.fixture(scope="module")
def at_wandb(wandb_server: WandbServer) -> dict[str, str]:
    """The environment of a user who is logged in to the tests' server, with snlab on the path."""
    paths = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return wandb_server.environment(os.environ) | paths


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the user stands: runs/ lands here."""
    return tmp_path_factory.mktemp("user")


@pytest.fixture(scope="module")
def wandb(at_wandb: dict[str, str], folder: Path) -> Callable[..., subprocess.Popen[str]]:
    """``wandb(*words)``: the client's own command, started."""
    return lambda *words: _started([BIN / "wandb", *words], at_wandb, folder)


@pytest.fixture(scope="module")
def python(at_wandb: dict[str, str], folder: Path) -> Callable[..., subprocess.Popen[str]]:
    """``python(code, *words, **environment)``: Python code as a command of the same user, started."""
    return lambda code, *words, **more: _started(
        [sys.executable, "-c", code, *words], at_wandb | more, folder
    )


def _started(command: list, environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def sweep_file(folder: Path) -> Callable[..., Path]:
    """``sweep_file(parameters, *options)``: the file of a grid of tiny runs."""

    def of(parameters: dict[str, list], *options: str) -> Path:
        command = ["snlab", "fit", "--config=digits_setting_c", "--resume", *TINY, *options, "${args}"]
        document = {
            "name": "tiny",
            "program": "snlab",
            "method": "grid",
            "metric": {"name": "loss/discriminator", "goal": "minimize"},
            "parameters": {name: {"values": values} for name, values in parameters.items()},
            "command": command,
        }
        path = folder / f"{'-'.join(parameters)}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    return of
