"""What an item is said to cost: every number of it by hand."""

from __future__ import annotations

import itertools
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from snlab.cli import main
from snlab.core.machine import processor
from snlab.papers.adapted import adapted
from snlab.papers.arguments import Options
from snlab.results.papers import Source
from snlab.sweeps import cost
from snlab.sweeps.check import Planned, plan
from snlab.sweeps.document import read_sweep
from tests.sweeps.test_cost import GPU, over

pytestmark = pytest.mark.slow  # most of them time updates

TWO_THREADS = f"{platform.machine()} CPU, 2 thread(s)"
FIGURE_11 = ["miyato2018/figure11", "--dataset=photos"]  # 2 methods, 5 values of n_dis, 2 seeds: 20 runs


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("snlab.sweeps.slots.cores_in_reach", lambda: 2)


@pytest.fixture
def estimated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """``estimated(*words)``: the lines of that estimate, but the first, which is the command and the runs."""

    def lines(*words: str) -> list[str]:
        assert main(["reproduce", *words, "--estimate", f"--out={tmp_path / 'out'}"]) == 0
        return capsys.readouterr().out.splitlines()

    return lines


def made_up(arguments: Sequence[str], most: int, *_: Any, **__: Any) -> dict[int, float]:
    """Half a second and a quarter for each discriminator update; twice as much under spectral norm."""
    times = 2 if "--model.normalizer=spectral_norm" in arguments else 1
    return {n: times * (0.5 + 0.25 * n) for n in {1, min(most, 5)}}


