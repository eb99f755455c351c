"""The figures of Miyato et al. 2018, of our runs: each a function of runs and a width in inches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from snlab.results.figures.miyato2018.bands import figure4, figure11
from snlab.results.figures.miyato2018.bars import figure1, figure2
from snlab.results.figures.miyato2018.critic import figure15
from snlab.results.figures.miyato2018.layers import figure3, figure9
from snlab.results.figures.miyato2018.times import figure10
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER: dict[str, Callable[[Sequence[Run], float], Figure]] = {
    f"miyato2018/{figure.__name__}": figure
    for figure in (figure1, figure2, figure3, figure4, figure9, figure10, figure11, figure15)
}
