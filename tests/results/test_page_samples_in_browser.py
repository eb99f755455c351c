"""Samples on the offline page in a real Chromium: what stands beside the generated, and beneath points."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from snlab.results.reading import collect
from snlab.results.report import report
from tests.results.browser import chromium, needs_chromium, opened
from tests.results.conftest import grid, ring_modes

pytestmark = [needs_chromium, pytest.mark.slow]
__all__ = ["chromium"]


def made(lab: Any) -> Path:
    out: Path = lab.root.with_name("report.html")
    report(collect(lab.root).runs, out)
    return out


def test_real_data_stand_beside_the_generated_at_every_update(lab: Any, chromium: Any) -> None:
    for place, normalizer in enumerate(("none", "spectral_norm")):
        folder = lab.write(normalizer) / "samples"
        (folder / "000200.png").rename(folder / "real.png")
        for step in (100, 200):
            grid(folder, step, step + place)
    saved = (folder / "real.png").read_bytes()
    with opened(chromium, made(lab)) as tab:
        for _ in range(2):
            tiles = tab.locator('#samples .row[data-comparison="0"] .tile')
            shown = tiles.evaluate_all(
                "ts => ts.map(t => [t.dataset.normalizer, t.querySelector('img').src])"
            )
            pictures = {name: base64.b64decode(source.partition(",")[2]) for name, source in shown}
            assert [*pictures] == ["real", "none", "spectral_norm"]
            assert pictures["real"] == saved
            assert len({*pictures.values()}) == 3
            assert tiles.first.is_visible()
            assert "held out from training" in tiles.first.locator(".below").text_content()
            tab.locator('[data-slider="at.samples"] input').focus()
            tab.keyboard.press("Home")


def test_points_lie_over_the_true_density(lab: Any, chromium: Any) -> None:
    """The wash beneath two points is as deep as the mixture's density, by scipy, is high."""
    folder = lab.write("none", dataset="mixture(kind=ring)") / "samples"
    cloud = np.array([[-1.4, 1.4], [1.4, -1.4]], dtype=np.float32)
    np.save(folder / "000200.npy", cloud)
    np.save(folder / "real.npy", cloud)
    np.save(folder / "modes.npy", ring_modes())
    with opened(chromium, made(lab)) as tab:
        canvas = tab.locator('#samples .tile[data-normalizer="none"] canvas')
        picture = base64.b64decode(canvas.evaluate("c => c.toDataURL()").partition(",")[2])
    wash = 255.0 - np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))[::-1]  # from below
    side = len(wash)
    at = 1.1 * 1.4 * (2 * (np.arange(side) + 0.5) / side - 1)
    places = np.stack(np.meshgrid(at, at), -1)
    density = sum(stats.multivariate_normal(mode, 0.2**2).pdf(places) for mode in ring_modes())
    drawn_over = [*ring_modes(), *cloud]  # crosses and points
    free = np.all([np.abs(places - place).max(-1) > 0.06 for place in drawn_over], axis=0)
    assert np.corrcoef(wash[free].sum(-1), density[free])[0, 1] > 0.999
    assert wash[free].max() > 80
