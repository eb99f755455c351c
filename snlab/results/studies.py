"""Our own studies of the density ratio: what each varies, and what it measures.

Their tables, figures and sentences are made from what is written here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from snlab.core import names
from snlab.core.registry import Spec
from snlab.results.study import Quantity, Study, option, spec_of

# ---- what is measured --------------------------------------------------------------------------------------


def _ratio(name: str) -> str:
    return f"{names.RATIO}/{name}"


JS_SHOWN = Quantity(
    _ratio(names.TRUE_JS), "JS divergence [nats]", "Jensen-Shannon divergence\nof q and p, exact (nats)", 0
)
JS = replace(JS_SHOWN, drawn=False)
EXCESS = Quantity(
    _ratio(names.TRUE_EXCESS_LOSS), "excess loss [nats]", "excess loss over the true\nlog q/p (nats)",
    logarithmic=True, of_zero=(2.0, JS.name),
)  # fmt: skip
RMSE = Quantity(
    _ratio(names.TRUE_RMSE), "RMS error [nats]", "error of log q/p\n(RMS, nats)", logarithmic=True
)
CORRELATION = Quantity(_ratio(names.TRUE_CORRELATION), "correlation", "correlation with\nthe true log q/p", 1)
SLOPE = Quantity(_ratio(names.TRUE_SLOPE), "slope", "slope of f on the\ntrue log q/p", 1)
COSINE = Quantity(
    _ratio(names.TRUE_GRADIENT_COSINE), "gradient cosine", "cosine of ∇f and the\ntrue gradient at fakes", 1
)
INSTABILITY = Quantity(
    _ratio(names.INSTABILITY), "instability", "instability of f on reals\n(share of its variance)"
)
SATURATION = Quantity(_ratio(names.SATURATION), "saturation", "saturation\n(share of the probe)")
ACCURACY = Quantity(
    _ratio(names.ACCURACY_HELDOUT), "held-out accuracy", "accuracy on held-out reals\nand fakes"
)
GAP = Quantity(
    _ratio(names.GENERALISATION_GAP), "accuracy gap", "accuracy on training less\nthat on held-out samples", 0
)
SATURATING = Quantity(
    _ratio(names.GENERATOR_GRADIENT_SATURATING), "gradient of log(1 - D)",
    "gradient left to the generator\n(of log(1 - D), mean norm)", logarithmic=True,
)  # fmt: skip
NON_SATURATING = Quantity(
    _ratio(names.GENERATOR_GRADIENT_NON_SATURATING), "gradient of -log D",
    "gradient left to the generator\n(of -log D, mean norm)", logarithmic=True,
)  # fmt: skip
TRAIN = Quantity(names.LOSS_TRAIN, "training loss [nats]", drawn=False)
HELDOUT = Quantity(names.LOSS_HELDOUT, "held-out loss [nats]", drawn=False)
COVERED = Quantity(names.MODES_COVERED, "modes covered [share]", "modes covered\n(share)", 1, per_x=True)
HIGH_QUALITY = Quantity(names.MODES_HIGH_QUALITY, "high quality", "samples within 3 std\nof a mode (share)")
DROPPED = Quantity(names.MODES_DROPPED_MASS, "dropped mass", "the data's mass where\np is below q / 100", 0)
STEEPEST = Quantity(
    names.LIPSCHITZ_GRADIENT_MAX, "largest ‖∇f‖ / true", "largest ‖∇f‖ over that\nof the truth", 1,
    logarithmic=True, per_x=True,
)  # fmt: skip
PRODUCT = Quantity(names.LIPSCHITZ_PRODUCT, "Lipschitz bound", drawn=False)


# ---- what is varied ----------------------------------------------------------------------------------------


def _option(name: str) -> Callable[[Spec, Spec], Any]:
    return lambda dataset, network: option(dataset, name)


def _steepness(dataset: Spec, network: Spec) -> float | None:
    """‖∇(log q - log p)‖ of two Gaussians of one standard deviation s, δ apart: δ / s², everywhere."""
    other = spec_of(network.options.get("distribution", "gaussian"))
    s, shift = option(dataset, "std"), network.options.get("shift", 0.0)
    same = other is not None and other.name == "gaussian" and option(other, "std") == s
    numbers = isinstance(s, int | float) and isinstance(shift, int | float)
    return shift / s**2 if same and numbers and s > 0 and network.options.get("scale", 1.0) == 1 else None


_OWNER = "density_ratio"
STUDIES = {
    study.name: study
    for study in (
        Study(
            name=f"{_OWNER}/dimension",
            title="The discriminator's density ratio against the truth in more and more dimensions",
            axis="dimensions d",
            said="d = {x:g}",
            networks=("fixed",),
            datasets=("gaussian", "mixture"),
            varied=("dim",),
            x=_option("dim"),
            quantities=(EXCESS, RMSE, CORRELATION, COSINE, INSTABILITY, SLOPE, JS),
            at=128,
            sweeps=(
                *("density_ratio_dimension", "density_ratio_dimension_others"),
                "density_ratio_dimension_mixtures",
            ),
        ),
        Study(
            name=f"{_OWNER}/disjoint",
            title="The perfect discriminator, and the gradient that it leaves, as the supports come apart",
            axis="noise ε about the supports",
            said="ε = {x:g}",
            networks=("fixed",),
            datasets=("line", "sphere", "swiss_roll"),
            varied=("epsilon",),
            x=_option("epsilon"),
            quantities=(SATURATION, ACCURACY, SATURATING, NON_SATURATING, COSINE, EXCESS, JS),
            at=0.01,
            sweeps=("density_ratio_disjoint",),
        ),
        Study(
            name=f"{_OWNER}/modes",
            title="Modes that a flow of exact density covers and drops, against how many there are",
            axis="modes of the data",
            said="{x:g} modes",
            networks=("spline_flow", "flow"),
            datasets=("mixture",),
            varied=("kind", "modes"),
            x=_option("modes"),
            # Each run has a truth of its own here, so f = 0 has no one value.
            quantities=(COVERED, HIGH_QUALITY, DROPPED, replace(EXCESS, of_zero=None), JS_SHOWN, INSTABILITY),
            at=25,
            sweeps=("density_ratio_modes",),
        ),
        Study(
            name=f"{_OWNER}/samples",
            title="Over-fitting as a cause: the density ratio against the number of training samples",
            axis="training samples n",
            said="n = {x:,.0f}",
            networks=("fixed",),
            datasets=("gaussian", "mixture"),
            varied=("size",),
            x=_option("size"),
            quantities=(EXCESS, RMSE, GAP, COSINE, TRAIN, HELDOUT, CORRELATION, JS),
            at=2000,
            sweeps=("density_ratio_samples",),
        ),
        Study(
            name=f"{_OWNER}/cost",
            title="What a Lipschitz bound costs where the true ratio is steep",
            axis="steepness of the truth, ‖∇ log q/p‖",
            said="steepness {x:g}",
            networks=("fixed",),
            datasets=("gaussian",),
            varied=("std", "shift"),
            x=_steepness,
            quantities=(EXCESS, SLOPE, STEEPEST, COSINE, RMSE, PRODUCT, JS),
            at=8,
            sweeps=("density_ratio_cost",),
        ),
    )
}
