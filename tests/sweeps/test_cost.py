"""What runs will cost: against made-up answers whose sum can be done by hand, and against a real run."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from snlab.sweeps import cost, timing
from snlab.sweeps.check import Planned, plan
from snlab.sweeps.cost import Estimate, estimate
from snlab.sweeps.document import read_sweep
from snlab.sweeps.slots import Slot
from snlab.sweeps.timing import Clock, seconds_an_update
from snlab.sweeps.work import Kind, Size
from snlab.tracking.run_folder import FINISHED, RunWriter
from snlab.training.arguments import FitCLI
from tests.sweeps.test_check import written

pytestmark = pytest.mark.slow  # most of them time updates

CORE = Slot("CPU 0", (), 1)
GPU = "NVIDIA H200"
HERE = f"{platform.machine()} CPU, 1 thread(s)"
SMALL = "standard_cnn(width=0.03125)"  # as narrow as can be: 2 channels in its first layers
COMMAND = [
    "snlab",
    "fit",
    "--data.dataset=digits",
    f"--model.network={SMALL}",
    "--generator_steps=100",
    "${args}",
]
N_DIS = {"model.n_dis": {"values": [1, 2, 20]}, "seed_everything": {"values": [0, 1]}}


def trials(folder: Path, parameters: dict[str, Any], command: Sequence[str] = COMMAND) -> list[Planned]:
    path = written(folder, metric=None, parameters=parameters, command=list(command))
    return plan(read_sweep(path), folder / "runs")


def over(trial: Planned, *seconds: float, machine: str = HERE, **summary: Any) -> None:
    """The run of a trial, over, whose updates took so many seconds where they were logged."""
    writer = RunWriter(trial.folder)
    writer.write_config(dict(trial.settings))
    steps = trial.settings["generator_steps"]
    for i, value in enumerate(seconds, 1):
        writer.append_metrics(steps * i // len(seconds), {"time/generator_steps_per_second": 1 / value})
    writer.write_summary({"outcome": FINISHED, "generator_step": steps, "machine": machine} | summary)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """``timed(a, b)``: an update takes a + b n_dis; gives the words of the runs that are timed."""

    def made_up(a: float, b: float) -> list[str]:
        asked: list[str] = []

        def answer(arguments: Sequence[str], most: int, *_: Any, **__: Any) -> dict[int, float]:
            asked.append(" ".join(arguments))
            return {n: a + b * n for n in {1, min(most, 5)}}

        monkeypatch.setattr(cost, "seconds_an_update", answer)
        return asked

    return made_up


def found(of: Sequence[Planned], slot: Slot | None = CORE) -> Estimate:
    result = estimate(of, slot, of[0].folder.parent)
    assert result is not None
    return result


# ---- kinds -----------------------------------------------------------------------------------------------


def kind(*words: str) -> Kind:
    return Kind.of(FitCLI(["--data.dataset=digits", f"--model.network={SMALL}", *words]).settings)


@pytest.mark.parametrize(
    "words",
    [
        ["--model.n_dis=5"],
        ["--seed_everything=3"],
        ["--model.adam.lr=0.1"],
        ["--model.loss=hinge"],
        ["--generator_steps=7"],
        ["--model.normalizer=spectral_norm(scale=2)"],
        ["--model.generator_batch_size=64"],
    ],
)
def test_what_costs_nothing_makes_no_other_kind(words: list[str]) -> None:
    assert kind(*words) == kind()


@pytest.mark.parametrize(
    "words",
    [
        ["--model.network=standard_cnn"],
        ["--data.dataset=photos"],
        ["--model.normalizer=none"],
        ["--model.normalizer=spectral_norm(iterations=2)"],
        ["--model.normalizer=spectral_norm+gradient_penalty"],
        ["--model.batch_size=32"],
        ["--model.generator_batch_size=128"],
        ["--model.ema_decay=0.9"],
    ],
)
def test_what_costs_something_makes_another(words: list[str]) -> None:
    assert kind(*words) != kind()


def test_the_products_of_a_network_are_those_of_its_layers() -> None:
    """By hand, of images of 1 x 16 x 16: output sizes times input channels times the kernel's."""
    cli = FitCLI(["--data.dataset=digits", f"--model.network={SMALL}", "--model.normalizer=none"])
    cli.build(load=False)
    size = Size.of(cli.model)
    layers = [  # output channels, output height and width, input channels, kernel
        (2, 16, 1, 3), (2, 8, 2, 4), (4, 8, 2, 3), (4, 4, 4, 4), (8, 4, 4, 3), (8, 2, 8, 4), (16, 2, 8, 3),
    ]  # fmt: skip
    critic = sum(out * side**2 * into * kernel**2 for out, side, into, kernel in layers) + 16 * 2 * 2
    # The dense layer to 16 x 2 x 2; each input pixel of a deconvolution meets the whole of its kernel.
    generator = 128 * 16 * 4 + 16 * 4 * 8 * 16 + 8 * 16 * 4 * 16 + 4 * 64 * 2 * 16 + 1 * 256 * 2 * 9
    assert size.discriminator == pytest.approx(critic, abs=1)
    assert size.generator == pytest.approx(generator, abs=1)
    # A generator update of n_dis 3 and batch 64: 3 (G + 6 D) + 3 G + 3 D.
    assert size.products(kind(), 3) == pytest.approx(64 * (6 * generator + 21 * critic), rel=1e-3)


