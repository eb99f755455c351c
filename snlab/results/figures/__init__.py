"""Figures of runs, by name: made for print, the same for the same runs, byte for byte.

Each is made for a column or a page, or for any other width: those of any runs (FIGURES) as those of a paper
(PAPER) and of our studies (OF_STUDIES), which are laid out anew for it and not scaled.

matplotlib is imported only when one is drawn.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snlab.core.errors import UserError
from snlab.results.figures.fidelity import fidelity
from snlab.results.figures.miyato2018 import PAPER
from snlab.results.figures.printed import HIGHEST, inches
from snlab.results.figures.ratio import ratio
from snlab.results.figures.samples import samples
from snlab.results.figures.sigma import sigma
from snlab.results.figures.spectrum import spectrum
from snlab.results.figures.study import OF_STUDIES
from snlab.results.figures.style import style
from snlab.results.output import write
from snlab.results.papers import known_of
from snlab.results.studies import STUDIES
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: dict[str, Callable[[Sequence[Run], float], Figure]] = {
    "sigma": sigma,
    "ratio": ratio,
    "fidelity": fidelity,
    "samples": samples,
    "spectrum": spectrum,
}
FORMATS = ("pdf", "png", "svg")
OF_FOLDERS = {
    "samples": "samples",
    "spectrum": "spectra",
    "miyato2018/figure3": "spectra",
}  # what W&B has not


def described() -> dict[str, str]:
    """What every figure is, by its name: of any runs, of the papers, of our studies."""
    known = {name: (make.__doc__ or "").splitlines()[0] for name, make in {**FIGURES, **PAPER}.items()}
    return known | {name: f"{study.title}." for name, study in STUDIES.items()}


def draw(name: str, runs: Sequence[Run], out: str | Path, width: str | None = None) -> list[str]:
    """Write one figure; the suffix of ``out`` says in which format.

    Returns what must be said of it, in lines: none, or that no page holds it.

    Args:
        name: of FIGURES, PAPER or OF_STUDIES.
        runs: what it is drawn from.
        out: a .pdf, .png or .svg file.
        width: ``column``, ``page``, or a number of inches; by default a page, of a paper's figure a column.

    Raises:
        UserError: for an unknown name, suffix or width, for runs that logged nothing to draw (what is missing
            is in the line), and where ``out`` cannot be written.
    """
    out = Path(out)
    format = out.suffix.removeprefix(".").lower()
    if format not in FORMATS:
        wanted = ", ".join(f".{known}" for known in FORMATS)
        raise UserError(f"{out} does not end in a figure's format; one of {wanted} is wanted")
    content, height = _drawn(name, runs, format, None, width)
    write(out, content)
    if height <= HIGHEST:
        return []
    return [
        f"{out} is {height:.1f} inches high, and a page holds {HIGHEST:g}: a wider one (--width page), or "
        "runs of fewer settings (--runs), make a lower one"
    ]


def picture(
    name: str, runs: Sequence[Run], format: str = "png", dpi: int | None = None, width: str | None = None
) -> bytes:
    """One figure as the bytes of a png, pdf or svg file; by default at 300 dpi."""
    return _drawn(name, runs, format, dpi, width)[0]


def _drawn(
    name: str, runs: Sequence[Run], format: str, dpi: int | None, width: str | None
) -> tuple[bytes, float]:
    """A figure's bytes, and its height in inches."""
    general = {**FIGURES, **OF_STUDIES}
    if name not in general and name not in PAPER:
        raise UserError(f"unknown figure {name!r}; {known_of(name, [*general, *PAPER])}")
    if name in OF_FOLDERS and all(run.on_wandb for run in runs):
        raise UserError(
            f"of runs on W&B there are no {OF_FOLDERS[name]} to draw: these are in the run folders alone"
        )
    make, usual = (general[name], "page") if name in general else (PAPER[name], "column")
    size = inches(width or usual)
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(format)
    file = io.BytesIO()
    with style():
        figure = make(runs, size)
        figure.savefig(file, format=format, dpi=dpi or 300, metadata=undated)
    return file.getvalue(), figure.get_figheight()
