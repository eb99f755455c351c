"""Every normalizer in training: on every embedded data set, and stopped and gone on with."""

from __future__ import annotations

import pytest

from snlab.normalizers import NORMALIZERS
from tests.comparing import assert_same, last_checkpoint, rows, whole_and_resumed
from tests.variants import ALL, VARIANTS

pytestmark = pytest.mark.slow

DATA = {
    "digits": "standard_cnn(width=0.125)",
    "photos": "standard_cnn(width=0.0625)",
    "mixture(kind=ring)": "flow(width=8, couplings=2)",
    "mixture(kind=grid)": "mlp(width=16, depth=2)",
    "mixture(kind=random, dim=64)": "flow(width=8, couplings=2, latent_dim=64)",
}


RUNS = [(dataset, name) for dataset in DATA for name in NORMALIZERS.names()]
RUNS += [(dataset, name) for dataset in ("digits", "mixture(kind=ring)") for name in VARIANTS]


@pytest.mark.parametrize(("dataset", "normalizer"), RUNS)
def test_every_normalizer_trains_on_every_data_set(fit, dataset, normalizer):
    run = fit(
        *("--data.dataset", dataset, "--model.network", DATA[dataset], "--model.normalizer", normalizer),
        *("--generator_steps", "10", "--measure.every", "10", "--measure.fidelity", "none"),
    )
    assert run.outcome == "finished"
    assert run.dataset == dataset
    missing = [name for name, value in run.rows[10].items() if value is None]
    assert not [name for name in missing if not name.startswith(("ratio/", "modes/kl"))]


@pytest.mark.parametrize("normalizer", ALL)
def test_every_normalizer_goes_on_bit_for_bit(fit, tmp_path, monkeypatch, normalizer):
    """After a stop between two checkpoints, as by kill -9."""
    options = (
        *("--model.normalizer", normalizer, "--model.n_dis", "2", "--generator_steps", "6"),
        *("--checkpoint_every", "3", "--measure.every", "2", "--measure.fidelity", "none"),
    )
    whole, resumed = whole_and_resumed(fit, options, 4, tmp_path, monkeypatch)
    assert_same(last_checkpoint(resumed), last_checkpoint(whole))
    assert rows(resumed) == rows(whole)
