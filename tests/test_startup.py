"""What starts quickly: by the modules that are not imported, which are the same on every machine."""

from __future__ import annotations

import ast
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import SMALL

pytestmark = pytest.mark.slow

LIBRARIES = {
    *(
        "pytorch_lightning",
        "lightning_fabric",
        "jsonargparse",
        "torchvision",
        "torchmetrics",
        "torch_fidelity",
    ),
    *("scipy", "sklearn", "matplotlib", "wandb", "optuna", "sqlalchemy", "torch._dynamo"),
}


def python(code: str, *arguments: str) -> list[str]:
    """The last line that ``code`` prints, a list."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout.splitlines()[-1])


def test_a_list_needs_torch_alone():
    code = (
        "import sys; from snlab.cli import main\n"
        "for kind in ('normalizers', 'losses', 'networks', 'datasets'): assert main(['list', kind]) == 0\n"
        "assert main(['data', 'list']) == 0\n"
        "print(list(sys.modules))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    modules = python(code)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "torch" in modules
    assert LIBRARIES.isdisjoint(modules)
    # Some 1 s of an idle core, as importing torch is; 4 s when Lightning came with it.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 4


def test_fit_imports_wandb_first_and_neither_searches_for_studies_nor_draws():
    """wandb's models each look through all modules that are there: after torch that takes a second."""
    code = (
        "import gc, sys; from snlab.cli import main\n"
        "assert main(['fit', '--no-such-option']) == 2\n"
        "assert gc.isenabled()\n"
        "print([str(gc.get_freeze_count()), *sys.modules])"
    )
    frozen, *modules = python(code)
    assert int(frozen) > 100_000
    assert modules.index("wandb.sdk.launch.inputs.internal") < modules.index("torch")
    unneeded = {"optuna", "sqlalchemy", "sklearn", "snlab.results", "snlab.sweeps.study"}
    assert unneeded.isdisjoint(modules)


def test_a_run_without_wandb_does_not_import_it(tmp_path):
    words = ["fit", *SMALL, "--generator_steps=1", "--measure.fidelity=none", "--wandb.mode=disabled"]
    code = "import sys; from snlab.cli import main; assert main(sys.argv[1:]) == 0; print(list(sys.modules))"
    assert "wandb" not in python(code, *words, "--runs", str(tmp_path))


def test_a_sweep_imports_wandb_first(tmp_path):
    """Its agent's code spells what a run is given."""
    code = "import sys; from snlab.cli import main; assert main(sys.argv[1:]) == 2; print(list(sys.modules))"
    modules = python(code, "sweep", str(tmp_path / "none.yaml"))
    assert modules.index("wandb.sdk.launch.inputs.internal") < modules.index("torch")


def test_a_dry_run_trains_no_extractor(tmp_path):
    path = tmp_path / "one.yaml"
    sweep = {
        "method": "grid",
        "metric": {"name": "fid/embedded-digits", "goal": "minimize"},
        "parameters": {"model.n_dis": {"values": [1, 2]}},
        "command": ["snlab", "fit", *SMALL, "--generator_steps=1000", "${args}"],
    }
    path.write_text(yaml.safe_dump(sweep), encoding="utf-8")
    cache = tmp_path / "cache"
    command = [
        sys.executable,
        "-m",
        "snlab",
        "sweep",
        path,
        "--dry-run",
        "--workers",
        "2",
        "--runs",
        tmp_path,
    ]
    environment = {**os.environ, "SNLAB_CACHE": str(cache)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "2 runs, 2 to do: about" in done.stdout
    assert "2 runs as timed here over a few updates (1 of 1 kinds of run)" in done.stdout
    assert not cache.exists()
    assert sorted(Path(tmp_path).iterdir()) == [path]
