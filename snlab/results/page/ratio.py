"""The page's panels of the density ratio: every measure in words, with its value at the optimum."""

from __future__ import annotations

from collections.abc import Iterator

from snlab.core import names
from snlab.results.figures.ratio import PANELS
from snlab.results.optima import OPTIMA

# Of the measures that the figure leaves out.
_TITLES = {
    names.LOG_MASS_REAL: "log mass on reals (nats)",
    names.JS_BOUND: "bound on the Jensen-Shannon divergence (nats)",
    names.ACCURACY_TRAIN: "accuracy (training reals against fakes)",
    names.ACCURACY_HELDOUT: "accuracy (held-out reals against fakes)",
    names.VARIANCE: "variance of the logit on reals (over the last measurements, nats²)",
    names.SIGN_FLIPS: "reals whose logit changes its sign (share)",
    names.GENERATOR_GRADIENT_NON_SATURATING: "gradient left to the generator (of -log D, mean norm)",
    names.TRUE_JS: "true Jensen-Shannon divergence of q and p (nats)",
    names.TRUE_BIAS: "mean error of log q/p (nats)",
    names.TRUE_SLOPE: "slope of the logit on the true log q/p",
    names.TRUE_INTERCEPT: "intercept of the logit on the true log q/p (nats)",
    names.TRUE_GRADIENT_COSINE: "direction of the logit's gradient (cosine with that of the true log q/p)",
    names.TRUE_GRADIENT_ERROR: "error of the logit's gradient (relative to that of the true log q/p)",
}
_REGIONS = {
    names.BETWEEN: "the middle eight tenths of log q/p",
    names.REAL_TAIL: "the tenth where log q/p is highest",
    names.FAKE_TAIL: "the tenth where log q/p is lowest",
    names.CLIPPED: "both clipped to ±log 99",
}


def measures() -> Iterator[tuple[str, str, float | None, bool]]:
    """Each measure's name below ``ratio/``, its title, its value at the optimum, and whether it is a detail.

    Those of the figure come first, in its order; regions and standard errors are details.
    """
    for name, (text, optimum) in PANELS.items():
        yield name, " ".join(text.split()), optimum, False
    for name, text in _TITLES.items():
        yield name, text, OPTIMA.get(name), False
    for of, words in _REGIONS.items():
        for name in (names.TRUE_RMSE, names.TRUE_BIAS):
            whole, _, unit = _title(name).rpartition(" (")
            yield f"{name}_{of}", f"{whole}, {words} ({unit}", OPTIMA[f"{name}_{of}"], True
    for name in names.TRUE_MEASURES:
        yield f"{name}_{names.STANDARD_ERROR}", f"standard error: {_title(name)}", None, True


def _title(name: str) -> str:
    if name in PANELS:
        return " ".join(PANELS[name][0].split())
    return _TITLES.get(name) or name.replace("_", " ")
