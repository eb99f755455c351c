from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snlab.tracking.scores import mean, read_scores, spread, write_score


def entry(fid: float = 1.5, **changes: Any) -> dict[str, Any]:
    scores = {"fid/e/embedded": fid}
    made = {
        "protocol": "embedded",
        "generator_step": 40,
        "checkpoint": {"file": "checkpoints/step-00000040.ckpt", "sha256": "ab", "kept_as": "last"},
        "weights": "ema",
        "extractor": {"name": "e", "sha256": "cd"},
        "scores": scores,
        "draws": [{"latents": "run", "scores": scores}],
    }
    return made | changes


def test_the_same_scored_again_takes_its_place_and_anything_else_is_added(tmp_path: Path) -> None:
    path = write_score(tmp_path, entry(1.5))
    assert path == tmp_path / "scores" / "embedded-00000040.json"
    assert write_score(tmp_path, entry(2.5)) == path
    assert [e["scores"] for e in read_scores(tmp_path)] == [{"fid/e/embedded": 2.5}]
    others = [
        {"weights": "raw"},
        {"extractor": {"name": "e", "sha256": "ef"}},
        {"draws": [{"latents": "other-1", "scores": {}}]},
        {"generator_step": 80},
        {"protocol": "50k"},
    ]
    for change in others:
        write_score(tmp_path, entry(**change))
    assert len(read_scores(tmp_path)) == 6
    assert len(list(path.parent.glob("*.json"))) == 3


def test_a_number_that_is_not_finite_is_null_and_a_damaged_file_holds_nothing(tmp_path: Path) -> None:
    path = write_score(tmp_path, entry(math.nan))
    assert json.loads(path.read_text())["scored"][0]["scores"] == {"fid/e/embedded": None}
    path.write_text(path.read_text()[:50])
    assert read_scores(tmp_path) == []
    write_score(tmp_path, entry(3.5))
    assert [e["scores"]["fid/e/embedded"] for e in read_scores(tmp_path)] == [3.5]
    assert read_scores(tmp_path / "nowhere") == []


def test_mean_and_spread_are_numpys() -> None:
    draws = [{"fid": value, "kid": value**2} for value in (12.3, 12.9, 11.7)]
    for name in ("fid", "kid"):
        values = [draw[name] for draw in draws]
        assert mean(draws)[name] == pytest.approx(np.mean(values), rel=1e-12)
        assert spread(draws)[name] == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    assert mean(draws[:1]) == draws[0]
    assert spread(draws[:1]) == {"fid": None, "kid": None}
