"""The sweep files that ship: each is claimed, checked as the command does it, and the same to W&B's agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from snlab.core.registry import parse
from snlab.core.resources import headline, sweeps
from snlab.sweeps.check import check, mirrored, plan
from snlab.sweeps.document import read_sweep
from snlab.training.arguments import FitCLI
from snlab.training.asked import leaves

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
            if key == "config" and isinstance(value, str):
                assert settings["data"] == FitCLI([f"--config={value}"]).settings["data"]
            else:
                asked = dict(leaves(value if key == "config" else {key: value}))
                assert {path: at(settings, path) for path in asked} == asked


def at(settings, key: str):
    for word in key.split("."):
        settings = settings[word]
    return settings


def choices(sweep: str, parameter: str) -> list[Any]:
    (found,) = [p for p in read_sweep(sweep).parameters if p.name == parameter]
    return list(found.choices)


def test_the_settings_are_those_of_table_1():
    """α, β1, β2 and n_dis of Miyato et al. 2018, Table 1, A to F."""
    models = [value["model"] for value in choices("settings_photos", "config")]
    rows = [(*model["adam"].values(), model["n_dis"]) for model in models]
    assert rows == [
        (0.0001, 0.5, 0.9, 5),
        (0.0001, 0.5, 0.999, 1),
        (0.0002, 0.5, 0.999, 1),
        (0.001, 0.5, 0.9, 5),
        (0.001, 0.5, 0.999, 5),
        (0.001, 0.9, 0.999, 5),
    ]


def test_the_methods_are_those_of_table_2():
    """The CNN's rows in Miyato et al. 2018, Table 2; those of twice as many updates are left out."""
    rows = [(row["normalizer"], row["loss"]) for row in choices("settings_photos", "model")]
    assert rows == [
        ("weight_clipping", "standard"),
        ("gradient_penalty", "standard"),
        ("gradient_penalty", "wasserstein"),
        ("batch_norm", "standard"),
        ("layer_norm", "standard"),
        ("weight_norm", "standard"),
        ("orthonormal", "standard"),
        ("spectral_norm", "standard"),
        ("spectral_norm", "hinge"),
    ]


@pytest.mark.parametrize(
    ("sweep", "rows"),
    [
        ("table7_photos", [("cnn", n) for n in ("", "frobenius_norm", "weight_norm", "spectral_norm")]),
        ("table7_photos", [("resnet", ""), ("resnet", "spectral_norm"), ("resnet 1.5", "spectral_norm")]),
        ("table8_photos", [("resnet", ""), ("resnet", "spectral_norm"), ("resnet 1.5", "spectral_norm")]),
    ],
)
def test_the_weights_are_those_of_tables_7_and_8(sweep, rows):
    """Each with a gradient penalty, and with a learned gain where they are normalized."""
    found = []
    for row in choices(sweep, "model"):
        (network,) = parse(row["network"])
        *normalizers, last = parse(row["normalizer"])
        assert str(last) == "gradient_penalty"
        assert all(n.options["gain"] in (True, "layer") for n in normalizers)
        assert (network.options.get("conditional") == "auxiliary_classifier") == (sweep == "table8_photos")
        assert network.options.get("architecture", "wgan_gp") == "wgan_gp"
        width = f" {network.options['width_d']}" if "width_d" in network.options else ""
        kind = network.name.removeprefix("standard_") + width
        found.append((kind, "+".join(n.name for n in normalizers)))
    assert [row for row in found if row[0].startswith(rows[0][0])] == rows


def test_the_widths_and_the_updates_are_those_of_figures_4_and_11():
    networks = [parse(name)[0].options for name in choices("width_photos", "model.network")]
    assert [options.get("last_width", 1) for options in networks] == [0.5, 1, 2, 4, 6, 8]
    assert choices("n_dis_photos", "model.n_dis") == [1, 2, 5, 10, 20]
