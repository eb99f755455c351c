"""Our studies' tables and figures, against what the run folders hold."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import numpy as np
import pytest

from snlab.core.errors import UserError
from snlab.data import DATASETS
from snlab.results.figures import draw, picture
from snlab.results.figures.study import OF_STUDIES
from snlab.results.figures.style import style
from snlab.results.looks import colour
from snlab.results.reading import collect
from snlab.results.studies import COVERED, EXCESS, RMSE, STUDIES
from snlab.results.study import DEFAULTS
from snlab.results.tables import make, render
from snlab.tracking.run_folder import DIVERGED, FAILED
from tests.results.figure_runs import COLUMN, PAGE, crosses, dots, entries
from tests.results.study_runs import last, write
from tests.results.test_figures_in_print import check_print

E, R, J, C = ("ratio/true_excess_loss", "ratio/true_rmse", "ratio/true_js", "ratio/true_gradient_cosine")
PLACES = {
    "dimension": (2, 128), "disjoint": (0.001, 1), "modes": (8, 25), "samples": (500, 50_000),
    "cost": (0.5, 8),
}  # fmt: skip


def fill(lab: Any, study: str, xs: Any, seeds: Any = (0, 1)) -> dict[tuple[str, float, int], Any]:
    """A run for each normalizer, place and seed, with every quantity of the study."""
    found = {}
    for i, normalizer in enumerate(("none", "spectral_norm")):
        for x in xs:
            for seed in seeds:
                values = {
                    q.name: 0.1 * (1 + i) * (1 + k) * x ** (0.3 - 0.5 * i) + 0.01 * seed
                    for k, q in enumerate(STUDIES[f"density_ratio/{study}"].quantities)
                }
                found[normalizer, x, seed] = write(lab, study, normalizer, x, seed, values)
    return found


def parts(lab: Any, study: str) -> Any:
    return STUDIES[f"density_ratio/{study}"].parts(collect(lab.root).runs)


def drawn(lab: Any, study: str, width: float = PAGE) -> Any:
    with style():
        return OF_STUDIES[f"density_ratio/{study}"](collect(lab.root).runs, width)


# ---- which runs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("study", PLACES)
def test_runs_of_one_study_are_one_part_at_their_places(study: str, lab: Any) -> None:
    fill(lab, study, PLACES[study])
    (part,) = parts(lab, study)
    assert part.places == pytest.approx(list(PLACES[study]))
    assert part.normalizers == ["none", "spectral_norm"]
    assert len(part.runs) == 8
    for other in {*PLACES} - {study}:  # a Gaussian's runs have a dimension in two studies, but one alone here
        assert parts(lab, other) == []


def test_what_is_at_its_default_may_be_left_out(lab: Any) -> None:
    fill(lab, "samples", (500, 50_000))
    for normalizer in ("none", "spectral_norm"):  # as a run is spelled that another sweep has made
        write(lab, "samples", normalizer, 20_000, values={E: 0.25}, dataset="gaussian(dim=32)")
    (part,) = parts(lab, "samples")
    assert part.places == [500, 20_000, 50_000]
    assert part.by_seed(EXCESS, "none", 20_000) == {0: 0.25}


def test_the_defaults_are_those_of_the_data_sets() -> None:
    for study in STUDIES.values():
        assert {*study.datasets} <= {*DEFAULTS}
    for name, defaults in DEFAULTS.items():
        ((_, make_dataset),) = DATASETS.factories(name)
        parameters = inspect.signature(make_dataset).parameters.values()
        assert defaults == {p.name: p.default for p in parameters if p.default is not None}, name


def test_what_is_not_alike_is_another_part(lab: Any) -> None:
    fill(lab, "dimension", (2, 8))
    for x in (2, 8):
        for dataset, network in (
            (
                f"mixture(kind=random, dim={x}, std=1)",
                "fixed(distribution=mixture(kind=random, std=1), shift=1)",
            ),
            (f"gaussian(dim={x})", "fixed(shift=2)"),
        ):
            write(lab, "dimension", "none", x, 0, {E: 1.0}, dataset=dataset, network=network)
        write(lab, "dimension", "none", x, 0, {E: 1.0}, loss="hinge")
        write(lab, "dimension", "none", x, 0, {E: 1.0}, until=100)
        write(lab, "dimension", "none", x, 0, {E: 1.0}, network="mlp")  # of no known density
        write(lab, "dimension", "none", x, 0, {E: 1.0}, dataset="digits")
    found = parts(lab, "dimension")
    assert sorted(len(part.runs) for part in found) == [2, 2, 2, 2, 8]
    titles = sorted(part.title for part in found)
    assert len({*titles}) == 5
    assert any("hinge" in title for title in titles)
    assert any("100 updates" in title for title in titles)
    assert any(title.startswith("mixture (kind=random, std=1)") for title in titles)


@pytest.mark.parametrize(
    ("dataset", "network", "steepness"),
    [
        ("gaussian(std=0.5)", "fixed(distribution=gaussian(std=0.5), shift=1)", 4.0),
        ("gaussian", "fixed(shift=3)", 3.0),
        ("gaussian(std=0.5)", "fixed(shift=1)", None),  # of another size: not the same everywhere
        ("gaussian", "fixed(shift=1, scale=2)", None),
        ("gaussian", "fixed(distribution=line, shift=1)", None),
        ("gaussian", "fixed", None),
    ],
)
def test_the_steepness_is_that_of_the_densities(
    dataset: str, network: str, steepness: float | None, lab: Any
) -> None:
    write(lab, "cost", "none", 1, 0, {E: 1.0}, dataset=dataset, network=network)
    (run,) = collect(lab.root).runs
    assert STUDIES["density_ratio/cost"].place(run) == steepness
    if steepness is not None:
        import torch

        from snlab.data import DATASETS
        from snlab.networks import NETWORKS

        q, p = DATASETS.build(dataset).density, NETWORKS.build(network).generator((2,))
        x = torch.randn(5, 2, dtype=torch.float64).requires_grad_()
        (gradient,) = torch.autograd.grad((q.log_prob(x) - p.log_density(x)).sum(), x)
        torch.testing.assert_close(gradient.norm(dim=1), torch.full((5,), steepness, dtype=torch.float64))


def test_a_study_without_two_places_names_its_sweeps(lab: Any, tmp_path: Any) -> None:
    write(lab, "dimension", "none", 2, 0, {E: 1.0})
    runs = collect(lab.root).runs
    for call in (
        lambda: make("density_ratio/dimension", runs),
        lambda: draw("density_ratio/dimension", runs, tmp_path / "figure.png"),
    ):
        with pytest.raises(UserError, match=r"not two\. They are made by snlab sweep density_ratio_dim"):
            call()
    with pytest.raises(UserError, match=r"'density_ratio/mode'; density_ratio has .*modes"):
        make("density_ratio/mode", runs)
    with pytest.raises(UserError, match=r"'density_ratio/mode'; density_ratio has .*modes"):
        picture("density_ratio/mode", runs)


# ---- the table ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("study", PLACES)
def test_every_number_of_the_table_is_that_of_the_folders(study: str, lab: Any) -> None:
    folders = fill(lab, study, PLACES[study])
    (table,) = make(f"density_ratio/{study}", collect(lab.root).runs)
    assert len(table.rows) == 4
    places = [x for x in PLACES[study] for _ in range(2)]
    for row, x in zip(table.rows, places, strict=True):
        normalizer = row[0].text.replace(" ", "_")
        for column, cell in zip(table.columns[3:], row[3:], strict=True):
            by = x if column.key == COVERED.name or column.header.endswith("/ true") else 1.0
            values = [last(folders[normalizer, x, seed], column.key) / by for seed in (0, 1)]
            assert cell.numbers is not None
            assert cell.numbers.mean == pytest.approx(np.mean(values))
            assert cell.numbers.std == pytest.approx(np.std(values, ddof=1))
            assert float(cell.text) == pytest.approx(np.mean(values), rel=0.02, abs=1e-4)
    assert [head for head, _ in table.blocks()] == [
        STUDIES[f"density_ratio/{study}"].say(x) for x in PLACES[study]
    ]
    assert render([table], "csv").splitlines()[0].startswith("normalizer,")
    assert r"\toprule" in render([table], "latex")


def test_what_did_not_finish_is_said_and_not_counted(lab: Any) -> None:
    fill(lab, "dimension", (2, 128), seeds=(0,))
    write(lab, "dimension", "none", 128, 1, {E: 99.0}, outcome=DIVERGED, until=100)
    write(lab, "dimension", "r1", 128, 0, {E: 99.0}, outcome=DIVERGED, until=100)
    write(lab, "dimension", "r1", 128, 1, {E: 99.0}, outcome=FAILED, until=100)
    (table,) = make("density_ratio/dimension", collect(lab.root).runs)
    column = [c.key for c in table.columns].index(E)
    cells = {
        (section, row[0].text): row[column] for section, row in zip(table.sections, table.rows, strict=True)
    }
    assert cells["d = 128", "none"].remark == "1/2 diverged"
    assert cells["d = 128", "none"].numbers is not None
    assert cells["d = 128", "none"].numbers.n == 1
    assert cells["d = 128", "r1"].text == "–"
    assert cells["d = 2", "r1"].text == "not run"
    assert "3 of 7 runs are not in the means: 2 diverged; 1 failed" in table.notes


# ---- the figure --------------------------------------------------------------------------------------------


def test_dots_lines_and_bands_are_those_of_the_folders(lab: Any) -> None:
    folders = fill(lab, "dimension", (2, 8, 128))
    (band,) = drawn(lab, "dimension").subfigs
    shown = STUDIES["density_ratio/dimension"].drawn
    against, over = band.axes[:6], band.axes[6:]
    assert len(against) == len(over) == len(shown) == 6
    for axes, quantity in zip(against, shown, strict=True):
        assert axes.get_xscale() == "log"
        assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "8", "128"]
        assert axes.get_yscale() == ("log" if quantity.logarithmic else "linear")
        for normalizer in ("none", "spectral_norm"):
            values = {
                x: [last(folders[normalizer, x, s], quantity.name) for s in (0, 1)] for x in (2, 8, 128)
            }
            wanted = [(x, value) for x in values for value in values[x]]
            assert np.allclose(dots(axes, colour(normalizer)), wanted)
            (line,) = [
                drawn for drawn in axes.lines if drawn.get_color() == colour(normalizer)
                and drawn.get_marker() == "None"
            ]  # fmt: skip
            means = [
                np.mean([last(folders[normalizer, x, s], quantity.name) for s in (0, 1)]) for x in (2, 8, 128)
            ]
            assert list(line.get_ydata()) == pytest.approx(means)
        band_of = axes.collections[0].get_paths()[0].vertices
        ends = [last(folders["none", 2, seed], quantity.name) for seed in (0, 1)]
        assert min(band_of[band_of[:, 0] == 2, 1]) == pytest.approx(np.mean(ends) - np.std(ends, ddof=1))


def test_a_band_ends_at_the_lowest_seed_where_a_logarithm_has_no_zero(lab: Any) -> None:
    for x in (2, 128):
        for seed, value in enumerate((0.001, 0.002, 1.0)):  # their standard deviation exceeds their mean
            write(lab, "dimension", "none", x, seed, {E: value, C: value})
    axes = drawn(lab, "dimension").subfigs[0].axes
    below = np.mean([0.001, 0.002, 1]) - np.std([0.001, 0.002, 1], ddof=1)
    for panel, lowest in ((axes[0], 0.001), (axes[1], below)):
        assert panel.collections[0].get_paths()[0].vertices[:, 1].min() == pytest.approx(lowest)


def test_what_f_0_has_is_twice_the_divergence(lab: Any) -> None:
    folders = fill(lab, "dimension", (2, 128))
    axes = drawn(lab, "dimension").subfigs[0].axes[0]
    (line,) = [found for found in axes.lines if found.get_color() == "#222222"]
    wanted = [2 * np.mean([last(f, J) for (_, at, _), f in folders.items() if at == x]) for x in (2, 128)]
    assert list(line.get_ydata()) == pytest.approx(wanted)
    assert entries(drawn(lab, "dimension").subfigs[0]) == ["none", "spectral norm", "f = 0"]


def test_over_updates_is_at_the_one_place(lab: Any) -> None:
    for seed in (0, 1):
        for x in (2, 100, 512):
            write(lab, "dimension", "none", x, seed, lambda step, x=x, s=seed: {E: 1 + step * x + s, R: 2.0})
    (band,) = drawn(lab, "dimension").subfigs
    assert band.get_suptitle().endswith("below: over updates at d = 100")
    assert len(band.axes) == 4  # the others were not logged
    over = band.axes[2]
    (line,) = [found for found in over.lines if found.get_color() == colour("none")]
    assert list(line.get_xdata()) == [0, 20, 50, 100, 150, 200]
    assert list(line.get_ydata()) == [1.5 + step * 100 for step in (0, 20, 50, 100, 150, 200)]
    assert over.get_xlabel() == "generator updates"


def test_diverged_runs_are_crosses(lab: Any) -> None:
    fill(lab, "dimension", (2, 128), seeds=(0,))
    write(lab, "dimension", "none", 128, 1, {E: 99.0}, outcome=DIVERGED, until=100)
    (band,) = drawn(lab, "dimension").subfigs
    assert crosses(band.axes[0]) == [128]
    assert entries(band)[-1] == "diverged"


@pytest.mark.slow
@pytest.mark.parametrize(("study", "width"), [("cost", COLUMN), ("disjoint", COLUMN), ("disjoint", PAGE)])
def test_they_are_of_print_size(study: str, width: float, lab: Any) -> None:
    """Those with the longest words, and with the most panels."""
    fill(lab, study, PLACES[study])
    check_print(OF_STUDIES[f"density_ratio/{study}"], collect(lab.root).runs, width, study)


@pytest.mark.parametrize(
    ("study", "xs"),
    [
        ("samples", (500, 2000, 5000, 20_000, 50_000)),
        ("cost", (0.5, 1, 2, 8, 32)),
        ("dimension", (2, 128, 512)),
    ],
)
def test_no_two_places_are_written_on_each_other(study: str, xs: Any, lab: Any) -> None:
    fill(lab, study, xs, seeds=(0,))
    figure = drawn(lab, study)
    figure.draw_without_rendering()
    for axes in figure.axes:
        labels = [label for label in axes.get_xticklabels() if label.get_text()]
        boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.x0)
        assert all(a.x1 + a.height < b.x0 for a, b in itertools.pairwise(boxes)), axes.get_title(loc="left")


def test_quantities_are_logged_names() -> None:
    from snlab.core import names

    known = {value for value in vars(names).values() if isinstance(value, str)}
    for study in STUDIES.values():
        for quantity in study.quantities:
            assert quantity.name.removeprefix("ratio/") in known
    assert (EXCESS.name, RMSE.name) == (E, R)
