"""What the generators make beside what they were shown: the last samples of each normalizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from snlab.results import looks
from snlab.results.figures.printed import PALE, columns, fitted, grid_height, heading, heading_height, sheet
from snlab.results.figures.style import SMALL, Row, by_row, missing
from snlab.results.groups import Group, group
from snlab.tracking.run_folder import FINISHED, MODES, REAL, SAMPLES, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 1.3  # inches, at least
REAL_COLOUR, REAL_NAME = "#222222", "real data"


def samples(runs: Sequence[Run], width: float) -> Figure:
    """Real samples and the last of each normalizer side by side, of its first seed: images, or points."""
    rows = by_row(group(runs), lambda g: shown(g) is not None)
    palette = looks.palette(g.normalizer for row in rows for g in row.groups)
    if not rows:
        raise missing(f"{SAMPLES}/STEP.png or {SAMPLES}/STEP.npy", "no sample")
    real = [left_beside([run for g in row.groups for run in g.runs], REAL) for row in rows]
    counts = [len(row.groups) + (path is not None) for row, path in zip(rows, real, strict=True)]
    titles = [_without_seeds(row) for row in rows]
    side = [columns(width, PANEL, max(count, 3)) for count in counts]
    above = [
        [REAL_NAME] * (count - len(row.groups)) + [fitted(g.name, width / beside) for g in row.groups]
        for row, count, beside in zip(rows, counts, side, strict=True)
    ]
    heights = [
        grid_height(texts, beside, width / beside + 0.25) + heading_height(text, width)
        for texts, beside, text in zip(above, side, titles, strict=True)
    ]
    figure, bands = sheet(width, heights)
    for band, row, text, original, count, beside in zip(bands, rows, titles, real, counts, side, strict=True):
        grid = band.subplots(-(-count // beside), beside, squeeze=False)
        modes = left_beside([run for g in row.groups for run in g.runs], MODES)
        reach = reach_of(row.groups, original)
        places = iter(grid.flat)
        if original is not None:
            axes = next(places)
            _draw(axes, original, REAL_COLOUR, modes, reach)
            _name(axes, REAL_NAME, "held out from training", width / beside)
        for g in row.groups:
            if found := shown(g):
                axes = next(places)
                run, path = found
                outside = _draw(axes, path, palette[g.normalizer].colour, modes, reach)
                ending = "" if run.outcome == FINISHED else f", {run.outcome}"
                lost = f", {outside:.0%} outside" if outside >= 0.005 else ""
                below = f"seed {run.seed}, update {int(path.stem)}{ending}{lost}"
                _name(axes, g.name, below, width / beside)
        for axes in places:
            axes.remove()
        heading(band, text, width)
    return figure


def _without_seeds(row: Row) -> str:
    """A row's title; of each normalizer one seed is shown, which its panel names."""
    return "\n".join([looks.label(row.groups[0].dataset), *row.title.splitlines()[1:]])


def sample_files(run: Run) -> list[Path]:
    """The files of samples in a run folder, by update: PNG grids of images, or NPY arrays of points."""
    folder = run.folder / SAMPLES
    files = [path for path in folder.glob("*.*") if path.suffix in (".png", ".npy") and path.stem.isdigit()]
    return sorted(files, key=lambda path: int(path.stem))


def last_sample(run: Run) -> Path | None:
    """The newest file of samples in a run folder."""
    return next(reversed(sample_files(run)), None)


def shown(g: Group) -> tuple[Run, Path] | None:
    """The last sample of the first seed that finished and left one, else of the first that left any."""
    found = ((run, last_sample(run)) for run in (*g.finished, *g.whole))
    return next(
        ((run, path) for run, path in found if path is not None and read_sample(path) is not None), None
    )


def left_beside(runs: Sequence[Run], name: str) -> Path | None:
    """The first file that one of the runs left beside its samples under this name."""
    paths = (path for run in runs for path in sorted((run.folder / SAMPLES).glob(f"{name}.*")))
    return next((path for path in paths if read_sample(path) is not None), None)


def read_sample(path: Path) -> np.ndarray | None:
    """An image, or points (n, d); None where the file is damaged."""
    from matplotlib.image import imread

    try:
        if path.suffix == ".png":
            return np.asarray(imread(path))
        points = np.load(path, allow_pickle=False)
    except (EOFError, OSError, SyntaxError, ValueError):  # Pillow calls a broken PNG a SyntaxError
        return None
    return points if points.ndim == 2 and points.shape[1] >= 2 else None


def reach_of(groups: Sequence[Group], real: Path | None) -> float:
    """Half the side of a square around 0 that holds the real points.

    Where they are not known, nearly all points of the better half of the clouds.
    """
    if real is not None and real.suffix == ".npy":
        return 1.1 * float(np.abs(_points(real)).max())
    paths = [found[1] for g in groups if (found := shown(g)) and found[1].suffix == ".npy"]
    finite = [np.abs(cloud[np.isfinite(cloud)]) for cloud in map(_points, paths)]
    reaches = [float(np.quantile(cloud, 0.99)) for cloud in finite if cloud.size]
    return 1.3 * float(np.median(reaches)) if reaches else 1.0


def _points(path: Path) -> np.ndarray:
    """(n, 2), the first two coordinates of what ``read_sample`` has found whole."""
    return _whole(path)[:, :2]


def _whole(path: Path) -> np.ndarray:
    found = read_sample(path)
    assert found is not None
    return found


def _draw(axes: Axes, path: Path, colour: str, modes: Path | None, reach: float) -> float:
    """An image, or points over crosses at the modes; returns the share of points outside of the square."""
    axes.set(xticks=[], yticks=[], anchor="N")  # the layout leaves room above the cell, not above the image
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set(visible=True, color="#cccccc")
    if path.suffix == ".png":
        axes.imshow(_whole(path), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        return 0.0
    if modes is not None:
        x, y = _points(modes).T
        axes.plot(x, y, "+", color="#D00000", markersize=4, markeredgewidth=0.7, zorder=3)
    points = _points(path)
    axes.scatter(points[:, 0], points[:, 1], s=1.2, color=colour, alpha=0.5, linewidths=0, zorder=2)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    inside = (np.abs(points) <= reach).all(axis=1)  # what is no number is outside
    return 1 - float(inside.mean()) if len(inside) else 0.0


def _name(axes: Axes, name: str, below: str, width: float) -> None:
    below = fitted(below, width, SMALL)
    gap = "\n" * (1 + below.count("\n"))
    axes.set_title(f"{fitted(name, width)}{gap}")
    axes.text(
        0.5, 1.02, below, transform=axes.transAxes, ha="center", va="bottom", fontsize=SMALL, color=PALE
    )
