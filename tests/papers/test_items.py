"""What can be reproduced: every item has its sweeps, tables and figures, and the command its mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snlab.cli import main
from snlab.core.errors import UserError
from snlab.core.resources import sweeps
from snlab.papers.adapted import adapted
from snlab.papers.arguments import Options
from snlab.papers.claims import CLAIMS
from snlab.results.figures import PAPER
from snlab.results.figures import described as figures
from snlab.results.papers import Item, paper, papers, table_names
from snlab.results.studies import STUDIES
from snlab.results.tables import described as tables
from snlab.sweeps.check import plan
from snlab.sweeps.document import read_sweep
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
    assert {line.partition(":")[0] for line in lines if not line.startswith(" ")} == {i.name for i in ITEMS}
    (ours,) = [line for line in lines if "figure9_sigma_fashion_mnist" in line]
    assert ours.startswith("    --dataset fashion_mnist: 2 runs (figure9_sigma_fashion_mnist); ")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["miyato2018/table3"],
            "unknown table or figure 'miyato2018/table3'; miyato2018 has table2, table7, ",
        ),
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
