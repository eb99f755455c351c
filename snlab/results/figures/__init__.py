"""Figures of runs, by name: made for print, the same for the same runs, byte for byte.

matplotlib is imported only when one is drawn.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snlab.core.errors import UserError, nearest
from snlab.results.figures.fidelity import fidelity
from snlab.results.figures.ratio import ratio
from snlab.results.figures.samples import samples
from snlab.results.figures.sigma import sigma
from snlab.results.figures.spectrum import spectrum
from snlab.results.figures.style import style
from snlab.results.output import write
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: dict[str, Callable[[Sequence[Run]], Figure]] = {
    "sigma": sigma,
    "ratio": ratio,
    "fidelity": fidelity,
    "samples": samples,
    "spectrum": spectrum,
}
FORMATS = ("pdf", "png", "svg")


def draw(name: str, runs: Sequence[Run], out: str | Path) -> None:
    """Write one figure; the suffix of ``out`` says in which format.

    UserError for an unknown name or suffix, for runs that logged nothing to draw (the name that is missing
    is in the line), and where ``out`` cannot be written.
    """
    out = Path(out)
    format = out.suffix.removeprefix(".").lower()
    if format not in FORMATS:
        wanted = ", ".join(f".{known}" for known in FORMATS)
        raise UserError(f"{out} does not end in a figure's format; one of {wanted} is wanted")
    write(out, picture(name, runs, format))


def picture(name: str, runs: Sequence[Run], format: str = "png", dpi: int = 200) -> bytes:
    """One figure as the bytes of a png, pdf or svg file."""
    if name not in FIGURES:
        raise UserError(f"unknown figure {name!r}; {nearest(name, FIGURES)}")
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(format)
    file = io.BytesIO()
    with style():
        FIGURES[name](runs).savefig(file, format=format, dpi=dpi, metadata=undated)
    return file.getvalue()
