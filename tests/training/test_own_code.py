"""The user's own code from the command line: how it is named, and what is wrong with it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch
import yaml

from snlab.cli import main
from snlab.data import DATASETS
from snlab.losses import LOSSES
from snlab.networks import NETWORKS
from snlab.normalizers import NORMALIZERS
from snlab.sweeps.check import check, plan
from snlab.sweeps.command_line import fit_words, with_words
from snlab.sweeps.document import read_sweep
from snlab.training import build
from snlab.training.arguments import FitCLI
from snlab.training.claim import Claim
from snlab.training.fit import fit
from snlab.training.own import gathered

OWN = (Path(__file__).parent / "own_package/own_gan.py").read_text(encoding="utf-8")
BAD = """
import torch
from snlab.data import DataSet
from snlab.losses import Loss
from snlab.networks import Network
from snlab.normalizers import Normalizer

def float64() -> DataSet:
    return DataSet("float64", torch.zeros(8, 2).double(), torch.zeros(8, 2).double())

def bright() -> DataSet:
    return DataSet("bright", torch.full((8, 1, 16, 16), 2.0), torch.zeros(8, 1, 16, 16))

def late() -> DataSet:
    blank = torch.zeros(8, 2)
    return DataSet("late", blank, blank, load=lambda: DataSet("late", blank / 0, blank))

def labels() -> DataSet:
    return DataSet("labels", torch.zeros(8, 2), torch.zeros(8, 2), torch.full((8,), 9), classes=3)

class Blind(Network):
    def __init__(self, latent_dim: int = 4) -> None:
        self.latent_dim = latent_dim
    def generator(self, sample_shape):
        return torch.nn.Linear(self.latent_dim, *sample_shape)
    def discriminator(self, sample_shape):
        return torch.nn.Linear(*sample_shape, 1)

def flat() -> Loss:
    return Loss(lambda real, fake: real - fake, lambda fake, real: -fake.mean())

class Lost(Normalizer):
    def attach(self, discriminator):
        pass

def anything() -> int:
    return 3
"""
SMALL = (
    "--model.network=mlp(width=8, depth=1)",
    "--data.dataset=mixture(size=64)",
    "--measure.probe_size=16",
)


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """Modules in the working directory; forgotten, with what they register, afterwards."""
    (tmp_path / "own_code.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "bad_code.py").write_text(BAD, encoding="utf-8")
    (tmp_path / "broken_code.py").write_text("import nowhere_at_all", encoding="utf-8")
    (tmp_path / "ours_again.py").write_text(OWN.replace('"soft_hinge"', '"hinge"'), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for registry in (DATASETS, LOSSES, NETWORKS, NORMALIZERS):
        monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    before = set(sys.modules)
    importlib.invalidate_caches()
    yield
    for name in set(sys.modules) - before:
        if name.endswith(("_code", "_again")):
            del sys.modules[name]


def settings(*arguments: str) -> dict:
    return FitCLI(arguments).settings


def identity(*arguments: str) -> str:
    return Claim.of(settings(*arguments)).identity


# ---- names ----------------------------------------------------------------------------------------------

DOTTED = (
    "--data.dataset=own_code.spiral(turns=1)",
    "--model.network=own_code.Tiny(width=8)",
    "--model.loss=own_code.soft_hinge(margin=2)",
    "--model.normalizer=spectral_norm+own_code.SmallLogits(weight=2)",
)
REGISTERED = (
    "--import=own_code",
    "--data.dataset=spiral(turns=1)",
    "--model.network=tiny(width=8)",
    "--model.loss=soft_hinge(margin=2)",
    "--model.normalizer=spectral_norm+small_logits(weight=2)",
)
CLASS_PATHS = (
    "--data.dataset={class_path: own_code.spiral, init_args: {turns: 1}}",
    "--model.network=own_code.Tiny",
    "--model.network.width=8",
    "--model.loss=own_code.soft_hinge",
    "--model.loss.margin=2",
    "--model.normalizer={'class_path': 'own_code.SmallLogits', 'init_args': {'weight': 2}}",
)


@pytest.mark.parametrize(
    "arguments", [DOTTED, REGISTERED, CLASS_PATHS], ids=["dotted", "registered", "class_path"]
)
def test_what_is_the_users_own_is_built(arguments):
    cli = FitCLI(arguments)
    assert cli.settings["sources"].keys() == {
        f"own_code.{name}" for name in ("spiral", "Tiny", "soft_hinge", "SmallLogits")
    }
    cli.build()
    own_code = sys.modules["own_code"]
    gan, data = cli.model, cli.datamodule.dataset
    torch.testing.assert_close(data.train, own_code.spiral(turns=1.0).train)
    assert gan.generator[0].out_features == 8
    logits = torch.tensor([0.5, -1.0])
    expected = 2 * torch.nn.functional.softplus(2 + torch.zeros(1)).item()
    assert gan.loss.discriminator(logits * 0, logits * 0).item() == pytest.approx(expected)
    assert getattr(gan.normalizer, "parts", [gan.normalizer])[-1].weight == 2


def test_the_same_code_is_digested_alike_however_it_is_named_and_a_change_is_another_trial():
    by_name, by_dots, by_class = (settings(*way)["sources"] for way in (REGISTERED, DOTTED, CLASS_PATHS))
    assert by_name == by_dots == by_class
    before = {way: identity(*way) for way in (REGISTERED, DOTTED, CLASS_PATHS)}
    path = Path("own_code.py")
    path.write_text(path.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    assert all(identity(*way) != before[way] for way in before)


def test_an_import_that_nothing_is_used_of_changes_no_identity():
    assert identity(*SMALL) == identity(*SMALL, "--import", "own_code")
    assert settings(*SMALL, "--import=own_code")["sources"] == {}


def test_identities_of_before_are_what_they_were():
    """As the version before names of the user's own computed them."""
    assert identity() == "d59369ee0604"
    assert identity(*SMALL) == "39af76d792d6"
    assert identity("--model.normalizer=spectral_norm+gradient_penalty(weight=1)") == "7a65ef4d2bcc"


