"""The sweep files that ship: each is claimed, checked as the command does it, and the same to W&B's agent."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

import pytest
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from snlab.core.registry import parse
from snlab.core.resources import headline, sweeps
from snlab.networks import NETWORKS, Network
from snlab.networks.resnet import ResNet
from snlab.networks.standard_cnn import StandardCNN
from snlab.sweeps.check import PREVIEWED, Planned, check, mirrored, plan, quiet
from snlab.sweeps.document import Sweep, read_sweep
from snlab.training.arguments import FitCLI
from snlab.training.asked import leaves
from snlab.training.claim import Claim

pytestmark = pytest.mark.slow

FILES = sweeps()


# Of Miyato et al. 2018, each with its data set and a twin that two cores can train.
PAPERS = {
    "table2_cifar10": "table2_fashion_mnist",
    "table2_stl10": "table2_fashion_mnist",
    "table2_resnet_cifar10": "table2_resnet_fashion_mnist",
    "table2_resnet_stl10": "table2_resnet_fashion_mnist",
    "table7": "table7_fashion_mnist",
    "table8": "table8_fashion_mnist",
    "figure3_spectra": "figure3_spectra_fashion_mnist",
    "figure3_spectra_stl10": "figure3_spectra_fashion_mnist",
    "figure15_critic": "figure15_critic_fashion_mnist",
    "figure4_width": "figure4_width_fashion_mnist",
    "figure9_sigma": "figure9_sigma_fashion_mnist",
    "figure11_n_dis": "figure11_n_dis_fashion_mnist",
}


def test_there_are_some():
    assert set(FILES) >= {"normalizers_digits", "normalizers_photos", "settings_photos", "learning_rates"}
    assert set(FILES) >= {*PAPERS, *PAPERS.values(), "table2_seeds_fashion_mnist", "table2_2x_updates_stl10"}


@pytest.mark.parametrize("name", FILES)
def test_it_opens_with_its_claim_and_its_command(name):
    text = FILES[name].read_text()
    assert headline(FILES[name])[-1] in ".?)"
    comment = [line for line in text.splitlines() if line.startswith("#")]
    assert any(f"snlab sweep {name}" in line or f"sweeps/{name}.yaml" in line for line in comment)
    assert read_sweep(name).name == name


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of images have an eighth of their width, but by name and options are what they were."""
    build = NETWORKS.build

    def narrower(name: str) -> Network:
        network = build(name)
        if isinstance(network, StandardCNN | ResNet):
            network.width /= 8
        return network

    monkeypatch.setattr(NETWORKS, "build", narrower)


@pytest.mark.parametrize("name", FILES)
def test_every_value_of_it_builds_and_logs_the_metric(name, narrow):
    check(read_sweep(name))


