"""The code that the documents show, run."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from torch import nn

from snlab.cli import main
from snlab.core.modules import PLUGINS
from snlab.data import DATASETS
from snlab.losses import LOSSES
from snlab.networks import NETWORKS
from snlab.nn.layers import raw_weight, weight_layers
from snlab.normalizers import NORMALIZERS, normalizer
from snlab.sweeps.check import check
from snlab.sweeps.document import read_sweep
from snlab.training.arguments import FitCLI

ROOT = Path(__file__).parent.parent


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def test_the_normalizer_of_the_guide_works(monkeypatch):
    monkeypatch.setattr(NORMALIZERS, "_factories", dict(NORMALIZERS._factories))
    exec(blocks(ROOT / "docs/extending.md", "python")[2], {"__name__": "guide"})
    chosen = normalizer("max_norm(limit=0.5)+spectral_norm")
    discriminator = chosen.attach(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1)))
    for layer in weight_layers(discriminator).values():
        raw_weight(layer).data.fill_(7.0)
    chosen.after_update(discriminator)
    for layer in weight_layers(discriminator).values():
        norms = raw_weight(layer).detach().norm(dim=1)
        torch.testing.assert_close(norms, torch.full_like(norms, 0.5))


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The guide's own module in the working directory, forgotten afterwards."""
    (tmp_path / "mine.py").write_text(blocks(ROOT / "docs/extending.md", "python")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for registry in (DATASETS, LOSSES, NETWORKS, NORMALIZERS):
        monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    importlib.invalidate_caches()
    yield "mine"
    sys.modules.pop("mine", None)


def test_each_way_in_of_the_guide_builds(mine, tmp_path, capsys):
    text = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    shown = "".join(block for language, block in fenced if not language).replace("\\\n", " ")
    fits = [line for line in shown.splitlines() if line.startswith("snlab fit ") and "mine" in line]
    experiment, document = blocks(ROOT / "docs/extending.md", "yaml")
    (tmp_path / "experiment.yaml").write_text(experiment, encoding="utf-8")
    commands = [*(shlex.split(line)[2:] for line in fits), ["--config", "experiment.yaml"]]
    assert len(commands) == 3
    for command in commands:
        cli = FitCLI(command)
        cli.build()
        used = {"mine.blobs", "mine.TwoLayers", "mine.soft_hinge"}
        assert used <= cli.settings["sources"].keys() <= {*used, "mine.SmallLogits"}
        assert cli.model.generator[0].out_features == 32
    (tmp_path / "mine.yaml").write_text(document, encoding="utf-8")
    check(read_sweep("mine.yaml"))
    listing = shlex.split(next(line for line in shown.splitlines() if line.startswith("snlab list")))
    assert main(listing[1:]) == 0
    assert "small_logits(weight=0.1): The mean square" in capsys.readouterr().out


@pytest.mark.slow
def test_the_sweep_of_the_guide_is_planned(mine, tmp_path, capsys):
    text = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(blocks(ROOT / "docs/extending.md", "yaml")[1], encoding="utf-8")
    (line,) = re.findall(r"^snlab (sweep mine\.yaml .*)$", text, re.MULTILINE)
    assert main([*shlex.split(line), "--dry-run"]) == 0
    assert "9 runs, 9 to do" in capsys.readouterr().out


def test_the_callback_of_the_guide_is_built():
    text = (ROOT / "docs/extending.md").read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = re.findall(r"^snlab fit (.*EarlyStopping.*)$", text, re.MULTILINE)
    cli = FitCLI(shlex.split(line))
    cli.build()
    (stopping,) = cli.callbacks
    assert (type(stopping).__name__, stopping.monitor, stopping.patience) == (
        "EarlyStopping",
        "fid/embedded-digits",
        5,
    )


def test_the_diagnostics_of_the_guide_are_functions():
    (lines,) = [b for b in blocks(ROOT / "docs/extending.md", "python") if "f_heldout, f_fake" in b]
    images = torch.randn(4, 1, 8, 8)
    discriminator = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0))
    logits = {name: torch.randn(64) for name in ("f_train", "f_heldout", "f_fake")}
    shown = lines.replace("sigma(discriminator", "found = sigma(discriminator").replace(
        "ratio(f_train", "found |= ratio(f_train"
    )
    given = {"discriminator": discriminator, "images": images, **logits}
    exec(shown, given)
    largest = torch.linalg.svdvals(discriminator[1].weight.detach().double())[0].item()
    assert given["found"]["sigma/exact/1"] == pytest.approx(largest)
    mass = logits["f_fake"].double().exp().mean().log().item()
    assert given["found"]["ratio/log_mass_fake"] == pytest.approx(mass)


def test_the_promises_of_the_guide_hold(mine):
    exec(blocks(ROOT / "docs/extending.md", "python")[1], {"__name__": "guide"})
    assert "mine" in sys.modules


def test_the_entry_point_of_the_guide_is_that_of_the_plugins():
    (block,) = blocks(ROOT / "docs/extending.md", "toml")
    assert tomllib.loads(block) == {"project": {"entry-points": {PLUGINS: {"mine": "mine"}}}}


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
    for name in (*names.RATIOS, *names.STABILITY, *names.GENERATOR_GRADIENTS, *names.TRUE_RATIOS):
        assert f"`{name.removesuffix('_se')}`" in text, name


def test_the_pictures_of_the_first_screen_are_there_and_small():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Start")[0]
    shown = re.findall(r'(?:src|srcset)="([^"]+)"', text)
    names = ("page-dark", "page-light", "sigma-dark", "sigma-light")
    assert sorted(shown) == [f"docs/pictures/{name}.png" for name in names]
    assert sum((ROOT / path).stat().st_size for path in shown) < 300_000
