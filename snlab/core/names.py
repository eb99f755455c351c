"""The names under which a run logs; training, collecting and reporting share them.

``generator_step`` is the x axis of everything: one step is one generator update.
"""

from __future__ import annotations

GENERATOR_STEP = "generator_step"

LOSS_DISCRIMINATOR = "loss/discriminator"
LOSS_GENERATOR = "loss/generator"
LOSS_PENALTY = "loss/penalty"
LOSS_TRAIN = "loss/discriminator_train"  # on the probe
LOSS_HELDOUT = "loss/discriminator_heldout"

SIGMA_EXACT = "sigma/exact"  # + /LAYER, here and below
SIGMA_POWER_ITERATION = "sigma/power_iteration"
SIGMA_RAW = "sigma/raw"
SIGMA_CONV = "sigma/conv"
SPECTRUM = "spectrum"
EFFECTIVE_RANK = "effective_rank"

LIPSCHITZ_PRODUCT = "lipschitz/product"
LIPSCHITZ_GRADIENT_MEAN = "lipschitz/gradient_mean"
LIPSCHITZ_GRADIENT_MAX = "lipschitz/gradient_max"
LIPSCHITZ_LOWER = "lipschitz/lower"  # where they are asked for, as the next two
LIPSCHITZ_CERTIFIED = "lipschitz/certified"
LIPSCHITZ_LOOSENESS = "lipschitz/looseness"

RATIO = "ratio"  # + /NAME
LOG_MASS_FAKE = "log_mass_fake"
LOG_MASS_REAL = "log_mass_real"
EFFECTIVE_SAMPLE_SIZE = "effective_sample_size"
ACCURACY_TRAIN = "accuracy_train"
ACCURACY_HELDOUT = "accuracy_heldout"
GENERALISATION_GAP = "generalisation_gap"
CALIBRATION_ERROR = "calibration_error"
SATURATION = "saturation"
DRIFT = "drift"
JS_BOUND = "js_bound"
CALIBRATED = "calibrated"  # ratio/calibrated/NAME
VARIANCE = "variance"
RANK_CORRELATION = "rank_correlation"
SIGN_FLIPS = "sign_flips"
INSTABILITY = "instability"
GENERATOR_GRADIENT_SATURATING = "generator_gradient_saturating"
GENERATOR_GRADIENT_NON_SATURATING = "generator_gradient_non_saturating"
TRUE_EXCESS_LOSS = "true_excess_loss"
TRUE_JS = "true_js"
TRUE_RMSE = "true_rmse"  # of all points, or with _REGION of some
TRUE_BIAS = "true_bias"  # likewise
TRUE_CORRELATION = "true_correlation"
TRUE_SLOPE = "true_slope"
TRUE_INTERCEPT = "true_intercept"
TRUE_GRADIENT_COSINE = "true_gradient_cosine"
TRUE_GRADIENT_ERROR = "true_gradient_error"
BETWEEN = "between"  # true_rmse_REGION, here and below
REAL_TAIL = "real_tail"
FAKE_TAIL = "fake_tail"
CLIPPED = "clipped"
STANDARD_ERROR = "se"  # NAME_se
RATIOS = (
    *(LOG_MASS_FAKE, LOG_MASS_REAL, EFFECTIVE_SAMPLE_SIZE, ACCURACY_TRAIN, ACCURACY_HELDOUT),
    *(GENERALISATION_GAP, CALIBRATION_ERROR, SATURATION, DRIFT, JS_BOUND),
)
STABILITY = (VARIANCE, RANK_CORRELATION, SIGN_FLIPS, INSTABILITY)
GENERATOR_GRADIENTS = (GENERATOR_GRADIENT_SATURATING, GENERATOR_GRADIENT_NON_SATURATING)
TRUE_MEASURES = (
    *(TRUE_EXCESS_LOSS, TRUE_JS, TRUE_RMSE, TRUE_BIAS, TRUE_CORRELATION, TRUE_SLOPE, TRUE_INTERCEPT),
    *(f"{name}_{of}" for of in (BETWEEN, REAL_TAIL, FAKE_TAIL, CLIPPED) for name in (TRUE_RMSE, TRUE_BIAS)),
    *(TRUE_GRADIENT_COSINE, TRUE_GRADIENT_ERROR),
)
TRUE_RATIOS = (*TRUE_MEASURES, *(f"{name}_{STANDARD_ERROR}" for name in TRUE_MEASURES))

FID = "fid"  # + /EXTRACTOR
KID = "kid"
INCEPTION_SCORE = "inception_score"
INCEPTION_SCORE_STD = "inception_score_std"  # over the splits of the generated images
PRECISION = "precision"
RECALL = "recall"

MODES_COVERED = "modes/covered"
MODES_HIGH_QUALITY = "modes/high_quality"
MODES_KL = "modes/kl"

IMAGES_PER_SECOND = "time/images_per_second"
GENERATOR_STEPS_PER_SECOND = "time/generator_steps_per_second"
DIAGNOSTICS_SHARE = "time/diagnostics_share"

SAMPLES = "samples"  # a picture, on W&B; in the run folder a file
OUTCOME = "outcome"  # in the summary
# On W&B alone, at the end of a run: tables, which charts across runs are drawn from.
TABLE_SPECTRA = "spectra_table"
TABLE_SCORES = "scores_table"
