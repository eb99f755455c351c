"""When a run is measured is no part of what it trains: runs that differ in it are seeds of one trial."""

from __future__ import annotations

import pytest
import torch

from snlab.core import names
from snlab.tracking.identity import MEASURING, identity, trial
from snlab.tracking.run_folder import Run

OFTEN = ("--measure.every", "1", "--measure.fidelity_every", "2", "--measure.samples_every", "1")
RARELY = ("--measure.every", "4", "--measure.fidelity", "none", "--measure.lipschitz_bounds", "true")


@pytest.mark.parametrize("normalizer", ["spectral_norm", "gradient_penalty"])
def test_a_run_trains_the_same_however_often_it_is_measured(fit, normalizer):
    model = ("--data.dataset", "mixture(kind=ring)", "--model.network", "mlp(width=8)", "--model.normalizer")
    often, rarely = (
        Run.read(fit(*model, normalizer, "--generator_steps", "4", *how, network=False).folder)
        for how in (OFTEN, RARELY)
    )
    assert often.folder != rarely.folder
    assert identity(often.config) != identity(rarely.config)
    assert trial(often.config) == trial(rarely.config)
    for name in (f"{names.RATIO}/{names.SATURATION}", f"{names.RATIO}/{names.LOG_MASS_FAKE}"):
        assert often.series(name)[1][-1] == rarely.series(name)[1][-1]
    weights = [
        torch.load(max((run.folder / "checkpoints").glob("*.ckpt")), weights_only=False)["state_dict"]
        for run in (often, rarely)
    ]
    assert weights[0].keys() == weights[1].keys()
    tensors = {name: weight for name, weight in weights[0].items() if isinstance(weight, torch.Tensor)}
    assert len(tensors) > 10
    for name, weight in tensors.items():
        assert torch.equal(weight, weights[1][name]), name


def test_every_option_of_measuring_is_one_of_measure():
    from dataclasses import fields

    from snlab.training.measurements import MeasureOptions

    assert set(MEASURING) == {field.name for field in fields(MeasureOptions)} - {"probe_size", "protocol"}
