from __future__ import annotations

import json

import pytest

from benchmarks import methods
from benchmarks.methods import main, over_none
from snlab.normalizers import NORMALIZERS


def test_times_are_compared_within_a_round():
    seconds = {"slow": [4.0, 20.0], "none": [1.0, 10.0]}
    assert over_none(seconds)["slow"] == {"median": 3.0, "min": 2.0, "max": 4.0}
    assert list(over_none(seconds)) == ["none", "slow"]


@pytest.mark.slow
def test_every_method_is_timed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(methods, "BATCH_SIZE", 4)
    monkeypatch.setattr(methods, "N_DIS", 1)
    out = tmp_path / "methods.json"
    assert main(["--rounds", "1", "--network", "standard_cnn(width=0.03125)", "--out", str(out)]) == 0
    result = json.loads(out.read_text(encoding="utf-8"))
    assert set(NORMALIZERS.names()) < result["seconds"].keys()
    assert all(len(taken) == 1 and taken[0] > 0 for taken in result["seconds"].values())
    assert "gradient_penalty" in capsys.readouterr().out
