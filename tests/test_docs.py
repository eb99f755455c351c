"""The code that the documents show, run."""

from __future__ import annotations

import inspect
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from torch import nn

from snlab.data import DATASETS
from snlab.networks import NETWORKS
from snlab.nn.layers import raw_weight, weight_layers
from snlab.normalizers import NORMALIZERS, normalizer

ROOT = Path(__file__).parent.parent


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def test_the_normalizer_of_the_guide_works(monkeypatch):
    monkeypatch.setattr(NORMALIZERS, "_factories", dict(NORMALIZERS._factories))
    exec(blocks(ROOT / "docs/extending.md", "python")[0], {"__name__": "guide"})
    chosen = normalizer("max_norm(limit=0.5)+spectral_norm")
    discriminator = chosen.attach(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1)))
    for layer in weight_layers(discriminator).values():
        raw_weight(layer).data.fill_(7.0)
    chosen.after_update(discriminator)
    for layer in weight_layers(discriminator).values():
        norms = raw_weight(layer).detach().norm(dim=1)
        torch.testing.assert_close(norms, torch.full_like(norms, 0.5))


def test_the_normalizers_that_are_shown_are_there_with_their_options():
    text = (ROOT / "docs/normalizers.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    options = {name.strip(" `"): said for _, name, _, _, said, *_ in rows}
    options["spectral_norm"] = "".join(line for line in text.splitlines() if line.startswith("- "))
    assert len(options) > 10
    for name, said in options.items():
        known = inspect.signature(NORMALIZERS._factories[name]).parameters
        shown = set(re.findall(r"`(\w+)", said)) - {"true", "layer", "none"}
        assert shown == set(known), name
    for shown in re.findall(r"`([a-z_0-9]+(?:\([^`]*\))?\+[^`]+)`", text):
        normalizer(shown)


def test_every_network_of_the_table_has_so_many_parameters():
    text = (ROOT / "docs/networks.md").read_text()
    rows = re.findall(
        r"^\| `([^`]+)` \|.*\| ([\d,]+) and ([\d,]+)(?: \((\d+) x \d+\))? \|$", text, re.MULTILINE
    )
    assert len(rows) == 6
    for name, *counts, side in rows:
        network, shape = NETWORKS.build(name), (3, int(side or 32), int(side or 32))
        with torch.device("meta"):
            made = network.generator(shape), network.discriminator(shape)
        assert [sum(p.numel() for p in module.parameters()) for module in made] == [
            int(count.replace(",", "")) for count in counts
        ], name


def test_every_data_set_is_in_the_table_as_it_is():
    text = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    table = {row[0].partition("(")[0]: row[1:5] for row in rows if len(row) == 6 and row[0].isidentifier()}
    assert set(table) == {name for name in DATASETS.names() if not DATASETS.required(name)}
    for name, shown in table.items():
        data = DATASETS.build(name)
        shape = " x ".join(map(str, data.sample_shape))
        counts = f"{len(data.train):,}", f"{len(data.heldout):,}"
        assert shown == [*counts, shape, str(data.classes or "-")], name
    assert "`folder(path=...)`" in text


def test_the_files_to_put_by_hand_are_those_that_are_looked_for():
    text = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    table = {row[0].strip("`"): row[1:] for row in rows if len(row) == 3 and row[0].startswith("`")}
    for name in DATASETS.names():
        if DATASETS.required(name) or (stored := DATASETS.build(name).stored) is None:
            continue
        files, place = table[name]
        assert stored.source.place == ("" if place == "the data folder" else place.strip("`/"))
        for item in stored.source.items:
            shown = re.findall(r"`([^`]+)`", files)
            assert any(fnmatch(item.published, pattern) for pattern in shown), item.published


def test_what_a_converted_data_set_takes_is_so():
    text = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| (`.+`) \| ([\d.]+) (MB|GB)", text, re.MULTILINE)
    assert len(shown) == 4
    for names, size, unit in shown:
        for name in re.findall(r"`(\w+)`", names):
            data = DATASETS.build(name)
            taken = (data.train.numel() + data.heldout.numel()) / {"MB": 1e6, "GB": 1e9}[unit]
            assert abs(taken - float(size)) < 0.01 * taken, name


DOCUMENTS = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_linked_file_is_there(name):
    text = (ROOT / name).read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / name).parent.joinpath(target).exists(), target


def test_every_logged_name_is_explained():
    from snlab.core import names

    text = (ROOT / "docs/metrics.md").read_text()
    prefixes = {"generator_step", "ratio", "calibrated"}
    for constant, value in vars(names).items():
        if constant.isupper() and isinstance(value, str) and value not in prefixes:
            assert value in text, value
