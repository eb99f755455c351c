"""The sweep files that ship: each is claimed, checked as the command does it, and the same to W&B's agent."""

from __future__ import annotations

from pathlib import Path

import pytest
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from snlab.core.resources import headline, sweeps
from snlab.sweeps.check import check, mirrored, plan
from snlab.sweeps.document import read_sweep
from snlab.training.arguments import FitCLI

pytestmark = pytest.mark.slow

FILES = sweeps()


def test_there_are_some():
    assert set(FILES) >= {"normalizers_digits", "normalizers_photos", "settings_photos", "learning_rates"}


@pytest.mark.parametrize("name", FILES)
def test_it_opens_with_its_claim_and_its_command(name):
    text = FILES[name].read_text()
    assert headline(FILES[name])[-1] in ".?)"
    comment = [line for line in text.splitlines() if line.startswith("#")]
    assert any(f"snlab sweep {name}" in line or f"sweeps/{name}.yaml" in line for line in comment)
    assert read_sweep(name).name == name


@pytest.mark.parametrize("name", FILES)
def test_every_value_of_it_builds_and_logs_the_metric(name):
    """Half a minute on two cores for those on photographs: the feature extractor is trained first."""
    check(read_sweep(name))


@pytest.mark.parametrize("name", FILES)
def test_every_trial_has_a_run_of_its_own_as_wandb_would_pass_it(name, tmp_path: Path):
    sweep = read_sweep(name)
    trials = plan(sweep, tmp_path)
    assert len({trial.folder for trial in trials}) == len(trials) > 1
    for trial in trials:
        given = {key: {"value": value} for key, value in trial.configuration.items()}
        macros = create_sweep_command_args({"args": given})  # W&B's own spelling of ${args}
        words = [w for word in sweep.command for w in (macros["args"] if word == "${args}" else [word])]
        start = len(mirrored(sweep))  # what is W&B's affair, and may be said otherwise by the file
        assert trial.arguments[start : start + len(words)] == words
        settings = FitCLI(words).settings
        for key, value in trial.configuration.items():
            if key != "config":
                assert at(settings, key) == value
            elif isinstance(value, str):
                assert settings["data"] == FitCLI([f"--config={value}"]).settings["data"]
            else:
                assert settings["model"]["n_dis"] == value["model"]["n_dis"]
                assert settings["model"]["adam"] == value["model"]["adam"]


def at(settings, key: str):
    for word in key.split("."):
        settings = settings[word]
    return settings


def test_the_settings_are_those_of_table_1():
    """α, β1, β2 and n_dis of Miyato et al. 2018, Table 1, A to F."""
    sweep = read_sweep("settings_photos")
    (parameter,) = [p for p in sweep.parameters if p.name == "config"]
    rows = [(*v["model"]["adam"].values(), v["model"]["n_dis"]) for v in parameter.choices]
    assert rows == [
        (0.0001, 0.5, 0.9, 5),
        (0.0001, 0.5, 0.999, 1),
        (0.0002, 0.5, 0.999, 1),
        (0.001, 0.5, 0.9, 5),
        (0.001, 0.5, 0.999, 5),
        (0.001, 0.9, 0.999, 5),
    ]
