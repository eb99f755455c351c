"""Figure 15: the critic's loss on training and on held-out data, and the score, through training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from snlab.core import names
from snlab.core.errors import UserError
from snlab.core.registry import parse
from snlab.results import looks
from snlab.results.figures.miyato2018.panels import Panel, panels, scored, shown, unfilled
from snlab.results.figures.printed import (
    INK,
    crossed,
    curve_over_seeds,
    heading,
    heading_height,
    key,
    key_height,
    line,
    sheet,
)
from snlab.results.figures.style import logged, updates_axis
from snlab.results.settings import method_of
from snlab.tracking.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PENALTY = "gradient_penalty"
# WGAN-GP with the discriminator's weights as they are, or reparametrised with a learned gain.
WORDS = {PENALTY: "WGAN-GP", "weight_norm": "WGAN-GP, weight norm", "spectral_norm": "WGAN-GP, spectral norm"}
DATA = ("training data", "held-out data")
HELD_OUT = (0, (2.5, 1.5))


def figure15(runs: Sequence[Run], width: float) -> Figure:
    """Critic loss on training and held-out data beside the score, for WGAN-GP under reparametrisations."""
    here = [
        run
        for run in runs
        if reparametrisation(run) and logged([run], names.LOSS_TRAIN) and logged([run], names.LOSS_HELDOUT)
    ]
    found = scored(panels(here, ("model.normalizer",)), names.INCEPTION_SCORE)
    # Of WGAN-GP alone there are more, as where the settings A to F were compared.
    found = shown([panel for panel in found if len({*map(reparametrisation, panel.runs)}) > 1] or found)
    if not found:
        what = (
            "runs of gradient_penalty, alone or with weight_norm(gain=layer) or spectral_norm(gain=true), "
            "under the loss wasserstein, that logged "
            f"{names.LOSS_HELDOUT} and {names.INCEPTION_SCORE}/EXTRACTOR"
        )
        raise unfilled("miyato2018/figure15", what, runs, ("table7", "table7_fashion_mnist", "table7_photos"))
    colours = looks.palette(WORDS)
    beside = width >= 5
    words = [
        {name: text if _runs(panel, name) else f"{text}: not run" for name, text in WORDS.items()}
        for panel in found
    ]
    below = [key_height([*texts.values(), *DATA, "diverged"], width) for texts in words]
    above = [heading_height(panel.title, width) for panel in found]
    figure, bands = sheet(
        width, [(2.0 if beside else 3.1) + up + down for up, down in zip(above, below, strict=True)]
    )
    for band, panel, texts in zip(bands, found, words, strict=True):
        losses, scores = band.subplots(1 if beside else 2, 2 if beside else 1, squeeze=False).flat
        handles = []
        for name, text in texts.items():
            members = _runs(panel, name)
            colour = colours[name].colour
            curve_over_seeds(losses, members, names.LOSS_TRAIN, colour)
            curve_over_seeds(losses, members, names.LOSS_HELDOUT, colour, HELD_OUT)
            curve_over_seeds(scores, members, panel.name, colour)
            handles.append(line(colour, text))
        losses.set_ylabel("critic loss")
        scores.set_ylabel(panel.axis)
        updates_axis(losses, label=beside)
        updates_axis(scores)
        data = [line(INK, DATA[0]), line(INK, DATA[1], linestyle=HELD_OUT)]
        key(band, [*handles, *data, *crossed(panel.runs)], width)
        heading(band, panel.title, width)
    return figure


def _runs(panel: Panel, name: str) -> list[Run]:
    return [run for run in panel.runs if reparametrisation(run) == name]


def reparametrisation(run: Run) -> str | None:
    """What WGAN-GP's discriminator is reparametrised by, of WORDS; None of any other run.

    A reparametrisation has a gain, without which a critic of small gradient could not reach the penalty's 1.
    """
    method = method_of(run)
    try:
        terms = {term.name: term.options for term in parse(method.normalizer)}
    except UserError:
        return None
    if method.loss != "wasserstein" or terms.pop(PENALTY, None) != {}:
        return None
    if not terms:
        return PENALTY
    ((name, options), *others) = terms.items()
    return name if name in WORDS and not others and options.get("gain") else None
