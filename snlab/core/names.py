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
TRUE_RMSE = "true_rmse"
TRUE_BIAS = "true_bias"
TRUE_CORRELATION = "true_correlation"
RATIOS = (
    *(LOG_MASS_FAKE, LOG_MASS_REAL, EFFECTIVE_SAMPLE_SIZE, ACCURACY_TRAIN, ACCURACY_HELDOUT),
    *(GENERALISATION_GAP, CALIBRATION_ERROR, SATURATION, DRIFT, JS_BOUND),
)
TRUE_RATIOS = (TRUE_RMSE, TRUE_BIAS, TRUE_CORRELATION)

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
