"""The configuration of a run that another loop than snlab's own trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import yaml

from snlab.tracking.configuration import Told, configuration, plain
from snlab.tracking.identity import identity


def test_identity_tells_what_changes_a_number():
    told = Told("points", "none", "hinge", 0, 10)
    mine = configuration(told, "Mine", {"lr": 0.1}, {})
    assert identity(mine) == identity(configuration(told, "Mine", {"lr": 0.1, "seed": 0}, {}))
    others = [
        configuration(told._replace(seed=1), "Mine", {"lr": 0.1}, {}),
        configuration(told._replace(n_dis=1), "Mine", {"lr": 0.1}, {}),
        configuration(told, "Yours", {"lr": 0.1}, {}),
        configuration(told, "Mine", {"lr": 0.2}, {}),
        configuration(told, "Mine", {"lr": 0.1}, {"gradient_clip_val": 1.0}),
    ]
    assert len({identity(config) for config in [mine, *others]}) == 6


def test_any_hyperparameter_can_be_kept():
    odd = {
        "array": np.arange(2), "scalar": np.float64(0.5), "tensor": torch.ones(2), "class": torch.nn.ReLU,
        "object": torch.nn.ReLU(), "set": {2, 1}, 3: None, "true": True, "nested": {"path": Path("a")},
    }  # fmt: skip
    kept = {
        "array": [0, 1], "scalar": 0.5, "tensor": [1.0, 1.0], "class": "ReLU", "object": "ReLU",
        "set": [1, 2], "3": None, "true": True, "nested": {"path": "a"},
    }  # fmt: skip
    assert plain(odd) == kept == yaml.safe_load(yaml.safe_dump(plain(odd)))