# ---- the sum ---------------------------------------------------------------------------------------------


def test_timed_at_two_n_dis_all_others_are_on_the_line(tmp_path: Path, timed: Any) -> None:
    asked = timed(0.5, 0.25)
    result = found(trials(tmp_path, N_DIS))
    # Two seeds, 100 updates each, of 0.5 + 0.25 n_dis: 0.75, 1 and 5.5 seconds.
    assert result.seconds == pytest.approx((2 * 100 * 7.25,) * 2)
    assert len(asked) == 1
    assert result.basis == "6 runs as timed here over a few updates (1 of 1 kinds of run)"


def test_runs_that_are_over_go_before_what_is_timed(tmp_path: Path, timed: Any) -> None:
    asked = timed(50, 50)
    of = trials(tmp_path, N_DIS)
    for trial in of:
        n_dis = trial.settings["model"]["n_dis"]
        if trial.settings["seed_everything"] == 0 and n_dis != 2:
            over(trial, 1.0 + n_dis, 2.0 + n_dis, 3.0 + n_dis)  # the mean of the three counts
    left = [trial for trial in of if not trial.folder.exists()]
    result = found(left)
    # Of n_dis 1 and 20 the mean is 2 + n_dis, so that 2, in between, takes 4 seconds, once for each seed.
    assert result.seconds == pytest.approx((100 * (3 + 22 + 2 * 4),) * 2)
    assert not asked
    assert result.basis == f"4 runs as those that are over took ({HERE})"


@pytest.mark.parametrize(
    "change",
    [
        {"machine": f"{platform.machine()} CPU, 2 thread(s)"},
        {"machine": GPU, "device": "cuda:0"},
        {"processor": "another"},
        {"outcome": "failed"},
    ],
)
def test_runs_of_another_machine_or_without_a_result_tell_nothing(
    change: dict[str, Any], tmp_path: Path, timed: Any
) -> None:
    timed(0.5, 0.25)
    of = trials(tmp_path, N_DIS)
    over(of[0], 9.0, **change)
    over(of[-1], 9.0, **change)
    assert (found(of).over, found(of).timed) == (0, 6)


def test_one_run_that_is_over_is_not_scaled_where_one_can_time(tmp_path: Path, timed: Any) -> None:
    asked = timed(0.5, 0.25)
    of = trials(tmp_path, N_DIS)
    (first,) = [t for t in of if t.settings["model"]["n_dis"] == 20 and t.settings["seed_everything"] == 0]
    over(first, 9.0)
    result = found([trial for trial in of if trial is not first])
    assert result.seconds == pytest.approx((100 * (2 * 0.75 + 2 * 1 + 9.0),) * 2)  # itself at 20, else timed
    assert (result.over, result.timed, len(asked)) == (1, 4, 1)


WIDTHS = {"model.network": {"values": [f"standard_cnn(width={w})" for w in (0.0625, 0.25, 0.125)]}}


