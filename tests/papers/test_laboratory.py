"""The sentences of our studies: every number in them is computed here from what the runs logged."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from snlab.cli import main
from snlab.core.errors import UserError
from snlab.papers.arguments import Options
from snlab.papers.claims import claims
from snlab.papers.page import page
from snlab.papers.reproduce import _write
from snlab.results.papers import paper, read_paper
from snlab.results.reading import collect
from snlab.results.studies import STUDIES
from snlab.results.tables import make
from snlab.sweeps.document import read_sweep
from snlab.tracking.run_folder import Run
from snlab.training.arguments import FitCLI
from tests.results.study_runs import last, spelled, write

E, J, C = "ratio/true_excess_loss", "ratio/true_js", "ratio/true_gradient_cosine"
LAB = paper("density_ratio")


def said(study: str, lab: Any) -> str:
    return "\n\n".join(claims(study, collect(lab.root).runs))


# ---- dimension ---------------------------------------------------------------------------------------------


def crossing(lab: Any) -> dict[tuple[str, int, int], Path]:
    """No normalizer is better at d = 2 and worse at 128, where it gets worse again; at 8 nothing is sure."""
    excess = {
        ("none", 2): (0.001, 0.002, 0.003), ("spectral_norm", 2): (0.011, 0.012, 0.014),
        ("none", 8): (0.010, 0.030, 0.020), ("spectral_norm", 8): (0.020, 0.020, 0.021),
        ("none", 128): (0.500, 0.510, 0.525), ("spectral_norm", 128): (0.030, 0.035, 0.040),
    }  # fmt: skip
    found = {}
    for (normalizer, d), values in excess.items():
        for seed, value in enumerate(values):

            def over(step: int, value: float = value, n: str = normalizer) -> dict[str, float]:
                early = value / 5 if n == "none" and step == 50 else 2 * value
                return {E: value if step == 200 else early, J: 0.11 + 0.001 * seed, C: value}  # noqa: B023

            found[normalizer, d, seed] = write(lab, "dimension", normalizer, d, seed, over)
    return found


def test_none_and_spectral_norm_cross(lab: Any) -> None:
    folders = crossing(lab)
    for d, sign in ((2, -1), (8, 0), (128, 1)):  # by scipy's own paired test
        a, b = ([last(folders[n, d, s], E) for s in range(3)] for n in ("none", "spectral_norm"))
        interval = stats.ttest_rel(a, b).confidence_interval(0.95)
        assert np.sign(interval.low) + np.sign(interval.high) == 2 * sign
    text = said("dimension", lab)
    assert (
        "Without a normalizer the excess loss is, against spectral norm's, lower at d = 2, higher at d = 128"
        ", not told apart at d = 8 (95 % t intervals of the differences within a seed). They cross between "
        "d = 2 and d = 128."
    ) in text
    assert text.startswith(
        "gaussian against fixed (shift=1), 200 updates; means ± standard deviations over 3 seeds:"
    )


def test_who_is_lowest_who_says_less_than_nothing_and_who_gets_worse_again(lab: Any) -> None:
    folders = crossing(lab)
    text = said("dimension", lab)
    lowest = {}
    for d in (2, 8, 128):
        means = {n: np.mean([last(folders[n, d, s], E) for s in range(3)]) for n in ("none", "spectral_norm")}
        lowest[d] = min(means.items(), key=lambda pair: pair[1])
    told = "; ".join(f"{n.replace('_', ' ')} at d = {d} ({mean:.3g})" for d, (n, mean) in lowest.items())
    assert f"The lowest mean excess loss is that of {told}." in text
    zero = 2 * np.mean([last(folder, J) for (_, d, _), folder in folders.items() if d == 128])
    worst = np.mean([last(folders["none", 128, s], E) for s in range(3)])
    assert (
        "Further from the truth than an f that is 0 everywhere, by mean excess loss: at d = 128, where it "
        f"has {zero:.3g}, none ({worst:.3g})."
    ) in text
    assert f"| none | {worst / 5:.3g} | 50 | {worst:.3g} | {worst * 4 / 5:.3g} |" in text
    calm = np.mean([last(folders["spectral_norm", 128, s], E) for s in range(3)])
    assert f"| spectral norm | {calm:.3g} | 200 | {calm:.3g} | 0 |" in text
    assert "Over updates at d = 128, means over seeds:" in text
    assert "It ends above its lowest by more than 10% of what f = 0 has under none." in text
    ends = [np.array([last(folders["none", d, s], C) for s in range(3)]) for d in (2, 128)]
    first, final = (f"{v.mean():.3g} ± {v.std(ddof=1):.2g}" for v in ends)
    assert f"From d = 2 to d = 128, gradient cosine: {first} to {final} under none; " in text


def test_nothing_is_said_without_runs(lab: Any) -> None:
    write(lab, "dimension", "none", 2, 0, {E: 1.0})
    for study in LAB.items:
        assert said(study, lab) == ""


# ---- the others --------------------------------------------------------------------------------------------


def test_the_perfect_discriminator_and_what_it_leaves(lab: Any) -> None:
    names = [
        "saturation",
        "accuracy_heldout",
        "generator_gradient_saturating",
        "generator_gradient_non_saturating",
    ]
    numbers = {
        ("none", 1): (0.0, 0.55, 0.2, 0.3), ("none", 0.001): (1.0, 1.0, 0.0004, 12.0),
        ("spectral_norm", 1): (0.0, 0.54, 0.2, 0.2), ("spectral_norm", 0.001): (0.1, 0.99, 0.3, 0.015),
    }  # fmt: skip
    for (normalizer, epsilon), values in numbers.items():
        logged = {f"ratio/{name}": value for name, value in zip(names, values, strict=True)}
        logged |= {J: 0.5 * epsilon, E: 0.1 * epsilon if normalizer == "none" else 0.9 * epsilon}
        write(lab, "disjoint", normalizer, epsilon, 0, logged)
    text = said("disjoint", lab)
    assert "| none | 0 | 1 | 0.55 | 1 | 0.2 | 0.0004 | 0.3 | 12 |" in text
    assert "| spectral norm | 0 | 0.1 | 0.54 | 0.99 | 0.2 | 0.3 | 0.2 | 0.015 |" in text
    assert (
        "At ε = 0.001 the gradient of log(1 - D) falls to less than 10% of what it is at ε = 1 under none; "
        "the gradient of -log D falls to less than 10% of what it is at ε = 1 under spectral norm."
    ) in text
    assert "Of what can be known at ε = 0.001, f knows 90.0% under none; 10.0% under spectral norm." in text
    assert "by mean excess loss: no normalizer at any place." in text


def test_modes_are_told_as_shares_and_with_what_is_dropped(lab: Any) -> None:
    for normalizer, covered, dropped in (("none", 40, 0.5), ("spectral_norm", 90, 0.1)):
        for seed in (0, 1, 2):
            for count in (8, 100):
                values = {
                    "modes/covered": covered * count / 100, "modes/high_quality": 0.8,
                    "modes/dropped_mass": dropped + 0.01 * seed * dropped,
                }  # fmt: skip
                write(lab, "modes", normalizer, count, seed, values)
    text = said("modes", lab)
    assert (
        "From 8 modes to 100 modes, modes covered: 0.4 ± 0 to 0.4 ± 0 under none; "
        "0.9 ± 0 to 0.9 ± 0 under spectral norm."
    ) in text
    mean, std = np.mean([0.5, 0.505, 0.51]), np.std([0.5, 0.505, 0.51], ddof=1)
    assert f"dropped mass: {mean:.3g} ± {std:.2g} to {mean:.3g} ± {std:.2g} under none" in text
    assert "the dropped mass is, against spectral norm's, higher at 8 modes and 100 modes (95 %" in text
    assert "They cross" not in text


def test_how_much_goes_away_with_more_samples(lab: Any) -> None:
    for normalizer, values in (("none", (0.6, 0.02)), ("spectral_norm", (0.05, 0.03))):
        for size, value in zip((500, 50_000), values, strict=True):
            logged = {E: value, J: 0.11, "ratio/generalisation_gap": value / 2}
            write(lab, "samples", normalizer, size, 0, logged)
    text = said("samples", lab)
    assert "From n = 500 to n = 50,000, excess loss: 0.6 to 0.02 under none; 0.05 to 0.03" in text
    assert "accuracy gap: 0.3 to 0.01 under none; 0.025 to 0.015 under spectral norm." in text
    assert "at n = 500, where it has 0.22, none (0.6)." in text
    assert "not told apart at n = 500 and n = 50,000" in text  # of one seed there is no interval


def test_up_to_which_steepness_f_knows_most(lab: Any) -> None:
    for normalizer, shares in (
        ("none", (0.99, 0.95, 0.91)),
        ("spectral_norm", (0.92, 0.6, 0.1)),
        ("r1", (0.5,) * 3),
    ):
        for x, share in zip((0.5, 2, 8), shares, strict=True):
            write(lab, "cost", normalizer, x, 0, {E: 0.22 * (1 - share), J: 0.11, "ratio/true_slope": share})
    text = said("cost", lab)
    assert (
        "f knows 90% of what can be known (1 less the excess loss over that of f = 0): up to steepness 8 "
        "under none; up to steepness 0.5 under spectral norm; at none of these under r1."
    ) in text
    assert "From steepness 0.5 to steepness 8, slope: 0.99 to 0.91 under none; " in text


# ---- items, sweeps, pages ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "sweep"),
    sorted({(i, s) for i in LAB.items for d in LAB.items[i].data.values() for s in d.sweeps}),
)
def test_every_run_of_a_sweep_is_of_its_study(study: str, sweep: str) -> None:
    """One part, which has every normalizer at every place, as often as there are seeds."""
    read = read_sweep(sweep)
    runs = []
    for index, configuration in enumerate(read.configurations()):
        if configuration["seed_everything"] == 0:
            settings = FitCLI(read.arguments(configuration)).settings
            runs.append(Run(Path(f"run{index}"), settings, {}))
    (part,) = STUDIES[f"density_ratio/{study}"].parts(runs)
    assert len(part.runs) == len(runs) == len(part.places) * len(part.normalizers)
    assert part.at == min(part.places, key=lambda x: abs(np.log(x / part.study.at)))
    assert ({"none", "spectral_norm"} <= {*part.normalizers}) == ("others" not in sweep)
    assert sweep in part.study.sweeps
    (metric,) = {read.metric.name} if read.metric else {""}
    assert metric in {quantity.name for quantity in part.study.quantities}


@pytest.mark.parametrize("study", LAB.items)
def test_a_page_has_table_claims_and_limits(study: str, lab: Any) -> None:
    places = {
        "dimension": (2, 512),
        "disjoint": (0.001, 1),
        "modes": (8, 25),
        "samples": (500, 5000),
        "cost": (1, 2),
    }
    for normalizer in ("none", "spectral_norm"):
        for x in places[study]:
            values = {q.name: 0.5 * x for q in STUDIES[f"density_ratio/{study}"].quantities}
            write(lab, study, normalizer, x, 0, values)
    item = f"density_ratio/{study}"
    runs = collect(lab.root).runs
    text = page(Options(item), runs, {item: make(item, runs)}, {study: None})
    assert text.startswith(f"# The density-ratio laboratory, {study}: ")
    assert "arXiv" not in text
    assert f"![{study}]({study}.png)" in text
    limits = text.partition("## What it does not show")[2]
    for line in LAB.items[study].limits:
        assert f"- {line}" in limits
    assert "Each trial has 1 seed:" in limits
    assert "paper's" not in text


def test_all_of_it_is_written(lab: Any, tmp_path: Path) -> None:
    crossing(lab)
    options = Options("density_ratio/dimension", out=tmp_path / "out")
    assert _write(collect(lab.root), ["density_ratio/dimension"], options, Console(quiet=True)) == 0
    names = {path.name for path in (tmp_path / "out/dimension").iterdir()}
    assert names == {"README.md", *(f"dimension.{suffix}" for suffix in ("csv", "tex", "png", "pdf"))}
    with (tmp_path / "out/dimension/dimension.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [row["x"] for row in rows] == ["2", "2", "8", "8", "128", "128"]
    assert float(rows[0][E]) == pytest.approx(0.002)


@pytest.mark.parametrize("study", ["dimension", "modes"])
def test_a_run_logs_what_its_study_measures(study: str, tmp_path: Path) -> None:
    """And those with a generator that stands still what all studies of one do."""
    dataset, network = spelled(study, 8)
    words = ["--config=density_ratio", f"--data.dataset={dataset}", f"--model.network={network}"]
    small = ["--generator_steps=2", "--measure.every=1", "--model.batch_size=8", "--measure.probe_size=20"]
    assert main(["fit", *words, *small, f"--run_folder={tmp_path / 'run'}"]) == 0
    lines = (tmp_path / "run/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    logged = {name for line in map(json.loads, lines) if line["generator_step"] == 2 for name in line}
    own = STUDIES[f"density_ratio/{study}"]
    for other in STUDIES.values():
        if other.networks == own.networks:
            assert {quantity.name for quantity in other.quantities} <= logged


def test_a_file_of_ours_is_checked(tmp_path: Path) -> None:
    text = "paper: p\ntitle: t\nreproductions:\n  a: {title: t, tables: [%s], data: {d: {sweeps: [s]}}}\n"
    path = tmp_path / "density_ratio.yaml"
    path.write_text(text % "dimensions", encoding="utf-8")
    with pytest.raises(UserError, match="tables has 'dimensions'; did you mean 'dimension'"):
        read_paper(path)
    path.write_text(text % "dimension", encoding="utf-8")
    assert read_paper(path).items["a"].tables == ("dimension",)
    path.write_text(text % "dimension" + "authors: a\n", encoding="utf-8")
    with pytest.raises(UserError, match="unknown 'authors'"):
        read_paper(path)
