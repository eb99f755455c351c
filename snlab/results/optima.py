"""What the measures of the density ratio are where the logit is the true log ratio, or p_G is q."""

from __future__ import annotations

from snlab.core import names

# By the name below ``ratio/``; what is not here has no one value there.
OPTIMA: dict[str, float] = {
    **dict.fromkeys((names.LOG_MASS_FAKE, names.LOG_MASS_REAL, names.GENERALISATION_GAP), 0),
    **dict.fromkeys((names.CALIBRATION_ERROR, names.JS_BOUND), 0),
    **dict.fromkeys(
        (*(n for n in names.TRUE_MEASURES if n.startswith((names.TRUE_RMSE, names.TRUE_BIAS))),), 0
    ),
    **dict.fromkeys((names.TRUE_EXCESS_LOSS, names.TRUE_INTERCEPT, names.TRUE_GRADIENT_ERROR), 0),
    **dict.fromkeys((names.TRUE_CORRELATION, names.EFFECTIVE_SAMPLE_SIZE), 1),
    **dict.fromkeys((names.TRUE_SLOPE, names.TRUE_GRADIENT_COSINE), 1),
}
