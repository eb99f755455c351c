"""What several tests need: one cache of extractors for all of them, and quick runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the same sums in the same order, whoever else is busy
os.environ["WANDB_MODE"] = "offline"


def pytest_configure(config: pytest.Config) -> None:
    """Tests of what is the same bit for bit see no GPU: on one, sums come in any order."""
    if "not gpu" in config.option.markexpr:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


SMALL = (
    "--model.network",
    "standard_cnn(width=0.125)",
    "--model.batch_size",
    "16",
    "--measure.probe_size",
    "32",
)


@pytest.fixture(scope="session", autouse=True)
def extractor_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of the tests' own, shared by all workers of this session, so that one of them trains."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "snlab-cache"
    os.environ["SNLAB_CACHE"] = str(folder)
    return folder


@pytest.fixture
def arguments(tmp_path: Path) -> Callable[..., list[str]]:
    """``arguments(*more)``: those of a small run below tmp_path/runs, overridden by what is given."""

    def of(*more: str, network: bool = True) -> list[str]:
        small = SMALL if network else SMALL[2:]
        return [*small, "--runs", str(tmp_path / "runs"), "--wandb.mode", "disabled", *more]

    return of


@pytest.fixture
def fit(arguments: Callable[..., list[str]]) -> Callable[..., object]:
    """``fit(*more)``: the run of those arguments, trained."""
    from snlab.training.fit import fit as train

    return lambda *more, **kwargs: train(arguments(*more, **kwargs))