def test_where_time_is_short_the_kind_of_most_work_is_timed(
    tmp_path: Path, timed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the others are scaled from it by their products, which is said, as between two limits."""
    monkeypatch.setattr(cost, "BUDGET_SECONDS", 0.0)
    asked = timed(0.0, 1.0)
    result = found(trials(tmp_path, WIDTHS))
    assert len(asked) == 1
    assert "width=0.25" in asked[0]
    work = {}
    for width in (0.0625, 0.125, 0.25):
        cli = FitCLI(["--data.dataset=digits", f"--model.network=standard_cnn(width={width})"])
        cli.build(load=False)
        work[width] = Size.of(cli.model).products(kind(), 1)
    others = 100 * (work[0.0625] + work[0.125]) / work[0.25]
    assert result.seconds == pytest.approx((100 + others / cost.APART, 100 + others * cost.APART))
    assert result.basis == (
        "1 run as timed here over a few updates (1 of 3 kinds of run); "
        "2 runs scaled from others, a guess: 2 of 3 kinds of run were not timed"
    )


def test_without_a_gpu_only_runs_on_gpus_tell_anything(tmp_path: Path, timed: Any) -> None:
    asked = timed(0.5, 0.25)
    of = trials(tmp_path, N_DIS)
    over(of[0], 9.0)  # on this machine's processor
    assert estimate(of[1:], None, tmp_path / "runs") is None
    over(of[0], 0.01, machine=GPU, device="cuda:0")
    over(of[-1], 0.2, machine=GPU, device="cuda:0")
    result = found(of, None)
    assert result.seconds == pytest.approx((2 * 100 * (0.01 + 0.02 + 0.2),) * 2)
    assert result.basis == f"6 runs as those that are over took ({GPU})"
    assert not asked


def test_one_n_dis_alone_is_scaled_to_others_between_limits(tmp_path: Path) -> None:
    of = trials(tmp_path, N_DIS)
    over(of[0], 1.0, machine=GPU, device="cuda:0")
    result = found(of[1:], None)
    # A half to 85 % of the second is the discriminator's: 1.5 to 1.85 s at n_dis 2, 10.5 to 17.15 s at 20.
    assert result.seconds == pytest.approx((100 * (1 + 3 + 21), 100 * (1 + 3.7 + 34.3)))
    assert (result.over, result.guessed) == (1, 4)


# ---- timing ----------------------------------------------------------------------------------------------


def clocked(asked: list[int], budget: float) -> Clock:
    clock = Clock(asked, budget)
    cli = FitCLI(["--data.dataset=digits", f"--model.network={SMALL}", f"--generator_steps={len(asked)}"])
    cli.build(load=False)
    cli.trainer_with([clock], [], logger=False).fit(cli.model, cli.datamodule)
    assert cli.model.n_dis == asked[len(clock.seconds) - 1]
    return clock


def test_a_dear_kind_is_timed_by_one_update() -> None:
    """The budget would be spent in the second, so the first has to do."""
    clock = clocked([1, 1, 5], 0.0)
    assert len(clock.seconds) == 1
    assert clock.found == {1: clock.seconds[0]}


def test_the_first_update_warms_up_and_others_count_by_their_median() -> None:
    clock = clocked([1, 1, 3, 1, 3], 100.0)
    assert len(clock.seconds) == 5
    clock.seconds = [9.0, 1.0, 5.0, 3.0, 6.0]
    assert clock.found == {1: 2.0, 3: 5.5}


def test_more_discriminator_updates_than_many_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []
    made = Clock.__init__

    def noted(self: Clock, wanted: list[int], *rest: Any, **more: Any) -> None:
        asked.append(wanted)
        made(self, wanted, *rest, **more)

    monkeypatch.setattr(timing.Clock, "__init__", noted)
    words = [
        "--data.dataset=digits",
        f"--model.network={SMALL}",
        "--model.decay_from=90",
        "--generator_steps=90",
    ]
    assert {*seconds_an_update(words, 20)} == {1, 5}
    assert {*seconds_an_update(words, 1)} == {1}
    assert asked == [[1, 1, 5, 1, 5], [1, 1, 1]]


def test_the_estimate_of_a_real_run_is_its_duration_within_a_factor_of_3(tmp_path: Path) -> None:
    """In seconds of the processor, which others on the machine do not prolong."""
    command = [*COMMAND[:4], "--generator_steps=25", "--model.normalizer=gradient_penalty", "${args}"]
    of = trials(tmp_path, {"model.n_dis": {"values": [3]}}, command)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        cli = FitCLI(of[0].arguments)
        cli.build()
        trainer = cli.trainer_with([], [], logger=False)
        began = time.process_time()
        trainer.fit(cli.model, cli.datamodule)
        took = time.process_time() - began
    finally:
        torch.set_num_threads(threads)
    low, high = found(of).seconds
    assert low == high
    assert took / 3 < low < took * 3
