"""Which panels the page has: what each shows, of which runs, and how."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from snlab.core import names
from snlab.results.extractors import extractors
from snlab.results.groups import Group
from snlab.results.page import ratio
from snlab.results.page.series import scalars
from snlab.tracking.run_folder import Run

SCORES, RATIO, LIPSCHITZ, COST, OTHER = "scores", "ratio", "lipschitz", "cost", "other"
SIGMAS = {
    names.SIGMA_EXACT: "exact",
    names.SIGMA_POWER_ITERATION: "estimated in training",
    names.SIGMA_RAW: "raw weight",
    names.SIGMA_CONV: "as a map on its input",
}
_SCORES = {
    names.FID: ("FID", True), names.KID: ("KID", False), names.INCEPTION_SCORE: ("inception score", False),
    names.PRECISION: ("precision", False), names.RECALL: ("recall", False),
}  # fmt: skip
# Of the others: section, title, the value at the optimum, and whether its axis is logarithmic at first.
_OTHERS: dict[str, tuple[str, str, float | None, bool]] = {
    names.MODES_HIGH_QUALITY: (SCORES, "high-quality samples (share near a mode)", 1, False),
    names.MODES_COVERED: (SCORES, "modes covered (with a sample near)", None, False),
    names.MODES_KL: (SCORES, "divergence from the modes' true shares (nats)", 0, False),
    names.LIPSCHITZ_PRODUCT: (LIPSCHITZ, "bound from the layers' norms", None, True),
    names.LIPSCHITZ_CERTIFIED: (LIPSCHITZ, "certified constant", None, True),
    names.LIPSCHITZ_LOWER: (LIPSCHITZ, "lower bound by ascent", None, True),
    names.LIPSCHITZ_GRADIENT_MAX: (LIPSCHITZ, "largest gradient over the probe", None, True),
    names.LIPSCHITZ_GRADIENT_MEAN: (LIPSCHITZ, "mean gradient over the probe", None, True),
    names.LOSS_DISCRIMINATOR: (COST, "discriminator's loss", None, False),
    names.LOSS_GENERATOR: (COST, "generator's loss", None, False),
    names.LOSS_PENALTY: (COST, "penalty", None, False),
    names.LOSS_TRAIN: (COST, "discriminator's loss on the probe, training reals", None, False),
    names.LOSS_HELDOUT: (COST, "discriminator's loss on the probe, held-out reals", None, False),
    names.IMAGES_PER_SECOND: (COST, "real images a second", None, False),
    names.GENERATOR_STEPS_PER_SECOND: (COST, "generator updates a second", None, False),
    names.DIAGNOSTICS_SHARE: (COST, "measurements' share of wall time", None, False),
}


@dataclass(frozen=True)
class Panel:
    """One logged name of the runs of one data set, as curves.

    ``optimum`` is drawn in where it is not None; ``log`` says how its axis begins; ``runs`` holds the only
    runs that it may be read from, None where those are all. A ``detail`` is shown on demand. Of a measure
    that was logged both ways, ``twin`` is the name of the other: calibrated or plain.
    """

    section: str
    name: str
    title: str
    optimum: float | None = None
    log: bool = False
    runs: tuple[Run, ...] | None = None
    detail: bool = False
    twin: str | None = None


def panels(groups: Sequence[Group]) -> list[Panel]:
    """The panels that the runs of one data set can fill, but those of layers (``sigma/``)."""
    runs = [run for g in groups for run in g.whole]
    logged = dict.fromkeys(name for run in runs for name in scalars(run))
    found = [panel for panel in (*_scores(runs), *_known(), *_ratios(logged)) if panel.name in logged]
    shown = {panel.name for panel in found}
    rest = [name for name in logged if name not in shown and not _of_layers(name)]
    return [*found, *(Panel(OTHER, name, name) for name in rest)]


def _scores(runs: Sequence[Run]) -> Iterator[Panel]:
    for score, (title, log) in _SCORES.items():
        for extractor in extractors(runs, score):
            from_it = tuple(run for run in runs if extractor.scored(run))
            name = f"{score}/{extractor.name}"
            yield Panel(
                SCORES,
                name,
                f"{title} ({extractor.label})",
                log=log,
                runs=from_it if extractor.shared else None,
            )


def _known() -> Iterator[Panel]:
    for name, (section, title, optimum, log) in _OTHERS.items():
        yield Panel(section, name, title, optimum, log)


def _ratios(logged: Container[str]) -> Iterator[Panel]:
    """The panels of the figure first, then whatever else was logged of the density ratio."""
    for metric, title, optimum, detail in ratio.measures():
        plain, calibrated = f"{names.RATIO}/{metric}", f"{names.RATIO}/{names.CALIBRATED}/{metric}"
        both = plain in logged and calibrated in logged
        for name, words, other in (
            (plain, title, calibrated), (calibrated, f"calibrated {title}", plain),
        ):  # fmt: skip
            yield Panel(RATIO, name, words, optimum, detail=detail, twin=other if both else None)


def layers(groups: Sequence[Group]) -> list[str]:
    """Every layer of which σ was logged in some way, in the discriminator's order."""
    return list(dict.fromkeys(layer for g in groups for kind in SIGMAS for layer in g.layers(kind)))


def _of_layers(name: str) -> bool:
    return name.startswith((*(f"{kind}/" for kind in SIGMAS), f"{names.SPECTRUM}/"))