def test_imports_add_up_wherever_they_stand(tmp_path):
    (tmp_path / "one.yaml").write_text("import: json\n", encoding="utf-8")
    assert settings("--import=own_code", "--config=one.yaml")["import"] == ["json", "own_code"]
    many = settings("--import", "own_code", "--config={'import': ['json', 'own_code']}", "--import", "csv")
    assert many["import"] == ["json", "own_code", "csv"]
    assert settings()["import"] == []
    kept = tmp_path / "config.yaml"
    kept.write_text(yaml.safe_dump(settings(*REGISTERED)), encoding="utf-8")
    assert identity("--config=config.yaml") == identity(*REGISTERED)


def test_the_option_takes_one_word():
    assert gathered(["--import", "a", "x", "--import=b"]) == ["x", "--import+=a", "--import+=b"]


# ---- sweeps ---------------------------------------------------------------------------------------------


def sweep(folder: Path, values: dict, *words: str):
    document = {
        "method": "grid",
        "parameters": {name: {"values": list(its)} for name, its in values.items()},
        "command": ["snlab", "fit", "--generator_steps=2", *words, *SMALL, "${args}"],
    }
    path = folder / "some.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return read_sweep(path)


def test_a_sweep_tries_names_and_classes_out_and_its_runs_import(tmp_path):
    by_class = {"class_path": "own_code.soft_hinge", "init_args": {"margin": 2}}
    values = {"model.loss": ["hinge", "soft_hinge", "own_code.soft_hinge(margin=3)", by_class]}
    found = sweep(tmp_path, values).importing(["own_code"])
    check(found)
    trials = plan(found, tmp_path / "runs")
    assert len({trial.identity for trial in trials}) == 4
    assert all("--import=own_code" in trial.arguments for trial in trials)
    same = sweep(tmp_path, values, "--import=own_code")
    assert [t.identity for t in plan(same, tmp_path / "runs")] == [t.identity for t in trials]
    assert found.digest == sweep(tmp_path, values).digest  # so it draws and searches as it did