def disk(runs: int, width: int, side: int, kept: int) -> str:
    """Of the standard CNN on colour images: by hand, from Table 3, in each checkpoint weights thrice."""
    critic = [width * c for c in (1, 1, 2, 2, 4, 4, 8)]
    kernels = (3, 4, 3, 4, 3, 4, 3)
    weights = sum(o * (i * k * k + 1) for o, i, k in zip(critic, [3, *critic], kernels, strict=False))
    last = (side // 8) ** 2 * 8 * width
    weights += last + 1  # the dense layer
    generator = [8 * width, 4 * width, 2 * width, width]
    weights += last * (128 + 1)
    for into, out in itertools.pairwise(generator):
        weights += out * (into * 16 + 1) + 2 * out  # and batch norm's gain and bias
    weights += 3 * (width * 9 + 1)
    return f"{runs * 4 * weights * 3 * kept / 1e6:.1f} MB"


def test_the_lines_of_an_estimate(estimated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 seeds x 100 updates x (5 x 0.5 + 38 x 0.25) s are 2,400 s, and twice as many under spectral norm."""
    monkeypatch.setattr(cost, "seconds_an_update", made_up)
    lines = estimated(*FIGURE_11, "--generator_steps=100", "--workers=2")
    assert lines[0] == (
        "snlab reproduce miyato2018/figure11 --dataset photos --generator_steps 100 --workers 2: "
        "20 runs, 0 of them over, 20 to do"
    )
    assert lines[1] == (
        f"about 2 core hours of training ({processor()}, 1 thread(s) a run), about 60 min on 2 at a time; "
        "start, measurements and scores come on top"
    )
    assert lines[2] == "of these: 20 runs as timed here over a few updates (2 of 2 kinds of run)"
    assert lines[3] == f"about {disk(20, 16, 32, 2)} of checkpoints in {tmp_path / 'out/runs'}"
    assert len(lines) == 4
    assert not (tmp_path / "out").exists()


def test_what_is_over_counts_no_more_and_tells_what_the_rest_will_take(
    estimated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another sweep of the same folder has trained it, as Table 2's the runs of Figure 3."""
    monkeypatch.delattr(cost, "seconds_an_update")
    whole, asked = read_sweep("settings_photos"), {"weight_clipping", "weight_norm", "spectral_norm"}
    (whole,) = adapted([whole], 3600, 0.0625, None)
    for cell in whole.configurations():
        a_or_b = cell["config"]["model"]["adam"]["lr"] == 1e-4
        if a_or_b and cell["model"]["normalizer"] in asked and cell["model"]["loss"] == "standard":
            trial = Planned.of(whole, cell, tmp_path / "out/runs")
            over(trial, 2.0 if cell["config"]["model"]["n_dis"] == 5 else 1.0, machine=TWO_THREADS)
    lines = estimated(
        *("miyato2018/figure3", "--dataset=photos", "--generator_steps=3600", "--width=0.0625", "--workers=1")
    )
    assert lines[0].endswith(": 18 runs, 6 of them over, 12 to do")
    # Of three methods setting C for an hour and D, E and F for two, each on both cores.
    assert lines[1].startswith("about 42 core hours of training (")
    assert "about 21.0 h on 1 at a time" in lines[1]
    assert lines[2] == f"of these: 12 runs as those that are over took ({TWO_THREADS})"


# ---- GPUs that are asked for where there is none ---------------------------------------------------------

GPUS = ["--gpus=all", "--generator_steps=100"]


def test_without_a_gpu_runs_and_disk_are_said(estimated: Any, tmp_path: Path) -> None:
    lines = estimated(*FIGURE_11, *GPUS)
    assert lines[0].endswith("--gpus all: 20 runs, 0 of them over, 20 to do")
    cost_of_it = Options(FIGURE_11[0], "photos").source.cost
    assert lines[1:] == [
        "GPU hours not measured here: no GPU; known of this item, at the sweeps' own size: " + cost_of_it,
        f"about {disk(20, 16, 32, 2)} of checkpoints in {tmp_path / 'out/runs'}",
    ]


def test_where_nothing_is_known_of_an_item_nothing_is_said(
    estimated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Options, "source", Source(("n_dis_photos",)))
    assert estimated(*FIGURE_11, "--gpus=0,1")[1] == "GPU hours not measured here: no GPU"


def test_without_a_gpu_runs_that_are_over_tell_hours(estimated: Any, tmp_path: Path) -> None:
    for trial in plan(read_sweep("n_dis_photos"), tmp_path / "out/runs"):
        settings = trial.settings
        if settings["model"]["n_dis"] in (1, 5) and settings["seed_everything"] == 0:
            over(trial, 1.0 + settings["model"]["n_dis"], machine=GPU, device="cuda:0")
    lines = estimated(*FIGURE_11, "--gpus=all")
    assert lines[0].endswith(": 20 runs, 4 of them over, 16 to do")
    # 300 updates; 2 methods: seed 1 at all n_dis, seed 0 at 2, 10 and 20.
    hours = 2 * 300 * ((2 + 3 + 6 + 11 + 21) + (3 + 11 + 21)) / 3600
    assert lines[1].startswith(f"about {hours:.0f} GPU hours of training, a run alone on one; ")
    assert lines[2] == f"of these: 16 runs as those that are over took ({GPU})"


def test_a_sweep_s_dry_run_says_the_same(tmp_path: Path, capsys: Any) -> None:
    of_sweep = ["sweep", "figure10_time_fashion_mnist", "--dry-run", f"--runs={tmp_path}", "--gpus=all"]
    assert main(of_sweep) == 0
    assert capsys.readouterr().out.endswith("4 runs, 4 to do: how long is not measured here: no GPU\n")
    over(plan(read_sweep("figure10_time_fashion_mnist"), tmp_path)[0], 2.0, machine=GPU, device="cuda:0")
    assert main(of_sweep) == 0
    lines = capsys.readouterr().out.splitlines()
    # Three runs of 100 updates of half or twice as many seconds.
    assert lines[-2] == (
        "4 runs, 3 to do: 5 min to 20 min of training on one slot; start and measurements come on top"
    )
    assert lines[-1] == "of these: 3 runs scaled from others, a guess: 3 of 3 kinds of run were not timed"


@pytest.mark.parametrize(("gpus", "shown"), [("0", "about 2 GPU hours"), ("0,1", "about 2 GPU hours")])
def test_on_gpus_hours_are_of_gpus(
    gpus: str, shown: str, estimated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    for module in ("snlab.papers.estimate", "snlab.sweeps.finished"):
        monkeypatch.setattr(f"{module}.machine", lambda *_: GPU)
    monkeypatch.setattr(cost, "seconds_an_update", made_up)
    words = [*FIGURE_11, "--generator_steps=100"]
    line = estimated(*words, f"--gpus={gpus}")[1]
    count = len(gpus.split(","))
    assert line.startswith(
        f"{shown} of training ({GPU}), about {120 // count} min on {count} at a time; "
    ) or (count == 1 and line.startswith(f"{shown} of training ({GPU}), about 2.0 h on 1 at a time; "))
    # Of four that share one, each may be as fast as alone, or a quarter as fast.
    line = estimated(*words, f"--gpus={gpus}", "--runs-per-gpu=4")[1]
    assert line.startswith("0.5 to 2 GPU hours of training")
