"""Samples through training for the page: images as they were saved, or points, as far as there is room."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snlab.core.errors import UserError
from snlab.core.registry import parse
from snlab.results.figures.samples import last_sample, left_beside, reach_of, read_sample, sample_files
from snlab.results.figures.samples import shown as shown_of
from snlab.results.groups import Group
from snlab.results.page.series import packed
from snlab.tracking.run_folder import MODES, REAL, Run

IMAGES = 4_000_000  # characters that all images through training may take
LAST = 1_500_000  # and the last samples of every run
POINTS = 1_000_000  # and all points
MOST_POINTS = 1_000  # of one cloud
QUALITY = 80  # of WebP, where images as they were saved find no room
DENSITY = 72  # cells a side of a picture of a density
# Standard deviations of the mixtures that are not told one; a test holds them to the code.
MIXTURE_STD = {"ring": 0.2, "grid": 0.1, "random": 0.2}


def through_training(comparisons: Sequence[Sequence[Group]], number: dict[int, int]) -> dict[str, Any]:
    """Of each comparison the samples of each group's first seed at several updates, and real ones.

    Args:
        comparisons: the groups of each.
        number: the run's place on the page, by ``id(run)``.

    Returns:
        ``comparisons``, one entry each (None where nothing was left), and ``notes`` on what is not as saved.
    """
    chosen = [[(g, *found) for g in groups if (found := shown_of(g))] for groups in comparisons]
    images = [run for found in chosen for _, run, last in found if last.suffix == ".png"]
    points = [run for found in chosen for _, run, last in found if last.suffix == ".npy"]
    files = {id(run): sample_files(run) for run in (*images, *points)}
    kept = _that_fit([files[id(run)] for run in images], IMAGES)
    notes = list(kept.notes)
    clouds = _that_fit([files[id(run)] for run in points], POINTS, per_file=MOST_POINTS * 11)
    notes += clouds.notes
    return {
        "comparisons": [
            _comparison(found, files, number, kept, clouds) if found else None for found in chosen
        ],
        "notes": list(dict.fromkeys(notes)),
    }


def last_of_every_run(runs: Sequence[Run], number: dict[int, int]) -> dict[str, Any]:
    """The last image grid of each run, by its place on the page; as WebP where they find no room as saved."""
    found = [(run, path) for run in runs if (path := last_sample(run)) and path.suffix == ".png"]
    kept = _that_fit([[path] for _, path in found], LAST)
    shown = {number[id(run)]: kept.picture(path) for run, path in found}
    return {"images": {k: v for k, v in shown.items() if v}, "notes": kept.notes}


# ---- what fits -------------------------------------------------------------------------------------------


class _Kept:
    """How much of the files there is room for: every which of them, and whether as they were saved."""

    def __init__(self, every: int, lossy: bool, notes: list[str]) -> None:
        self.every, self.lossy, self.notes = every, lossy, notes

    def of(self, files: Sequence[Path]) -> list[Path]:
        """Evenly many of one run's files, the last of them always."""
        return list(files[:: -self.every])[::-1]

    def picture(self, path: Path) -> str | None:
        """An image as a data: address; None where the file is damaged."""
        if read_sample(path) is None:
            return None
        content = _as_webp(path) if self.lossy else path.read_bytes()
        kind = "webp" if self.lossy else "png"
        return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _that_fit(runs: Sequence[Sequence[Path]], room: int, per_file: int | None = None) -> _Kept:
    files = [path for files in runs for path in files]
    sizes = {path: per_file or _base64(path.stat().st_size) for path in files}
    if sum(sizes.values()) <= room:
        return _Kept(1, False, [])
    lossy = per_file is None
    if lossy:
        tried = files[:: max(1, len(files) // 8)]
        ratio = sum(_base64(len(_as_webp(path))) for path in tried) / sum(sizes[path] for path in tried)
        sizes = {path: int(size * ratio) for path, size in sizes.items()}
    longest = max(map(len, runs))
    for every in range(1, longest + 1):
        kept = _Kept(every, lossy, [])
        if sum(sizes[path] for files in runs for path in kept.of(files)) <= room:
            break
    if lossy:
        kept.notes.append(f"images are compressed (WebP, quality {QUALITY}), for want of room")
    if kept.every > 1:
        kept.notes.append(f"samples at every {_ordinal(kept.every)} of the updates at which they were left")
    return kept


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _base64(size: int) -> int:
    return 4 * -(-size // 3)


def _as_webp(path: Path) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    try:
        with Image.open(path) as image:
            image.convert("RGB").save(file, "WEBP", quality=QUALITY)
    except (OSError, SyntaxError):  # Pillow calls a broken PNG a SyntaxError
        return b""
    return file.getvalue()


# ---- one comparison --------------------------------------------------------------------------------------


def _comparison(
    found: Sequence[tuple[Group, Run, Path]],
    files: dict[int, list[Path]],
    number: dict[int, int],
    images: _Kept,
    clouds: _Kept,
) -> dict[str, Any]:
    groups = [g for g, _, _ in found]
    runs = [run for g in groups for run in g.runs]
    real, modes = left_beside(runs, REAL), left_beside(runs, MODES)
    reach = reach_of(groups, real)
    shown: dict[str, Any] = {"reach": reach, "runs": [], "real": _shown(real, reach, images)}
    if any(last.suffix == ".npy" for _, _, last in found):
        shown["modes"] = _cloud(modes, reach) if modes else None
        shown["density"] = density(groups[0].dataset, modes, reach) if modes else None
    for _, run, last in found:
        kept = (images if last.suffix == ".png" else clouds).of(
            [path for path in files[id(run)] if path.suffix == last.suffix]
        )
        drawn = [(int(path.stem), _shown(path, reach, images)) for path in kept]
        drawn = [(step, sample) for step, sample in drawn if sample]
        shown["runs"].append({
            "run": number[id(run)], "steps": [step for step, _ in drawn],
            "samples": [sample for _, sample in drawn],
        })  # fmt: skip
    return shown


def _shown(path: Path | None, reach: float, images: _Kept) -> dict[str, Any] | None:
    if path is None:
        return None
    if path.suffix == ".npy":
        return _cloud(path, reach)
    picture = images.picture(path)
    return {"image": picture} if picture else None


def _cloud(path: Path, reach: float) -> dict[str, Any] | None:
    """The first two coordinates of points, x and y in turn; how many there were, and how many lie outside."""
    points = read_sample(path)
    if points is None:
        return None
    points = points[:, :2]
    inside = (np.abs(points) <= reach).all(axis=1)  # what is no number is outside
    return {
        "points": packed(points[inside][:MOST_POINTS]),
        "count": len(points),
        "outside": int((~inside).sum()),
    }


def density(dataset: str, modes: Path, reach: float) -> str | None:
    """The true density of a mixture's first two coordinates, as shares of its largest, in 255ths.

    Row by row from above, DENSITY cells a side, one byte each, in base64; None for what is no mixture of the
    package.
    """
    std = mixture_std(dataset)
    centres = read_sample(modes)
    if std is None or centres is None:
        return None
    at = reach * (2 * (np.arange(DENSITY) + 0.5) / DENSITY - 1)
    # The density is a product over the coordinates, summed over the modes.
    across, down = (np.exp(-((at[:, None] - c[None]) ** 2) / (2 * std**2)) for c in centres[:, :2].T)
    found = down[::-1] @ across.T
    shares = (255 * found / max(found.max(), 1e-300)).astype(np.uint8)
    return base64.b64encode(shares.tobytes()).decode("ascii")


def mixture_std(dataset: str) -> float | None:
    """The standard deviation about each mode of a data set by name; None where that is not known here.

    >>> mixture_std("mixture(kind=grid)"), mixture_std("mixture(std=0.5)"), mixture_std("digits")
    (0.1, 0.5, None)
    """
    try:
        (term,) = parse(dataset)
    except (UserError, ValueError):
        return None
    std = term.options.get("std", MIXTURE_STD.get(str(term.options.get("kind", "ring"))))
    return float(std) if term.name == "mixture" and isinstance(std, int | float) and std > 0 else None
