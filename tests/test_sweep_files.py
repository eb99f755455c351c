"""Every configuration of every sweep file is one that snlab takes, as W&B's agent would pass it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

FILES = sorted((Path(__file__).parent.parent / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_configuration_has_a_run_of_its_own(path):
    from snlab.fit import claim

    sweep = yaml.safe_load(path.read_text())
    assert path.read_text().startswith("# ")
    assert sweep["command"][:2] == ["snlab", "fit"]
    names = list(sweep["parameters"])
    folders = set()
    values = [sweep["parameters"][name]["values"] for name in names]
    for configuration in itertools.product(*values):
        given = {name: {"value": value} for name, value in zip(names, configuration, strict=True)}
        macros = create_sweep_command_args({"args": given})  # W&B's own spelling of ${args}
        words = [
            w for word in sweep["command"][2:] for w in (macros["args"] if word == "${args}" else [word])
        ]
        found = claim(words)
        assert found.settings["model"]["normalizer"] == configuration[names.index("model.normalizer")]
        folders.add(found.folder)
    assert len(folders) == len(list(itertools.product(*values)))
