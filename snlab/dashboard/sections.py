"""What the dashboard shows: sections of panels, each with its definition. Knows nothing of W&B.

Every name is one of `snlab.core.names`. Of what is logged for each layer, or under each feature extractor,
there is a panel for every name that the project's runs logged; where no run was looked at, one for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snlab.core import names
from snlab.dashboard.project import Project
from snlab.results.optima import OPTIMA

# ---- kinds of panels -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curves:
    """Metrics over generator updates: a line a normalizer, the mean over its runs, in a band from min to max.

    Args:
        title: what stands above.
        metrics: their names; none where ``pattern`` says which.
        definition: the name under which docs/metrics.md explains it.
        pattern: a regular expression that their names match.
        log: whether the y axis is logarithmic.
    """

    title: str
    metrics: tuple[str, ...]
    definition: str
    pattern: str | None = None
    log: bool = False


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite chart of this package over the ``table`` of every run; ``strings`` are put into it."""

    title: str
    name: str
    table: str
    definition: str
    strings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Samples:
    """Pictures of samples, updates across and runs down."""

    title: str = "Samples through training"
    key: str = names.SAMPLES
    definition: str = names.SAMPLES


@dataclass(frozen=True)
class Differences:
    """The configurations and results of the runs side by side, where they differ."""

    title: str = "What differs between runs"
    definition: str = "which-runs-are-compared"


@dataclass(frozen=True)
class Importance:
    """How much each option of a search tells about a metric."""

    metric: str
    title: str = "Which option matters"

    @property
    def definition(self) -> str:
        score = self.metric.rpartition("/")[0]
        return score if score in BETTER else self.metric


Panel = Curves | Chart | Samples | Differences | Importance


@dataclass(frozen=True)
class Section:
    """Panels below a heading; ``text`` says how to read them."""

    name: str
    text: str
    panels: Sequence[Panel]
    columns: int = 3


# ---- the sections ----------------------------------------------------------------------------------------

# Of scores: what is better.
BETTER = {
    **dict.fromkeys((names.FID, names.KID, names.MODES_KL, names.MODES_DROPPED_MASS), "lower"),
    **dict.fromkeys((names.INCEPTION_SCORE, names.PRECISION, names.RECALL), "higher"),
    **dict.fromkeys((names.MODES_COVERED, names.MODES_HIGH_QUALITY), "higher"),
}


def sections(project: Project) -> list[Section]:
    """What is shown of a project's runs, in reading order."""
    return [
        _comparison(project),
        _scores(project),
        _sigma(project),
        Section(
            "Spectra",
            "All singular values of each layer at the end of a run, squared and scaled to the largest: where "
            "they fall at once a layer sees few directions of its input.",
            [Chart("Spectra at the end", "spectra", names.TABLE_SPECTRA, names.SPECTRUM)],
            columns=1,
        ),
        _ratio(),
        _lipschitz(),
        Section(
            "Samples",
            "Samples of the same latents throughout a run. Real ones stand in the run's folder beside them.",
            [Samples()],
            columns=1,
        ),
        _cost(),
    ]


def _comparison(project: Project) -> Section:
    settings = [
        Chart(
            f"{title} at the settings A to F of Miyato et al. 2018",
            "settings",
            names.TABLE_SCORES,
            score,
            (("score", f"{score}/"), ("axis", title)),
        )
        for score, title in ((names.INCEPTION_SCORE, "Inception score"), (names.FID, "FID"))
    ]
    searched = [Importance(project.score)] if project.score else []
    return Section(
        "Comparison",
        "How the runs ended, and what they came to. A diverged run is a result, which counts as the worst "
        "score. Runs differ by more than the normalizer where a project holds several settings: "
        "filter the runs on the left by data set and setting before ranking any.",
        [
            Chart("How runs ended", "outcomes", names.TABLE_SCORES, names.OUTCOME),
            *settings,
            Differences(),
            *searched,
        ],
        columns=2,
    )


