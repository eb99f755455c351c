"""What a run's folder is called."""

from __future__ import annotations

import pytest

from snlab.training.fit import claim


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model.normalizer", "gradient_penalty(weight=2)"], "digits-gradient_penalty_weight=2-seed0-"),
        (["--model.normalizer", "snlab.normalizers.gradient_penalty.GradientPenalty",
          "--model.normalizer.weight", "2"], "digits-GradientPenalty_"),
    ],
)  # fmt: skip
def test_a_folder_is_named_by_its_normalizers_options(arguments, words, tmp_path):
    folder = claim(["--runs", str(tmp_path), *arguments]).folder
    assert folder.name.startswith(words)
    assert "weight=2" in folder.name
