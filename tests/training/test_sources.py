"""The user's own code is part of what a run is."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from snlab.tracking.run_folder import Run
from snlab.training.arguments import FitCLI
from snlab.training.claim import Claim
from snlab.training.sources import sources

pytestmark = pytest.mark.slow

CALLBACK = """
from pytorch_lightning import Callback

class Clip(Callback):
    def __init__(self, limit: float = 0.01) -> None:
        self.limit = limit

def at_start(trainer, module):
    pass
"""


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """``module(text)``: an importable file of the user's, of a name that no other test has; its name."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def write(text: str) -> str:
        name = f"mine_{abs(hash(request.node.nodeid))}_{len(names)}"
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)
        importlib.invalidate_caches()
        return name

    yield write
    for name in names:
        sys.modules.pop(name, None)


def identity_of(*arguments: str) -> str:
    return Claim.of(FitCLI(arguments).settings).identity


def edited(name: str) -> None:
    path = Path(sys.modules[name].__file__)
    path.write_text(path.read_text() + "\n# changed\n")


def test_a_callback_counts_with_its_arguments_and_its_source(module):
    name = module(CALLBACK)
    with_clip = ("--trainer.callbacks", f"{name}.Clip")
    plain, clipped = identity_of(), identity_of(*with_clip)
    assert identity_of(*with_clip, "--trainer.callbacks.limit", "0.01") == clipped
    other = identity_of(*with_clip, "--trainer.callbacks.limit", "0.02")
    assert len({plain, clipped, other}) == 3
    edited(name)
    assert identity_of(*with_clip) not in {plain, clipped, other}
    assert identity_of() == plain


def test_one_callback_and_a_list_of_one_are_the_same(module):
    name = module(CALLBACK)
    one = f"{{'trainer': {{'callbacks': {{'class_path': '{name}.Clip'}}}}}}"
    many = f"{{'trainer': {{'callbacks': [{{'class_path': '{name}.Clip'}}]}}}}"
    assert identity_of("--config", one) == identity_of("--config", many)


def test_a_base_class_and_a_function_count_too(module):
    base = module(CALLBACK)
    derived = module(f"from {base} import Clip\n\nclass Mine(Clip):\n    pass\n")
    importlib.import_module(derived)
    named = {"callbacks": [{"class_path": f"{derived}.Mine"}], "hook": f"{base}.at_start"}
    before = sources(named)
    assert before.keys() == {f"{derived}.Mine", f"{base}.at_start"}
    edited(base)
    after = sources(named)
    assert all(before[name] != after[name] for name in before)


@pytest.mark.parametrize(
    "value",
    [
        "pytorch_lightning.callbacks.EarlyStopping",
        "snlab.normalizers.gradient_penalty.GradientPenalty",
        "os.path.join",
        "never.imported.Name",
        "digits.yaml",
        "1.5",
        "standard_cnn(width=0.125)",
    ],
)
def test_what_is_no_code_of_the_users_is_left_out(value):
    assert sources({"x": [value]}) == {}


def test_a_configuration_fed_back_says_where_its_code_has_changed(module, tmp_path, recwarn):
    name = module(CALLBACK)
    cli = FitCLI(["--trainer.callbacks", f"{name}.Clip"])
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(cli.settings))
    again = FitCLI(["--config", str(path)])
    assert again.settings["sources"] == cli.settings["sources"] != {}
    assert not [w for w in recwarn if "has changed" in str(w.message)]
    edited(name)
    assert FitCLI(["--config", str(path)]).settings["sources"] != cli.settings["sources"]
    assert [w for w in recwarn if f"{name}.Clip has changed" in str(w.message)]


DISTRIBUTION = """
from snlab.distributions import GaussianMixture
import torch

def two(dim: int = 2, apart: float = 1.0) -> GaussianMixture:
    return GaussianMixture(torch.stack((torch.zeros(dim), torch.full((dim,), apart))), 0.5)
"""


def test_the_distribution_of_a_fixed_generator_counts_with_its_source(module):
    name = module(DISTRIBUTION)
    options = ("--data.dataset=gaussian", f"--model.network=fixed(distribution={name}.two(apart=2))")
    before = identity_of(*options)
    cli = FitCLI(options)
    cli.build()
    assert cli.settings["sources"].keys() == {f"{name}.two"}
    assert cli.model.generator.distribution.of.modes[1].tolist() == [2, 2]
    edited(name)
    assert identity_of(*options) != before
    ours = FitCLI(["--data.dataset=gaussian", "--model.network=fixed(discriminator=mlp(width=4))"])
    assert not ours.settings.get("sources")


OWN = """
from snlab.normalizers import Normalizer

class Own(Normalizer):
    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight
"""


def test_a_module_is_found_from_the_working_directory_in_a_sweeps_runs_too(tmp_path):
    """By the installed command, which python does not start with the working directory on its path (-P)."""
    (tmp_path / "own.py").write_text(OWN)
    normalizer = {"class_path": "own.Own", "init_args": {"weight": 2}}
    small = ("--generator_steps=1", "--measure.fidelity=none", "--model.network=standard_cnn(width=0.125)")
    document = {
        "method": "grid",
        "parameters": {"config": {"values": [{"model": {"normalizer": normalizer}}]}},
        "command": ["snlab", "fit", *small, "${args}"],
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document))
    command = [sys.executable, "-P", "-m", "snlab", "sweep", "mine.yaml", "--workers", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (path for path in (tmp_path / "runs/mine").iterdir() if path.is_dir())
    assert folder.name.startswith("digits-Own_weight=2.0-seed0-")
    assert Run.read(folder).outcome == "finished"
    assert Run.read(folder).config["sources"].keys() == {"own.Own"}