def _scores(project: Project) -> Section:
    measured = [
        curve
        for name in (names.FID, names.KID, names.INCEPTION_SCORE, names.PRECISION, names.RECALL)
        for curve in _each(project, name, f"{name} ({BETTER[name]} is better)")
    ]
    spread = _each(project, names.INCEPTION_SCORE_STD, "inception score, spread over its parts")
    modes = [_one(name, f"{name} ({BETTER[name]} is better)") for name in names.MODES]
    losses = [_one(name) for name in (names.LOSS_DISCRIMINATOR, names.LOSS_GENERATOR, names.LOSS_PENALTY)]
    return Section(
        "Scores",
        "A score's name has its feature extractor: scores under different ones are different numbers. Losses "
        "are of the game, not of the samples.",
        [*measured, *spread, *modes, *losses],
    )


def _sigma(project: Project) -> Section:
    kinds = {
        names.SIGMA_EXACT: "σ of the effective weight",
        names.SIGMA_CONV: "norm as a map on images",
        names.SIGMA_RAW: "σ of the raw weight",
        names.SIGMA_POWER_ITERATION: "σ as training estimates it",
        names.EFFECTIVE_RANK: "effective rank",
    }
    curves = [curve for prefix, title in kinds.items() for curve in _each(project, prefix, title)]
    return Section(
        "σ",
        "Largest singular values, layer by layer. Spectral normalization holds σ of the effective weight, a "
        "matrix, at 1; what a convolution does to images is bounded by its norm as a map.",
        curves,
        columns=4,
    )


def _ratio() -> Section:
    plain = [
        _one(f"{names.RATIO}/{name}", _with_optimum(name))
        for name in (*names.RATIOS, *names.STABILITY, *names.GENERATOR_GRADIENTS)
    ]
    true = [_one(f"{names.RATIO}/{name}", _with_optimum(name)) for name in names.TRUE_MEASURES]
    calibrated = [
        Curves(
            f"calibrated: {_with_optimum(name)}",
            (f"{names.RATIO}/{names.CALIBRATED}/{name}",),
            f"{names.RATIO}/{names.CALIBRATED}",
        )
        for name in (*names.RATIOS, *names.TRUE_MEASURES)
    ]
    losses = [_one(name) for name in (names.LOSS_TRAIN, names.LOSS_HELDOUT)]
    return Section(
        "Density ratio",
        "How the discriminator's logit fares as the log of the density ratio of real to generated data, on a "
        "probe that stays the same. Calibrated is for losses whose logit is no log ratio, hinge and "
        "Wasserstein. The true errors are there where both densities are known; their standard errors are "
        "logged beside.",
        [*plain, *true, *losses, *calibrated],
        columns=4,
    )


def _lipschitz() -> Section:
    return Section(
        "Lipschitz",
        "The bound is the product over layers of their norms as maps; how steep the discriminator really is "
        "where there are samples stands beside it, and never above.",
        [
            _one(names.LIPSCHITZ_PRODUCT, "bound on the whole discriminator", log=True),
            _one(names.LIPSCHITZ_GRADIENT_MAX, "largest gradient at the probe", log=True),
            _one(names.LIPSCHITZ_GRADIENT_MEAN, "mean gradient at the probe", log=True),
            _one(names.LIPSCHITZ_LOWER, "largest gradient that was climbed to", log=True),
            _one(names.LIPSCHITZ_CERTIFIED, "certified bound, where it was asked for", log=True),
            _one(names.LIPSCHITZ_LOOSENESS, "how loose the product is", log=True),
        ],
    )


def _cost() -> Section:
    return Section(
        "Cost",
        "Training speed, measuring left out, and what measuring takes of the whole.",
        [
            _one(names.GENERATOR_STEPS_PER_SECOND, "generator updates a second"),
            _one(names.IMAGES_PER_SECOND, "real images a second"),
            _one(names.DIAGNOSTICS_SHARE, "measuring, as a share of wall time"),
        ],
    )


def _one(metric: str, title: str | None = None, log: bool = False) -> Curves:
    return Curves(title or metric, (metric,), metric, log=log)


def _each(project: Project, prefix: str, title: str) -> list[Curves]:
    """A panel for every name PREFIX/... that was logged; where nothing is known, one for all of them."""
    if not project.metrics:
        return [Curves(title, (), prefix, pattern=f"^{prefix}/.+$")]
    return [
        Curves(f"{title}: {name.removeprefix(f'{prefix}/')}", (name,), prefix)
        for name in project.below(prefix)
    ]


def _with_optimum(name: str) -> str:
    words = name.replace("_", " ")
    return f"{words} (optimum {OPTIMA[name]:g})" if name in OPTIMA else words
