"""Whole runs of networks that are given labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from snlab.callbacks.checkpoint import Checkpoint
from snlab.cli import main
from snlab.data import DATASETS, DataSet
from snlab.sweeps.check import _logged
from snlab.tracking.run_folder import Run
from snlab.training.build import build_data, build_gan
from tests.comparing import assert_equal

KINDS = ("projection", "concatenation", "auxiliary_classifier")
SMALL = "width=0.03125"
RUN = (
    *("--generator_steps", "4", "--checkpoint_every", "1", "--measure.every", "2"),
    *("--measure.samples_every", "2", "--measure.fidelity", "none"),
)


def network(kind: str) -> tuple[str, str]:
    return ("--model.network", f"resnet(conditional={kind}, {SMALL})")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_run_goes_on_as_if_it_had_not(fit, tmp_path, monkeypatch, kind):
    options = (
        *("--model.normalizer", "spectral_norm+gradient_penalty", "--model.n_dis", "2"),
        *("--model.ema_decay", "0.9", "--model.loss", "hinge"),
    )
    whole = fit(*RUN, *network(kind), *options, "--runs", str(tmp_path / "whole"))
    original = Checkpoint.on_train_batch_end

    def stop(self, trainer, *args):
        original(self, trainer, *args)
        if trainer.global_step == 3:
            raise RuntimeError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="power"):
            fit(*RUN, *network(kind), *options)
    resumed: Run = fit(*RUN, *network(kind), *options, "--resume")
    assert resumed.outcome == whole.outcome == "finished"
    assert_equal(resumed, whole)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["digits", "photos"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_trains_and_is_measured(fit, kind, dataset):
    """What the run is said to log is there, and the classifier's own weight is none of the logits'."""
    words = ["--data.dataset", dataset, *network(kind), "--model.loss", "hinge"]
    words += ["--generator_steps", "10", "--measure.every", "5", "--measure.fidelity", "none"]
    words += ["--measure.probe_size", "32"]
    run: Run = fit(*words, network=False)
    assert run.outcome == "finished"
    assert set(run.names()) == _logged(words, {})
    last = run.rows[10]
    assert not [name for name, value in last.items() if value is None and not name.startswith("ratio/")]
    assert last["lipschitz/gradient_max"] <= last["lipschitz/product"]
    assert "sigma/conv/classifier" not in last
    assert ("sigma/exact/classifier" in last) == (kind == "auxiliary_classifier")


def test_bfloat16_trains(fit):
    run: Run = fit(*RUN, *network("projection"), "--trainer.precision", "bf16-mixed")
    assert run.outcome == "finished"


@pytest.mark.slow
def test_every_class_of_a_ring_goes_to_its_own_mode(tmp_path):
    """Of a run's own samples: four in five lie nearest to the mode that their label names."""
    arguments = [
        *("fit", "--data.dataset", "mixture(kind=ring)", "--model.network", "mlp(conditional=true)"),
        *("--generator_steps", "300", "--measure.every", "300", "--measure.samples_every", "300"),
        *("--model.adam.lr", "0.001", "--wandb.mode", "disabled", "--runs", str(tmp_path)),
    ]
    assert main(arguments) == 0
    (folder,) = tmp_path.iterdir()
    data = build_data("mixture(kind=ring)").dataset
    gan = build_gan([2], network="mlp(conditional=true)", classes=data.classes)
    state = torch.load(max((folder / "checkpoints").glob("*.ckpt")), weights_only=True)["state_dict"]
    gan.load_state_dict(state)
    labels = torch.arange(800) % 8
    samples = gan.generate(torch.randn(800, 2, generator=torch.Generator().manual_seed(0)), labels)
    assert data.density is not None
    nearest = torch.cdist(samples, data.density.modes).argmin(1)
    assert (nearest == labels).float().mean() > 0.8


# ---- labels that are missing ----------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch) -> str:
    """The name of a data set without labels."""

    def unlabelled() -> DataSet:
        data = build_data("mixture(kind=ring, size=200)").dataset
        return replace(data, train_labels=None, heldout_labels=None)

    monkeypatch.setitem(DATASETS._factories, "bare", unlabelled)
    return "bare"


MISSING = "network mlp(conditional=true) is conditional; it wants a data set with labels"


def test_without_labels_a_run_is_refused_in_one_line(bare, tmp_path, capsys):
    words = ["fit", "--data.dataset", bare, "--model.network", "mlp(conditional=true)"]
    assert main([*words, "--wandb.mode", "disabled", "--runs", str(tmp_path / "runs")]) == 2
    assert capsys.readouterr().err.splitlines() == [f"snlab: {MISSING}"]
    assert not (tmp_path / "runs").exists()


def test_without_labels_a_sweep_is_refused_in_one_line(bare, tmp_path, capsys):
    path: Path = tmp_path / "some.yaml"
    networks = ["mlp", "mlp(conditional=true)"]
    document = {
        "method": "grid",
        "parameters": {"model.network": {"values": networks}},
        "command": ["snlab", "fit", f"--data.dataset={bare}", "--measure.fidelity=none", "${args}"],
    }
    path.write_text(yaml.safe_dump(document))
    assert main(["sweep", str(path), "--runs", str(tmp_path / "runs")]) == 2
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if not line.startswith("warning: ")]
    assert line.endswith(f"value 'mlp(conditional=true)': {MISSING}")
    assert not (tmp_path / "runs").exists()
