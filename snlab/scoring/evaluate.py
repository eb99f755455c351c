"""Scoring a checkpoint by a protocol: the way in which its run was scored while it trained."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from snlab.callbacks.fidelity import scored_images
from snlab.callbacks.summary import versions
from snlab.core.errors import UserError
from snlab.core.machine import commit, machine
from snlab.core.messages import plain_messages
from snlab.core.names import GENERATOR_STEP
from snlab.core.progress import progress
from snlab.data import DataSet
from snlab.data.module import DataModule
from snlab.gan import GAN
from snlab.metrics.extractors import Extractor, inception_extractor
from snlab.metrics.scorer import Scorer
from snlab.scoring.arguments import Options
from snlab.scoring.target import Target, find, generator_weights
from snlab.tracking.run_folder import CONFIG
from snlab.tracking.scores import BEST, full_name, mean, spread, write_score
from snlab.training.arguments import FitCLI
from snlab.training.measurements import drawn, embedded


@dataclass(frozen=True)
class Scored:
    """What `evaluate` found.

    Args:
        entry: as it is kept; see ``tracking/scores.py``.
        path: the file that it was added to; None where it could not be.
        line: the same in a line.
    """

    entry: dict[str, Any]
    path: Path | None
    line: str


def evaluate(place: Path, options: Options) -> Scored:
    """Score the checkpoint at ``place``, or of the run there, and keep the scores in the run's folder.

    Its run's own latents are used first, so that what the run logged at that step comes again, to the last
    digit on the same machine; with ``repeats`` then others. Of a checkpoint that was chosen because of its
    score on the run's own, only others. Batch norm has its running averages. UserError for what the user can
    put right; nothing is written then.
    """
    start = time.perf_counter()
    with plain_messages():
        target = find(place, options.checkpoint)
        cli = FitCLI(["--config", str(target.run.folder / CONFIG)])
        cli.build(load=False)
        gan, data = cli.model, cli.datamodule
        protocol = options.chosen
        if data.dataset.train.dtype != torch.uint8 or data.dataset.train.ndim != 4:
            raise UserError(f"{data.dataset.name} has no images to score by protocol {protocol.name!r}")
        extractor = None if protocol.extractor == "embedded" else _inception(options, cli.settings)
        if data.dataset.stored is not None:
            data.dataset.stored.check()
        held = target.read()
        _load(gan, data, held, target)
        weights = _weights(gan, options.weights, target)
        data.load()
        dataset = data.dataset
        extractor = extractor or _embedded(dataset, protocol.name)
        scorer = Scorer(extractor, protocol, dataset.train)
        device = _device(options.device)
        draws = _draws(scorer, gan.to(device), dataset, cli.settings["seed_everything"], options, target)
    entry = {
        "protocol": protocol.name,
        GENERATOR_STEP: held["global_step"],
        "generator_steps": target.run.generator_steps,
        "outcome": target.run.outcome,
        "dataset": target.run.dataset,
        "checkpoint": target.told(held),
        "weights": weights,
        "batch_norm": "running averages",
        "extractor": {"name": extractor.name, "sha256": extractor.digest},
        "n_real": scorer.n_real,
        "n_generated": protocol.n_generated,
        "scores": mean([draw["scores"] for draw in draws]),
        "std": spread([draw["scores"] for draw in draws]),
        "draws": draws,
        "machine": machine(device),
        "versions": versions(),
        "commit": commit(),
        "seconds": round(time.perf_counter() - start, 1),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    with plain_messages():
        path = _kept(target.run.folder, entry)
    return Scored(entry, path, in_a_line(entry))


def in_a_line(entry: dict[str, Any]) -> str:
    """An entry for a reader: protocol, extractor with its digest, checkpoint, then each score."""
    extractor = entry["extractor"]
    shown = []
    for name, value in entry["scores"].items():
        std = entry["std"][name]
        shown.append(f"{name.split('/')[0]} {value:.5g}" + (f" ± {std:.2g}" if std is not None else ""))
    repeats = f" over {len(entry['draws'])} choices of latents" if len(entry["draws"]) > 1 else ""
    return (
        f"{entry['dataset']}, protocol {entry['protocol']}, {extractor['name']} @{extractor['sha256'][:8]}, "
        f"{entry['checkpoint']['kept_as']} checkpoint at generator step {entry[GENERATOR_STEP]} of "
        f"{entry['generator_steps']} ({entry['outcome']}), {entry['weights']} weights: "
        f"{', '.join(shown)}{repeats}"
    )


# ---- the networks ---------------------------------------------------------------------------------------


def _load(gan: GAN, data: DataModule, held: dict[str, Any], target: Target) -> None:
    """Give ``gan``'s generator the checkpoint's weights; UserError where it is of other networks or data."""
    trained_on = held.get(DataModule.__qualname__) or {}
    name = trained_on.get("dataset", data.dataset.name)
    if name != data.dataset.name:
        raise UserError(
            f"{target.path} was trained on {name}, and {target.run.folder / CONFIG} names {data.dataset.name}"
        )
    classes = held.get("classes", gan.classes)
    if classes != gan.classes:
        raise UserError(
            f"{target.path} has networks of {classes} classes, and {target.run.folder / CONFIG} "
            f"those of {gan.classes}"
        )
    try:
        gan.generator.load_state_dict(generator_weights(held, "generator."))
        if gan.ema is not None:
            gan.ema.load_state_dict(generator_weights(held, "ema."))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(
            f"{target.path} does not fit the networks of {target.run.folder / CONFIG}: {reason}"
        ) from error


def _weights(gan: GAN, wanted: str | None, target: Target) -> str:
    """Which weights are scored: ``ema`` or ``raw``; UserError where they are not to be had, or not finite."""
    found = wanted or ("raw" if gan.ema is None else "ema")
    if found == "raw":
        gan.ema = None
    elif gan.ema is None:
        raise UserError(f"{target.run.folder} has no moving average: model.ema_decay was null; --weights raw")
    scored = gan.generator if gan.ema is None else gan.ema.module
    if not all(bool(weight.isfinite().all()) for weight in scored.parameters()):
        raise UserError(f"{target.path} has weights that are not finite: the run diverged")
    return found


def _device(name: str) -> torch.device:
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError("--device is cuda, and torch finds no GPU here")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


# ---- the scores -----------------------------------------------------------------------------------------


def _inception(options: Options, settings: dict[str, Any]) -> Extractor:
    """The published extractor; UserError where its weights are not here."""
    extractor = inception_extractor(options.inception_weights or settings["measure"]["inception_weights"])
    try:
        extractor.check()
    except UserError as error:
        raise UserError(f"{error} (--protocol embedded)") from error
    return extractor


def _embedded(dataset: DataSet, protocol: str) -> Extractor:
    try:
        return embedded(dataset)
    except UserError as error:
        raise UserError(f"protocol {protocol!r}: {error}") from error


def _draws(
    scorer: Scorer, gan: GAN, dataset: DataSet, seed: int, options: Options, target: Target
) -> list[dict[str, Any]]:
    """The scores on each choice of latents: by full name, beside which latents they were."""
    first = 1 if target.kept_as == BEST else 0
    protocol = scorer.protocol
    total = scorer.n_real + options.repeats * protocol.n_generated
    found = []
    with progress(f"{protocol.name}: {total:,} images to look at", total) as done:
        scorer.real(gan.device, done)
        for draw in range(first, first + options.repeats):
            latents, labels = drawn(gan, dataset, protocol.n_generated, seed, draw)
            scores = scorer.scores(partial(scored_images, gan), latents, labels, gan.device, done)
            named = {full_name(name, protocol.name): value for name, value in scores.items()}
            found.append({"latents": f"other-{draw}" if draw else "run", "scores": named})
    return found


def _kept(folder: Path, entry: dict[str, Any]) -> Path | None:
    """The file in the run's folder that the entry is added to; None, with a warning, where it cannot be."""
    try:
        return write_score(folder, entry)
    except (OSError, NotImplementedError) as error:  # the second: a file system without locks
        # The line is the result, and is printed all the same.
        warnings.warn(f"the scores cannot be kept in {folder}: {error}", stacklevel=2)
        return None
