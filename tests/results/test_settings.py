"""Table 1's settings and the paper's methods, read off a run's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snlab.results.settings import METHODS, SETTINGS, letter_of, method_of, setting_of
from snlab.tracking.run_folder import Run


def run(normalizer: Any = "none", **model: Any) -> Run:
    adam = {"lr": 0.0002, "beta1": 0.5, "beta2": 0.999}
    return Run(Path("run"), {"model": {"normalizer": normalizer, "n_dis": 1, "adam": adam} | model}, {})


# Table 1: learning rate, betas, discriminator updates a generator update.
TABLE_1 = {
    "A": (1e-4, 0.5, 0.9, 5), "B": (1e-4, 0.5, 0.999, 1), "C": (2e-4, 0.5, 0.999, 1),
    "D": (1e-3, 0.5, 0.9, 5), "E": (1e-3, 0.5, 0.999, 5), "F": (1e-3, 0.9, 0.999, 5),
}  # fmt: skip


def test_every_setting_of_table_1_has_its_letter() -> None:
    assert [*SETTINGS] == [*TABLE_1]
    for letter, (lr, beta1, beta2, n_dis) in TABLE_1.items():
        of = run(n_dis=n_dis, adam={"lr": lr, "beta1": beta1, "beta2": beta2})
        assert letter_of(of) == letter
        assert setting_of(of) == (lr, beta1, beta2, n_dis)


def test_other_settings_have_none() -> None:
    adam = {"lr": 0.0002, "beta1": 0.5, "beta2": 0.999}
    assert letter_of(run()) == "C"
    assert letter_of(run(generator_adam=adam)) == "C"
    assert letter_of(run(generator_adam=adam | {"lr": 0.0001})) is None
    assert letter_of(run(n_dis=5)) is None
    assert letter_of(run(adam=adam | {"beta1": 0.0})) is None
    for unknown in (None, {}, {"lr": "fast", "beta1": 0.5, "beta2": 0.9}):
        assert setting_of(run(adam=unknown)) is None


def test_n_dis_may_be_left_open() -> None:
    adam = {"lr": 0.001, "beta1": 0.5, "beta2": 0.9}
    for n_dis in (1, 5, 20):
        assert letter_of(run(n_dis=n_dis, adam=adam), but_n_dis=True) == "D"
    assert letter_of(run(n_dis=20, adam=adam)) is None


@pytest.mark.parametrize(
    ("normalizer", "loss", "name"),
    [
        ("gradient_penalty(weight=10, kind=two_sided)", "standard", "GAN-GP"),
        ("gradient_penalty", "wasserstein", "WGAN-GP"),
        ("gradient_penalty(weight=1)", "wasserstein", "gradient penalty (weight=1) (wasserstein)"),
        ("weight_norm(gain=false)", "standard", "weight norm"),
        ("weight_norm(gain=layer)", "standard", "weight norm (gain=layer)"),
        ("spectral_norm(exact=false)", "hinge", "spectral norm (hinge)"),
        ({"class_path": "mine.Clip", "init_args": {"limit": 0.1}}, "standard", "Clip(limit=0.1)"),
    ],
)  # fmt: skip
def test_a_method_is_known_however_its_defaults_are_written(normalizer: Any, loss: str, name: str) -> None:
    assert str(method_of(run(normalizer, loss=loss))) == name


def test_the_papers_methods_are_in_its_order() -> None:
    assert [str(method) for method in METHODS] == [
        "weight clipping", "GAN-GP", "WGAN-GP", "batch norm", "layer norm", "weight norm", "orthonormal",
        "spectral norm",
    ]  # fmt: skip
