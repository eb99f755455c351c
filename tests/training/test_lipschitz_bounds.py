"""``measure.lipschitz_bounds`` in runs: what it adds to them, and what it leaves as it was."""

from __future__ import annotations

import pytest

from snlab.callbacks.sigma import Sigma
from snlab.training.build import build_data, build_gan
from snlab.training.measurements import MeasureOptions, measurements

ADDED = {"lipschitz/lower", "lipschitz/certified", "lipschitz/looseness"}
SMALL = ("--data.dataset", "mixture(kind=ring)", "--generator_steps", "4", "--measure.every", "2")


def test_it_adds_three_numbers_and_changes_none(fit):
    options = (*SMALL, "--model.network", "mlp(width=8, depth=2)")
    plain = fit(*options, network=False)
    asked = fit(*options, "--measure.lipschitz_bounds", "true", network=False)
    assert asked.folder != plain.folder  # another trial: it has other numbers to show
    for step in (2, 4):
        row, before = asked.rows[step], plain.rows[step]
        assert row.keys() - before.keys() == ADDED
        assert {k: v for k, v in row.items() if k in before and not k.startswith("time/")} == {
            k: v for k, v in before.items() if not k.startswith("time/")
        }
        assert row["lipschitz/gradient_max"] <= row["lipschitz/lower"] * (1 + 1e-6)
        assert row["lipschitz/lower"] <= row["lipschitz/certified"] <= row["lipschitz/product"]
        looseness = row["lipschitz/product"] / row["lipschitz/certified"]
        assert row["lipschitz/looseness"] == pytest.approx(looseness)


@pytest.mark.parametrize(
    ("dataset", "network", "normalizer", "added"),
    [
        ("mixture(kind=ring, size=200)", "mlp(width=8)", "spectral_norm", ADDED),
        ("mixture(kind=ring, size=200)", "mlp(width=8)", "layer_norm", {"lipschitz/lower"}),
        ("mixture(kind=ring, size=200)", "mlp(width=8, conditional=true)", "none", {"lipschitz/lower"}),
        ("digits", "standard_cnn(width=0.0625)", "weight_norm", {"lipschitz/lower"}),
    ],
)
def test_what_is_announced_is_what_is_measured(dataset, network, normalizer, added):
    data = build_data(dataset).dataset
    gan = build_gan(list(data.sample_shape), network=network, normalizer=normalizer, classes=data.classes)
    options = MeasureOptions(fidelity="none", probe_size=16, lipschitz_bounds=True)
    (sigma,) = (m for m in measurements(options, gan, data, 0) if isinstance(m, Sigma))
    measured = sigma.measure(None, gan)  # type: ignore[arg-type]
    assert measured.keys() == sigma.logs(gan)
    assert {name for name in measured if name in ADDED} == added
