"""What can be reproduced: every item has its sweeps, tables and figures, and the command its mistakes."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from snlab.cli import main
from snlab.core.errors import UserError
from snlab.core.registry import parse
from snlab.core.resources import papers as files
from snlab.core.resources import sweeps
from snlab.data import DATASETS
from snlab.networks import NETWORKS
from snlab.papers.adapted import adapted
from snlab.papers.arguments import Options
from snlab.papers.claims import CLAIMS
from snlab.papers.widths import at_width, check_width
from snlab.results.figures import PAPER
from snlab.results.figures import described as figures
from snlab.results.figures.miyato2018.bands import OF_FIGURE_4, OF_FIGURE_11
from snlab.results.figures.miyato2018.critic import reparametrisation
from snlab.results.figures.miyato2018.layers import OF_FIGURE_3
from snlab.results.figures.miyato2018.times import OF_FIGURE_10
from snlab.results.matching import places
from snlab.results.papers import Item, paper, paper_table, papers, table_names
from snlab.results.settings import SPECTRAL_NORM, letter_of, method_of, setting_of
from snlab.results.studies import STUDIES
from snlab.results.tables import described as tables
from snlab.sweeps.check import Planned, plan, quiet
from snlab.sweeps.document import read_sweep
from snlab.tracking.run_folder import Run
from snlab.training.arguments import FitCLI

ITEMS = [item for name in papers() for item in paper(name).items.values()]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_an_item_has_what_it_is_made_of(item: Item) -> None:
    assert item.tables or item.figures
    owner = item.name.partition("/")[0]
    assert {f"{owner}/{table}" for table in item.tables} <= {*tables()}
    assert {f"{owner}/{figure}" for figure in item.figures} <= {*figures()}
    for source in item.data.values():
        assert source.sweeps
        assert {*source.sweeps} <= {*sweeps()}


def test_every_table_and_figure_can_be_reproduced() -> None:
    made = {f"{i.name.partition('/')[0]}/{part}" for i in ITEMS for part in (*i.tables, *i.figures)}
    assert made == {*table_names(), *PAPER, *STUDIES}
    assert {*CLAIMS} <= {name.rpartition("/")[2] for name in (*PAPER, *STUDIES)}


def test_papers_are_listed_with_their_data_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "papers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = {line for line in lines if not line.startswith(" ") and " is not here: " not in line}
    assert {line.partition(":")[0] for line in shown} == {item.name for item in ITEMS}
    study = (
        "density_ratio/disjoint: Two segments in 8 dimensions, 0.3 apart, with less and less noise about them"
    )
    assert f"{study} (disjoint)." in shown
    (ours,) = [line for line in lines if "figure9_sigma_fashion_mnist" in line]
    where, _, cost = ours.partition("2 runs (figure9_sigma_fashion_mnist); ")
    assert where in ("    --dataset fashion_mnist: ", "    --dataset fashion_mnist (not here): ")
    written = yaml.safe_load(files()["miyato2018"].read_text(encoding="utf-8"))["reproductions"]
    assert cost == written["figure9"]["data"]["fashion_mnist"]["cost"]
    assert "35 core minutes" in cost
    (unknown,) = [line for line in lines if "(figure4_width);" in line]
    assert unknown.endswith("; not measured: --estimate")


def test_data_that_are_not_here_are_said_and_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SNLAB_DATA", "SNLAB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    module = sys.modules["snlab.data.mnist"]  # whose name in its package is a data set's
    monkeypatch.setattr(module, "DEBIAN", tmp_path / "none")
    assert main(["list", "papers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    marked = {line.split()[1] for line in lines if line.startswith("    ") and "(not here): " in line}
    assert marked == {"cifar10", "cifar100", "stl10", "imagenet", "fashion_mnist"}
    assert lines.count("cifar10 is not here: snlab data fetch cifar10") == 1
    assert (
        "fashion_mnist is not here: snlab data fetch fashion_mnist, or apt-get install dataset-fashion-mnist"
    ) in lines
    (imagenet,) = [line for line in lines if line.startswith("imagenet is not here: put ILSVRC2012_devkit")]
    assert imagenet.endswith(f"into {tmp_path / 'imagenet'}")
    debian = tmp_path / "debian"
    debian.mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (debian / f"{name}-ubyte.gz").touch()
    monkeypatch.setattr(module, "DEBIAN", debian)
    assert main(["list", "papers"]) == 0
    text = capsys.readouterr().out
    assert "fashion_mnist is not here" not in text
    assert "    --dataset fashion_mnist: " in text


# ---- what is trained is shown ----------------------------------------------------------------------------


def cnn(run: Run) -> bool:
    return run.config["model"]["network"].startswith("standard_cnn")


SHOWN = {  # which runs a figure shows
    "figure1": lambda run: cnn(run) and letter_of(run),
    "figure2": lambda run: cnn(run) and letter_of(run),
    "figure3": lambda run: cnn(run) and letter_of(run) and method_of(run) in OF_FIGURE_3,
    "figure4": lambda run: cnn(run) and method_of(run) in OF_FIGURE_4,
    "figure9": lambda run: cnn(run) and letter_of(run) == "C" and method_of(run) == SPECTRAL_NORM,
    "figure10": lambda run: cnn(run) and method_of(run) in OF_FIGURE_10 and setting_of(run).n_dis == 5,
    "figure11": lambda run: cnn(run) and method_of(run) in OF_FIGURE_11,
    "figure15": lambda run: cnn(run) and reparametrisation(run),
}
OF_PAPERS = [item for item in ITEMS if item.name.partition("/")[0] in ("miyato2018", "mimicry2020")]


@functools.cache
def every_value(name: str) -> list[Run]:
    """Runs of configurations that have every value of every parameter of a sweep, as they would be."""
    sweep, found = read_sweep(name), []
    seen: set[str] = set()
    with quiet():
        for cell in sweep.configurations():
            values = {f"{name}={value}" for name, value in cell.items()}
            if not values <= seen:
                seen |= values
                settings = FitCLI(sweep.arguments(cell)).settings
                found.append(Run(Path(f"run{len(found)}"), settings, {}))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("item", OF_PAPERS, ids=lambda item: item.name)
def test_an_item_trains_no_run_that_it_does_not_show(item: Item) -> None:
    """And of no other data than its name for them says."""
    tables = [paper_table(f"{item.name.partition('/')[0]}/{name}") for name in item.tables]
    for dataset, source in item.data.items():
        for sweep in source.sweeps:
            for run in every_value(sweep):
                assert parse(run.dataset)[0].name == dataset
                figures = any(SHOWN[figure](run) for figure in item.figures)
                rows = any(any(places(table, run)) for table in tables)
                assert figures or rows, (sweep, run.config["model"])


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_data_that_have_to_be_fetched_are_named_as_they_are_fetched(item: Item) -> None:
    """So that a list of papers can say whether they are here."""
    drawn = {"gaussians", "mixtures", "lines", "every_normalizer"}
    assert {*item.data} <= {*DATASETS.names()} | (drawn if item.name.startswith("density_ratio/") else set())


SHARED = {
    "figure3_spectra": "table2_cifar10",
    "figure3_spectra_stl10": "table2_stl10",
    "figure3_spectra_fashion_mnist": "table2_fashion_mnist",
    "figure3_spectra_photos": "settings_photos",
    "figure15_critic": "table7",
    "figure15_critic_fashion_mnist": "table7_fashion_mnist",
    "figure15_critic_photos": "table7_photos",
    "mimicry2020_sngan_cifar10": "mimicry2020_cifar10",
}


@pytest.mark.parametrize("part", SHARED)
def test_a_figure_s_runs_are_those_of_its_table(part: str, tmp_path: Path) -> None:
    """So that they are trained once: all have a cell there, and the first and the last are the same runs."""
    small, large = read_sweep(part), read_sweep(SHARED[part])
    cells, those = [*small.configurations()], [*large.configurations()]
    assert all(cell in those for cell in cells)
    assert len(cells) < len(those)
    for cell in (cells[0], cells[-1]):
        mine, theirs = (Planned.of(sweep, cell, tmp_path).identity for sweep in (small, large))
        assert mine == theirs


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["miyato2018/table3"],
            "unknown table or figure 'miyato2018/table3'; miyato2018 has table2, table7, ",
        ),
        (["miyato2018"], "miyato2018 has table2, table7, "),
        (["miyato2018/"], "miyato2018 has table2, table7, "),
        (["miyato2018/table9", "--out=", "--estimate"], "--out: it is empty; a folder is needed"),
        (["miyato/table2"], "unknown table or figure 'miyato/table2'; did you mean 'miyato2018/table2'?"),
        (["miyato2018/table2", "--dataset=fashion_mnits"], "did you mean 'fashion_mnist'?"),
        (["miyato2018/figure9", "--dataset=stl10"], "miyato2018/figure9 on 'stl10': "),
        (["miyato2018/table2", "--seeds=0"], "--seeds is 0; at least 1 is needed"),
        (["miyato2018/table2", "--generator_steps=-1"], "--generator_steps is -1; at least 1 is needed"),
        (["miyato2018/table2", "--width=0"], "--width is 0; a positive number is needed"),
        (["miyato2018/table2", "--width=nan"], "--width is nan; a positive number is needed"),
        (["miyato2018/table2", "--workers=2", "--gpus=all"], "--gpus and --workers exclude one another"),
        (["density_ratio/cost", "--width=0.5", "--estimate"], "network 'fixed' has no option 'width'; "),
        (["density_ratio/dimensions"], "density_ratio has dimension, "),
        (["density_ratio/modes", "--width=0.5"], "width wants a whole number of at least 1, got 0.5"),
        (
            ["miyato2018/figure9", "--dataset=fashion_mnist", "--width=1e9", "--estimate"],
            "--width is 1e+09; to train standard_cnn at that width takes 1e17 GB for its weights alone, and",
        ),
        (["miyato2018/figure9", "--width=1e300"], "--width is 1e+300; to train standard_cnn at"),
        (
            ["miyato2018/figure9", "--width=1e-9"],
            "--width is 1e-09; the narrowest layer of standard_cnn has 64 channels at width 1, so ",
        ),
        (["miyato2018/table8", "--dataset=photos", "--width=0.007"], "so at least 0.00781 is needed"),
        (
            ["miyato2018/table2", "--dataset=photos", "--seeds=10000000"],
            "settings_photos would have 540,000,000 runs, and a sweep has at most 1,000: up to 18 seeds",
        ),
        (["density_ratio/dimension", "--dataset=mixture"], "did you mean 'mixtures'?"),
        (["miyato2018/table2", "--wdith=1"], "unrecognized arguments: --wdith=1"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_writes_nothing(
    words: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *words]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert line in told[0]
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("below", ["", "/x/y"])
def test_where_it_cannot_go_is_said_before_anything_is_looked_at(
    below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Before the sweeps are read, and the data looked for: neither is here."""
    monkeypatch.setenv("SNLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("snlab.papers.reproduce.read_sweep", None)
    (tmp_path / "afile").touch()
    for more in ([], ["--estimate"]):
        assert main(["reproduce", "miyato2018/table2", f"--out={tmp_path / 'afile'}{below}", *more]) == 2
        (told,) = capsys.readouterr().err.splitlines()
        assert told == f"snlab: --out: {tmp_path / 'afile'} is no folder"
    long = tmp_path / ("x" * 300)
    assert main(["reproduce", "miyato2018/table2", f"--out={long}"]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.endswith("cannot be a folder: File name too long")


@pytest.mark.parametrize(
    ("network", "shape", "classes"),
    [
        ("standard_cnn(width=0.25, last_width=2)", (3, 32, 32), 0),
        ("resnet(architecture=wgan_gp, conditional=auxiliary_classifier)", (3, 32, 32), 10),
    ],
)
def test_weights_have_to_fit_in_memory(
    network: str, shape: tuple[int, ...], classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen bytes each, counted in networks that are built."""
    made = NETWORKS.build(at_width(network, 0.5))
    made.classes = classes or made.classes
    halves = (made.generator(shape), made.discriminator(shape))
    wanted = 16 * sum(weight.numel() for half in halves for weight in half.parameters())
    for memory, fits in ((1.01 * wanted, True), (0.99 * wanted, False)):
        pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": int(memory)}
        monkeypatch.setattr("snlab.papers.widths.os.sysconf", pages.__getitem__)
        if fits:
            check_width(network, 0.5, shape, classes)
        else:
            with pytest.raises(UserError, match=f"takes {wanted / 1e9:.1f} GB for its weights alone"):
                check_width(network, 0.5, shape, classes)


def test_the_narrowest_width_is_one_channel() -> None:
    check_width("standard_cnn", 1 / 64, (3, 32, 32), 0)
    with pytest.raises(UserError, match="at least"):
        check_width("standard_cnn", 0.999 / 64, (3, 32, 32), 0)


def test_data_that_is_not_here_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("SNLAB_DATA", str(tmp_path / "data"))
    out = tmp_path / "out"
    assert main(["reproduce", "miyato2018/figure9", "--workers=1", f"--out={out}"]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "snlab data fetch cifar10" in told
    assert not [*tmp_path.rglob("config.yaml")]


def test_the_command_is_what_one_types_again() -> None:
    options = Options("miyato2018/table2", "photos", generator_steps=10, width=0.5, runs_per_gpu=2)
    assert options.command == (
        "snlab reproduce miyato2018/table2 --dataset photos --generator_steps 10 --width 0.5 --runs-per-gpu 2"
    )
    assert Options("miyato2018/table2").folder == Path("runs/miyato2018-cifar10")
    assert "--out" not in Options("miyato2018/table2", out=Path("/somewhere/else")).command
    assert Options("miyato2018/table2", out=Path("here")).command.endswith(" --out here")
    with pytest.raises(UserError):
        Options("miyato2018/table2", "digits")


# ---- other sizes -----------------------------------------------------------------------------------------


def settings(tmp_path: Path, *names: str, **size: Any) -> list[dict[str, Any]]:
    """What each run of the sweeps would be trained with, at another size."""
    wanted = {"generator_steps": None, "width": None, "seeds": None} | size
    changed = adapted([read_sweep(name) for name in names], **wanted)
    return [FitCLI(trial.arguments).settings for sweep in changed for trial in plan(sweep, tmp_path)]


def networks(found: list[dict[str, Any]]) -> list[str]:
    return sorted({run["model"]["network"] for run in found})


def test_the_network_of_an_experiment_is_widened(tmp_path: Path) -> None:
    found = settings(tmp_path, "figure9_sigma_fashion_mnist", width=0.5)
    assert networks(found) == ["standard_cnn(width=0.5)"]
    assert [run["generator_steps"] for run in found] == [5000, 5000]


def test_networks_that_parameters_name_are_widened_and_keep_their_options(tmp_path: Path) -> None:
    found = settings(tmp_path, "table7_fashion_mnist", width=0.5, seeds=1)
    assert networks(found) == [
        "resnet(architecture=wgan_gp, width=0.5)",
        "resnet(architecture=wgan_gp, width=0.5, width_d=1.5)",
        "standard_cnn(width=0.5)",
    ]
    assert len(found) == 7
    assert {run["seed_everything"] for run in found} == {0}


def test_a_sweep_twice_as_long_stays_twice_as_long(tmp_path: Path) -> None:
    found = settings(tmp_path, "table2_resnet_stl10", "table2_2x_updates_stl10", generator_steps=10, seeds=1)
    assert [run["generator_steps"] for run in found] == [10, 10, 20, 20, 20]


def test_without_a_size_the_runs_are_the_sweeps_own(tmp_path: Path) -> None:
    (own,) = [read_sweep("table8_photos")]
    (same,) = adapted([own], None, None, None)
    assert [t.identity for t in plan(same, tmp_path)] == [t.identity for t in plan(own, tmp_path)]


def test_the_commands_of_the_guide_are_understood() -> None:
    from snlab.cli import _parser
    from snlab.papers.arguments import from_arguments

    text = (Path(__file__).parents[2] / "docs/papers.md").read_text(encoding="utf-8")
    (block,) = [part for part in text.split("```")[1::2] if "snlab reproduce" in part]
    lines = [line.partition("#")[0].split() for line in block.splitlines() if "snlab reproduce" in line]
    asked = [from_arguments(_parser().parse_args(words[1:])) for words in lines]
    assert [options.estimate for options in asked] == [True, False, False, False]
    assert all(options.source.sweeps for options in asked)
