"""Run folders for the paper's figures, and what a figure shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from snlab.results.figures.miyato2018 import PAPER
from snlab.results.figures.style import style
from snlab.results.reading import collect
from snlab.results.settings import SETTINGS
from snlab.tracking.run_folder import DIVERGED

EXTRACTOR = "embedded-digits"
COLUMN, PAGE = 3.25, 6.75


def figure(number: int, lab: Any, width: float = PAGE) -> Any:
    with style():
        return PAPER[f"miyato2018/figure{number}"](collect(lab.root).runs, width)


def ending(**last: float) -> Callable[..., dict[str, Any]]:
    """Metrics that end in these scores, and were far from them before."""
    names = {"inception": "inception_score", "fid": "fid"}
    return lambda n, seed, step, p: {
        f"{names[k]}/{EXTRACTOR}": v if p == 1 else 99.0 for k, v in last.items()
    }


def write(lab: Any, normalizer: str, letter: str, seed: int = 0, **options: Any) -> Path:
    setting = SETTINGS[letter]
    name = f"{normalizer}-{letter}-{len([*lab.root.glob('*')])}"
    adam = {"lr": setting.lr, "beta1": setting.beta1, "beta2": setting.beta2}
    folder: Path = lab.write(
        normalizer, seed, **{"name": name, "n_dis": setting.n_dis, "adam": adam} | options
    )
    return folder


def dots(axes: Any, of: str | None = None) -> list[tuple[float, float]]:
    """Every dot of a seed, in that colour if one is given."""
    lines = [line for line in axes.lines if line.get_marker() == "o" and of in (None, line.get_color())]
    return sorted((float(x), float(y)) for line in lines for x, y in zip(*line.get_data(), strict=True))


def crosses(axes: Any) -> list[float]:
    return sorted(float(x) for line in axes.lines if line.get_marker() == "x" for x in line.get_xdata())


def curves(axes: Any, of: Any) -> list[Any]:
    return [line for line in axes.lines if line.get_color() == of and line.get_linestyle() != "None"]


def entries(band: Any) -> list[str]:
    return [text.get_text() for text in band.legends[0].get_texts()]


def critics(n: str, seed: int, step: int, p: float) -> dict[str, Any]:
    return {
        "loss/discriminator_train": -3 * p, "loss/discriminator_heldout": -2 * p,
        f"inception_score/{EXTRACTOR}": 1 + 5 * p,
    }  # fmt: skip


def runs_for_all(lab: Any) -> None:
    """Runs that fill every figure."""

    def metrics(n: str, seed: int, step: int, p: float) -> dict[str, Any]:
        sigma = {f"sigma/exact/conv{i}": 1 + 0.1 * p / i for i in range(1, 8)}
        spectrum = {f"spectrum/conv{i}": np.linspace(1, 0.1 / i, 8 * i).tolist() for i in range(1, 8)}
        rate = {"time/generator_steps_per_second": 3.0}
        return critics(n, seed, step, p) | sigma | spectrum | rate | {f"fid/{EXTRACTOR}": 20.0 + 3 * seed}

    names = (
        "weight_clipping",
        "gradient_penalty",
        "batch_norm",
        "weight_norm",
        "orthonormal",
        "spectral_norm",
    )
    for normalizer in names:
        for letter in "ACD":
            write(lab, normalizer, letter, metrics=metrics)
    for normalizer in ("gradient_penalty", "weight_norm(gain=layer)+gradient_penalty"):
        write(lab, normalizer, "A", loss="wasserstein", metrics=metrics)
    write(lab, "spectral_norm", "F", outcome=DIVERGED, until=100, metrics=metrics)
    write(lab, "spectral_norm", "D", n_dis=20, metrics=metrics)
    for seed in (0, 1):
        network = "standard_cnn(width=0.25, last_width=8)"
        write(lab, "spectral_norm", "C", seed, network=network, metrics=metrics)