def test_a_sweep_on_wandb_says_what_its_agents_import(tmp_path):
    document = sweep(tmp_path, {"model.loss": ["soft_hinge"]}).document
    told = with_words(document, ["--import=own_code"])
    assert fit_words(told)[-2:] == ("--import=own_code", "${args}")
    assert {**told, "command": None} == {**document, "command": None}
    assert with_words(document, []) == document
    bare = {key: value for key, value in document.items() if key != "command"} | {"program": "snlab"}
    assert with_words(bare, ["--import=a"])["command"][-2:] == ["--import=a", "${args}"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("own_code.soft_hing", "value 'own_code.soft_hing': loss 'own_code.soft_hing': own_code has no"),
        (
            "bad_code.flat",
            "value 'bad_code.flat': loss bad_code.flat: discriminator(real_logits, fake_logits) has",
        ),
        (
            {"class_path": "bad_code.flat"},
            "loss flat: discriminator(real_logits, fake_logits) has shape (4,)",
        ),
        ({"class_path": "own_code.soft_hing"}, "own_code has no 'soft_hing'; did you mean 'soft_hinge'?"),
    ],
)
def test_a_sweep_refuses_what_no_run_could_use(tmp_path, capsys, value, said):
    sweep(tmp_path, {"model.loss": ["hinge", value]})
    assert main(["sweep", "some.yaml", "--workers", "1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "some.yaml: parameter model.loss, value " in line
    assert said in line


# ---- what is wrong --------------------------------------------------------------------------------------

MAPPING = '--config={"data": {"dataset": {"class_path": "%s", "init_args": {%s}}}}'


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--import=broken_code"],
            "--import broken_code: ModuleNotFoundError: No module named 'nowhere_at_all'",
        ),
        (["--import", "nothing_there"], "--import nothing_there: ModuleNotFoundError: No module named"),
        (["--import", "--resume"], "--import wants a module's name"),
        (
            ["--import=ours_again"],
            "ValueError: loss 'hinge' is registered twice: by snlab.losses.hinge and by o",
        ),
        (['--config={"import": "broken_code"}'], "--import broken_code: ModuleNotFoundError"),
        (
            ["--import=own_code", "--data.dataset=spirals"],
            "unknown data set 'spirals'; did you mean 'spiral'?",
        ),
        (
            ["--import=own_code", "--model.loss=soft_hinge(marge=1)"],
            "has no option 'marge'; did you mean 'margin'?",
        ),
        (
            ["--data.dataset=broken_code.x"],
            "data set 'broken_code.x': ModuleNotFoundError: No module named 'no",
        ),
        (["--data.dataset=own_code.spirals"], "own_code has no 'spirals'; did you mean 'spiral'?"),
        (["--data.dataset=own_code.Tiny"], "'own_code.Tiny' is no subclass of DataSet, and no function that"),
        (["--data.dataset=bad_code.anything"], "data set bad_code.anything is a int; a DataSet is wanted"),
        (["--model.network=own_code.Tiny(widht=3)"], "has no option 'widht'; did you mean 'width'?"),
        ([MAPPING % ("own_code.spirals", "")], "own_code has no 'spirals'; did you mean 'spiral'?"),
        ([MAPPING % ("broken_code.x", "")], "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        (
            [MAPPING % ("own_code.Tiny", "")],
            "'own_code.Tiny' is no subclass of DataSet, and no function that",
        ),
        ([MAPPING % ("own_code.spiral", '"trun": 1')], "has no option 'trun'; did you mean 'turns'?"),
        ([MAPPING % ("own_code.spiral", '"turns": "many"')], "option --data.dataset: "),
        (["--data.dataset={class_path: own_code.spirals}"], "did you mean 'spiral'?"),
        (
            ["--data.dataset={class_path: own_code.spiral, init_args: {turns: many}}"],
            "option --data.dataset: ",
        ),
        (
            ["--data.dataset={path: own_code.spiral}"],
            "is no name, and no mapping of class_path and init_args",
        ),
        (
            ["--data.dataset=bad_code.float64"],
            "data set bad_code.float64: train is float64; float32 is wanted",
        ),
        (["--data.dataset={class_path: bad_code.float64}"], "data set float64: train is float64; float32 is"),
        (
            ["--data.dataset=bad_code.bright"],
            "data set bad_code.bright: train has values from 2 to 2; images",
        ),
        (
            ["--data.dataset=bad_code.labels"],
            "data set bad_code.labels: train_labels of 3 classes are from 0 to",
        ),
        ([*SMALL, "--data.dataset=bad_code.late"], "data set bad_code.late: train has values that are NaN"),
        (["--data.dataset={class_path: bad_code.labels}"], "train_labels of 3 classes are from 0 to 2, got"),
        (
            [*SMALL, "--model.network=bad_code.Blind"],
            "network bad_code.Blind: what its discriminator gives has sh",
        ),
        (
            [*SMALL, "--model.network={class_path: bad_code.Blind}"],
            "network Blind: what its discriminator gives",
        ),
        (
            [*SMALL, "--model.loss=bad_code.flat"],
            "loss bad_code.flat: discriminator(real_logits, fake_logits) h",
        ),
        (
            [*SMALL, "--model.normalizer=none+bad_code.Lost"],
            "normalizer bad_code.Lost: attach returns a NoneType",
        ),
        (
            [*SMALL, "--model.normalizer={class_path: bad_code.Lost}"],
            "normalizer Lost: attach returns a NoneTyp",
        ),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(arguments, said, capsys, tmp_path):
    assert main(["fit", "--wandb.mode=disabled", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("snlab: ")
    assert said in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", [["list", "losses"], ["table", "normalizers"], ["sweep", "some.yaml"]])
def test_every_command_says_what_does_not_import(command, capsys):
    assert main([*command, "--import", "broken_code"]) == 2
    assert "--import broken_code: ModuleNotFoundError" in capsys.readouterr().err


# ---- trying out -----------------------------------------------------------------------------------------


def test_a_runs_numbers_are_the_same_with_and_without_trying_out(tmp_path, monkeypatch):
    def numbers(name: str) -> list:
        words = (*DOTTED, "--generator_steps=3", "--measure.probe_size=16", "--wandb.mode=disabled")
        run = fit([*words, f"--run_folder={tmp_path / name}"])
        return [
            {key: value for key, value in row.items() if not key.startswith("time/")}
            for row in run.rows.values()
        ]

    tried = numbers("tried")
    called = []
    for check_one in ("check_dataset", "check_network", "check_loss", "check_normalizer"):
        monkeypatch.setattr(build, check_one, lambda *_, name=check_one: called.append(name))
    assert numbers("untried") == tried
    assert len(called) == 4
    assert len(tried) == 3