@functools.cache
def cells(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Configurations that have every value of every parameter, each with the settings of its run.

    In a grid some two of them differ in each pair of neighbouring values alone; of a search, the first draws.
    """
    sweep = read_sweep(name)
    every = (
        sweep.configurations()
        if sweep.method == "grid"
        else itertools.islice(sweep.configurations(), PREVIEWED)
    )
    seen: set[str] = set()
    found = []
    with quiet():
        for configuration in every:
            values = {f"{key}={value}" for key, value in configuration.items()}
            if not values <= seen:
                found.append((configuration, FitCLI(as_wandb_passes(sweep, configuration)).settings))
            seen |= values
    return found


def as_wandb_passes(sweep: Sweep, configuration: dict[str, Any]) -> list[str]:
    given = {key: {"value": value} for key, value in configuration.items()}
    macros = create_sweep_command_args({"args": given})  # W&B's own spelling of ${args}
    return [w for word in sweep.command for w in (macros["args"] if word == "${args}" else [word])]


@pytest.mark.parametrize("name", FILES)
def test_every_value_is_a_run_of_its_own_as_wandb_would_pass_it(name):
    sweep = read_sweep(name)
    assert len({Claim.of(settings).identity for _, settings in cells(name)}) == len(cells(name)) > 1
    for configuration, settings in cells(name):
        assert sweep.arguments(configuration) == as_wandb_passes(sweep, configuration)
        for key, value in configuration.items():
            if key == "config" and isinstance(value, str):
                assert settings["data"] == FitCLI([f"--config={value}"]).settings["data"]
            else:
                asked = dict(leaves(value if key == "config" else {key: value}))
                assert {path: at(settings, path) for path in asked} == asked


@pytest.mark.parametrize("name", ["demo", "table7_fashion_mnist", "gradient_penalty_weight"])
def test_a_planned_trial_is_one_that_wandb_would_pass(name, tmp_path: Path):
    """What is W&B's affair stands before it, and may be said otherwise by the file."""
    sweep = read_sweep(name)
    trials = plan(sweep, tmp_path)
    assert len({trial.folder for trial in trials}) == len(trials)
    if sweep.method == "grid":  # of draws, two may be one run
        assert len(trials) == sweep.count
    start = len(mirrored(sweep))
    for trial in trials:
        words = as_wandb_passes(sweep, trial.configuration)
        assert trial.arguments[start : start + len(words)] == words


def at(settings, key: str):
    for word in key.split("."):
        settings = settings[word]
    return settings


# ---- Miyato et al. 2018 ----------------------------------------------------------------------------------


def choices(sweep: str, parameter: str) -> list[Any]:
    (found,) = [p for p in read_sweep(sweep).parameters if p.name == parameter]
    return list(found.choices)


def settings_of_its_base(sweep: str) -> dict[str, Any]:
    return FitCLI([word for word in read_sweep(sweep).command if word != "${args}"]).settings


def optimizer(model: dict[str, Any]) -> tuple[float, ...]:
    return (*(model["adam"][name] for name in ("lr", "beta1", "beta2")), model["n_dis"])


A, B, C, D, E, F = TABLE_1 = [  # α, β1, β2, n_dis
    (0.0001, 0.5, 0.9, 5),
    (0.0001, 0.5, 0.999, 1),
    (0.0002, 0.5, 0.999, 1),
    (0.001, 0.5, 0.9, 5),
    (0.001, 0.5, 0.999, 5),
    (0.001, 0.9, 0.999, 5),
]
RESNET = (0.0002, 0.0, 0.9, 5)  # the ResNet's rows of Table 2, and of Tables 7 and 8


@pytest.mark.parametrize("sweep", [name for name in FILES if name.startswith("table2") or "settings" in name])
def test_the_settings_are_those_of_table_1(sweep):
    if "config" in {parameter.name for parameter in read_sweep(sweep).parameters}:
        assert [optimizer(value["model"]) for value in choices(sweep, "config")] == TABLE_1
    elif "2x" in sweep:  # the settings that the paper names as the best on STL-10
        rows = [(row["normalizer"], optimizer(row)) for row in choices(sweep, "model")]
        assert rows == [("orthonormal", C), ("spectral_norm", B), ("spectral_norm", B)]
    elif "photos" not in sweep:
        assert optimizer(settings_of_its_base(sweep)["model"]) == RESNET


# The CNN's rows of Table 2, but those of twice as many updates; and which of them have a score on STL-10.
METHODS = {
    ("weight_clipping", "standard"): True,
    ("gradient_penalty", "standard"): False,
    ("gradient_penalty", "wasserstein"): True,
    ("batch_norm", "standard"): False,
    ("layer_norm", "standard"): True,
    ("weight_norm", "standard"): True,
    ("orthonormal", "standard"): True,
    ("spectral_norm", "standard"): True,
    ("spectral_norm", "hinge"): False,
}


@pytest.mark.parametrize(
    "sweep", ["settings_photos", "table2_fashion_mnist", "table2_cifar10", "table2_stl10"]
)
def test_the_methods_are_those_of_table_2(sweep):
    rows = [(row["normalizer"], row["loss"]) for row in choices(sweep, "model")]
    assert rows == [row for row, on_stl10 in METHODS.items() if on_stl10 or sweep != "table2_stl10"]


def test_the_resnet_s_rows_are_those_of_table_2():
    for sweep in ("table2_resnet_cifar10", "table2_resnet_stl10", "table2_resnet_fashion_mnist"):
        assert choices(sweep, "model.normalizer") == ["orthonormal", "spectral_norm"]
        model = settings_of_its_base(sweep)["model"]
        (network,) = parse(model["network"])
        assert (model["loss"], network.name) == ("hinge", "resnet")
        assert network.options.get("architecture", "cifar10") == ("stl10" if "stl10" in sweep else "cifar10")


@pytest.mark.parametrize(
    ("sweep", "rows"),
    [
        ("table7", [("cnn", n) for n in ("", "frobenius_norm", "weight_norm", "spectral_norm")]),
        ("table7", [("resnet", ""), ("resnet", "spectral_norm"), ("resnet 1.5", "spectral_norm")]),
        ("table8", [("resnet", ""), ("resnet", "spectral_norm"), ("resnet 1.5", "spectral_norm")]),
    ],
)
@pytest.mark.parametrize("data", ["", "_photos", "_fashion_mnist"])
def test_the_weights_are_those_of_tables_7_and_8(sweep, data, rows):
    """Each with a gradient penalty, and with a learned gain where they are normalized."""
    config = sweep == "table7" and data != "_photos"  # where the CNN's rows have a training of their own
    found = []
    for row in choices(sweep + data, "config" if config else "model"):
        model = row["model"] if config else row
        (network,) = parse(model["network"])
        *normalizers, last = parse(model["normalizer"])
        assert str(last) == "gradient_penalty"
        assert all(n.options["gain"] in (True, "layer") for n in normalizers)
        assert (network.options.get("conditional") == "auxiliary_classifier") == (sweep == "table8")
        assert network.options.get("architecture", "wgan_gp") == "wgan_gp"
        width = f" {network.options['width_d']}" if "width_d" in network.options else ""
        kind = network.name.removeprefix("standard_") + width
        found.append((kind, "+".join(n.name for n in normalizers)))
    assert [row for row in found if row[0].startswith(rows[0][0])] == rows


def test_the_cnn_and_the_resnet_of_table_7_are_each_trained_as_where_they_come_from():
    """Table 2's WGAN-GP at setting A; and Gulrajani et al. 2017 (footnote 9)."""
    rows = [settings for _, settings in cells("table7")]
    for row in rows:
        model, data = row["model"], row["data"]
        assert (model["loss"], model["batch_size"], row["generator_steps"]) == ("wasserstein", 64, 100_000)
        ours = (optimizer(model), model["generator_batch_size"], model["decay_from"], data["noise"])
        cnn = model["network"].startswith("standard_cnn")
        assert ours == ((A, None, None, False) if cnn else (RESNET, 128, 0, True))
    assert len(rows) == 7


@pytest.mark.parametrize("sweep", ["width_photos", "figure4_width_fashion_mnist", "figure4_width"])
def test_the_widths_and_the_setting_are_those_of_figure_4(sweep):
    networks = [parse(name)[0].options for name in choices(sweep, "model.network")]
    assert [options.get("last_width", 1) for options in networks] == [0.5, 1, 2, 4, 6, 8]
    assert set(choices(sweep, "model.normalizer")) == {"orthonormal", "spectral_norm"}
    assert optimizer(settings_of_its_base(sweep)["model"]) == C


@pytest.mark.parametrize("sweep", ["figure9_sigma_fashion_mnist", "figure9_sigma"])
def test_the_setting_is_that_of_figure_9(sweep):
    model = settings_of_its_base(sweep)["model"]
    assert (optimizer(model), model["normalizer"]) == (C, "spectral_norm")


@pytest.mark.parametrize("sweep", ["n_dis_photos", "figure11_n_dis_fashion_mnist", "figure11_n_dis"])
def test_the_updates_and_the_setting_are_those_of_figure_11(sweep):
    assert choices(sweep, "model.n_dis") == [1, 2, 5, 10, 20]
    assert choices(sweep, "model.normalizer") == ["weight_norm", "spectral_norm"]
    assert optimizer(settings_of_its_base(sweep)["model"])[:3] == D[:3]


@pytest.mark.parametrize("sweep", [*PAPERS, "table2_2x_updates_stl10"])
def test_full_size_is_the_paper_s_protocol(sweep):
    """100,000 updates in batches of 64 at full width, scored by the Inception network (section 4)."""
    settings = settings_of_its_base(sweep)
    updates = {"figure11_n_dis": 10_000, "table2_2x_updates_stl10": 200_000}
    assert settings["generator_steps"] == updates.get(sweep, 100_000)
    assert settings["model"]["batch_size"] == 64
    assert "width=" not in settings["model"]["network"]
    data = "stl10" if "stl10" in sweep or sweep == "figure4_width" else "cifar10"
    assert settings["data"]["dataset"] == data
    scored = "none" if sweep == "figure9_sigma" else "inception"
    assert (settings["measure"]["fidelity"], settings["measure"]["protocol"]) == (scored, "miyato2018")


@pytest.mark.parametrize("twin", sorted({*PAPERS.values(), "table2_seeds_fashion_mnist"}))
def test_a_twin_is_small(twin):
    """Fashion-MNIST at 16 x 16, every network at a quarter of its width; 1,000 updates for Table 2."""
    for _, settings in cells(twin):
        assert settings["data"]["dataset"] == "fashion_mnist(size=16)"
        assert parse(settings["model"]["network"])[0].options["width"] == 0.25
        assert settings["generator_steps"] >= (1000 if twin.startswith("table2") else 500)


def test_the_second_seed_s_first_runs_are_those_of_table_2():
    """Of the first setting, as of all: 9 runs, and of 8 three of the same; no normalizer is none of the 9."""
    first, second = read_sweep("table2_fashion_mnist"), read_sweep("table2_seeds_fashion_mnist")
    settings = choices(first.name, "config")
    assert choices(second.name, "config") == settings
    one, other = (
        {
            Planned.of(sweep, cell, Path("runs")).identity
            for cell in sweep.configurations()
            if cell["config"] == settings[0]
        }
        for sweep in (first, second)
    )
    assert (len(one), len(other), len(one & other)) == (9, 8, 3)
