"""What the generators make: the last samples of each normalizer side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snlab.results.collect import Group, group
from snlab.results.colours import palette
from snlab.results.figures.style import by_row, heading, missing, page, title
from snlab.tracking.run_folder import FINISHED, SAMPLES, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4


def samples(runs: Sequence[Run]) -> Figure:
    """The last samples of each normalizer side by side, of its first seed: image grids, or points."""
    rows = by_row(group(runs), lambda g: shown(g) is not None)
    colours = palette(g.key for row in rows for g in row)
    if not rows:
        raise missing(f"{SAMPLES}/STEP.png or {SAMPLES}/STEP.npy", "no sample")
    lines = [-(-len(row) // COLUMNS) for row in rows]
    figure, bands = page([0.4 + 2.8 * count for count in lines])
    for band, groups, count in zip(bands, rows, lines, strict=True):
        grid = band.subplots(count, COLUMNS if count > 1 else max(len(groups), 3), squeeze=False)
        reach = _reach(groups)
        for axes, g in zip(grid.flat, groups, strict=False):
            if found := shown(g):
                _panel(axes, g, *found, colours[g.key], reach)
        for axes in grid.flat[len(groups) :]:
            axes.remove()
        title(band, heading(groups).split(",")[0])
    return figure


def last_sample(run: Run) -> Path | None:
    """The newest file of samples in a run folder: a PNG grid of images, or an NPY array of points."""
    folder = run.folder / SAMPLES
    files = [path for path in folder.glob("*.*") if path.suffix in (".png", ".npy") and path.stem.isdigit()]
    return max(files, key=lambda path: int(path.stem), default=None)


def shown(g: Group) -> tuple[Run, Path] | None:
    """The last sample of the first seed that finished and left one, else of the first that left any."""
    found = ((run, last_sample(run)) for run in (*g.finished, *g.runs))
    return next(((run, path) for run, path in found if path is not None), None)


def _reach(groups: Sequence[Group]) -> float:
    """Half the side of a square around 0 that holds nearly all points of the better half of the clouds."""
    paths = [found[1] for g in groups if (found := shown(g)) and found[1].suffix == ".npy"]
    clouds = [np.load(path, allow_pickle=False) for path in paths]
    finite = [np.abs(cloud[np.isfinite(cloud)]) for cloud in clouds]
    reaches = [float(np.quantile(cloud, 0.99)) for cloud in finite if cloud.size]
    return 1.3 * float(np.median(reaches)) if reaches else 1.0


def _panel(axes: Axes, g: Group, run: Run, path: Path, colour: str, reach: float) -> None:
    from matplotlib.image import imread

    if path.suffix == ".png":
        image = imread(path)
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    else:
        points = np.load(path, allow_pickle=False)
        axes.scatter(points[:, 0], points[:, 1], s=3, color=colour, alpha=0.5, linewidths=0)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ending = "" if run.outcome == FINISHED else f", {run.outcome}"
    axes.set_title(f"{textwrap.fill(g.label, 32)}\n", fontsize=9)
    axes.text(
        0.5, 1.02, f"seed {run.seed}, update {int(path.stem)}{ending}",
        transform=axes.transAxes, ha="center", va="bottom", fontsize=8, color="#777777",
    )  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set(visible=True, color="#cccccc")
