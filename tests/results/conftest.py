"""Run folders with known numbers, written in the real format."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snlab.results.reading import collect
from snlab.tracking.identity import identity
from snlab.tracking.run_folder import DIVERGED, FINISHED, UNFINISHED, RunWriter

LAYERS = ["conv1", "conv2", "conv3", "dense"]
STEPS = [0, 20, 50, 100, 150, 200]
NORMALIZERS = ["none", "weight_norm", "gradient_penalty", "spectral_norm"]
EXTRACTOR = "embedded-digits"


def rank_of(normalizer: str) -> int:
    """1 for none, up to 4 for spectral norm and for any other."""
    return 1 + NORMALIZERS.index(normalizer) if normalizer in NORMALIZERS else 4


def digits_metrics(normalizer: str, seed: int, step: int, progress: float) -> dict[str, Any]:
    """What a run on digits logs, made up: smooth in the step, spectral norm best, seeds 2 apart in FID."""
    rank = rank_of(normalizer)
    exact = [1 + 6 * progress, 2.5, 1 + progress, 1.0][rank - 1]
    hump = 0.02 * np.exp(-8 * progress) if rank == 4 else 0.0
    metrics: dict[str, Any] = {}
    for depth, layer in enumerate(LAYERS):
        metrics[f"sigma/exact/{layer}"] = exact * (1 + 0.05 * depth * (rank < 4)) + hump
        metrics[f"sigma/raw/{layer}"] = 0.6 + 0.3 * depth + progress + 0.05 * seed
        count = 1 if layer == "dense" else 16
        decay = [0.9, 0.5, 0.2, 0.05][rank - 1]
        metrics[f"spectrum/{layer}"] = [float(np.exp(-decay * i)) for i in range(count)]
    fid = 110 - 20 * rank + 2 * seed + 200 * (1 - progress) ** 2
    metrics |= {
        f"fid/{EXTRACTOR}": fid, f"kid/{EXTRACTOR}": fid / 1e4, f"recall/{EXTRACTOR}": 0.3 + 0.1 * seed,
        f"inception_score/{EXTRACTOR}": 5.0, f"precision/{EXTRACTOR}": 0.7,
        **{f"sigma/conv/{layer}": 1.5 * exact for layer in LAYERS},
        "lipschitz/gradient_max": 3.0 + seed, "lipschitz/product": 12.0, "loss/discriminator": 1.0,
        "ratio/generalisation_gap": 0.4 * progress * (normalizer == "none"),
        "ratio/drift": (2 - progress) / rank, "ratio/saturation": 0.9 * progress / rank,
        "ratio/log_mass_fake": -3 * progress / rank + 0.1 * seed, "ratio/effective_sample_size": 0.2 * rank,
        "ratio/calibration_error": 0.3 * progress / rank, "time/images_per_second": 800.0 + 10 * seed,
        "time/diagnostics_share": 0.03,
    }  # fmt: skip
    return metrics


def ring_metrics(normalizer: str, seed: int, step: int, progress: float) -> dict[str, Any]:
    row = {k: v for k, v in digits_metrics(normalizer, seed, step, progress).items() if EXTRACTOR not in k}
    rank = rank_of(normalizer)
    return row | {
        "modes/covered": 2.0 * rank * progress, "modes/high_quality": 0.22 * rank * progress,
        "ratio/true_rmse": (2 - progress) / rank, "ratio/true_correlation": 0.2 * rank * progress,
    }  # fmt: skip


def grid(folder: Path, step: int, seed: int) -> None:
    from matplotlib.image import imsave

    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:64, 0:64]
    imsave(folder / f"{step:06d}.png", np.sin((x + 3 * seed) / 3) * np.cos(y / 4), cmap="gray")


def points(folder: Path, step: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    angle = rng.integers(0, 8, 400) * np.pi / 4
    cloud = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.05 * rng.standard_normal((400, 2))
    np.save(folder / f"{step:06d}.npy", cloud.astype(np.float32))


def ring_modes() -> np.ndarray:
    """(8, 2), the centres about which ``points`` lie."""
    angle = np.arange(8) * np.pi / 4
    return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)


@dataclasses.dataclass
class Lab:
    """Writes runs below ``root``."""

    root: Path

    def write(
        self,
        normalizer: Any,
        seed: int = 0,
        dataset: str = "digits",
        outcome: str = FINISHED,
        until: int = STEPS[-1],
        digest: str | None = "c0ffee" * 8,
        metrics: Callable[[str, int, int, float], dict[str, Any]] | None = None,
        name: str | None = None,
        torch: str = "2.11.0",
        machine: str = "x86_64 CPU, 1 thread(s)",
        **model: Any,
    ) -> Path:
        """One run's folder; a run that finished did so at ``until``."""
        ring = dataset.startswith("mixture")
        metrics = metrics or (ring_metrics if ring else digits_metrics)
        writer = RunWriter(self.root / (name or f"{dataset}-{normalizer}-{seed}"))
        network = "mlp" if ring else "standard_cnn(width=0.25)"
        config = {
            "seed_everything": seed, "generator_steps": until if outcome == FINISHED else STEPS[-1],
            "runs": str(self.root),
            "model": {"normalizer": normalizer, "loss": "standard", "network": network, "n_dis": 1,
                      "batch_size": 64, "adam": {"lr": 2e-4, "beta1": 0.5, "beta2": 0.999}} | model,
            "data": {"dataset": dataset}, "measure": {"every": 0.01}, "trainer": {"devices": 1},
        }  # fmt: skip
        writer.write_config(config)
        for step in sorted({s for s in [*STEPS, until] if 0 <= s <= until}):
            writer.append_metrics(step, metrics(normalizer, seed, step, min(step / STEPS[-1], 1.0)))
        (points if ring else grid)(writer.folder / "samples", until, seed)
        if outcome != UNFINISHED:
            writer.write_summary({
                "outcome": outcome, "reason": "the loss is not finite" if outcome == DIVERGED else None,
                "generator_step": until, "identity": identity(config),
                "seconds": 12.5, "device": "cpu", "machine": machine,
                "versions": {"torch": torch, "snlab": "0.1.0"},
                "extractors": {EXTRACTOR: digest} if digest and not ring else {}, "metrics": {},
            })  # fmt: skip
        return writer.folder


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "runs")


def fill(lab: Lab) -> None:
    """Four normalizers, two seeds each on digits (one diverged), one each on the ring (one unfinished)."""
    for normalizer in NORMALIZERS:
        for seed in (0, 1):
            diverged = (normalizer, seed) == ("none", 1)
            lab.write(
                normalizer, seed, outcome=DIVERGED if diverged else FINISHED, until=100 if diverged else 200
            )
        unfinished = normalizer == "weight_norm"
        lab.write(
            normalizer, 0, "mixture(kind=ring)",
            outcome=UNFINISHED if unfinished else FINISHED, until=100 if unfinished else 200,
        )  # fmt: skip


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    lab = Lab(tmp_path_factory.mktemp("demo"))
    fill(lab)
    return collect(lab.root).runs
