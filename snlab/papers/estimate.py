"""What an item will cost: runs, hours, disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from snlab.core.machine import machine, processor
from snlab.core.text import duration
from snlab.papers.arguments import Options
from snlab.sweeps.check import Planned, plan, quiet
from snlab.sweeps.command import state
from snlab.sweeps.cost import Between, Estimate, estimate
from snlab.sweeps.document import Sweep
from snlab.sweeps.slots import Slot
from snlab.sweeps.trial import elsewhere
from snlab.training.arguments import FitCLI

COPIES = 3  # of a network's weights in a checkpoint: themselves, and Adam's two averages
KEPT = 2  # checkpoints of a run that it goes on from; with --keep_best, the best is another


def lines(sweeps: Sequence[Sweep], options: Options, slots: Sequence[Slot]) -> list[str]:
    """In words: how many runs, how many hours of training on how many slots, how much disk.

    Args:
        sweeps: the item's.
        options: the command's.
        slots: where the runs would be; none for GPUs that are asked for where there is none.
    """
    trials = _trials(sweeps, options)
    left = [trial for trial in trials if state(trial) != "over"]
    done = len(trials) - len(left)
    told = [f"{options.command}: {len(trials)} runs, {done} of them over, {len(left)} to do"]
    if not left:
        return told
    found = estimate(left, slots[0] if slots else None, options.runs)
    if slots and found is not None:
        told.append(f"{_hours_on(slots, found, len(left), options.runs_per_gpu)}; {_NOT_COUNTED}")
    elif found is not None:
        told.append(
            f"{found.seconds.shown(_hours)} GPU hours of training, a run alone on one; {_NOT_COUNTED}"
        )
    else:
        told.append(f"GPU hours not measured here: no GPU{_stated(options)}")
    if found is not None:
        told.append(f"of these: {found.basis}")
    told.append(f"about {_size(_bytes(left))} of checkpoints in {options.runs}")
    return told


_NOT_COUNTED = "start, measurements and scores come on top"


def _trials(sweeps: Sequence[Sweep], options: Options) -> list[Planned]:
    """Each once, with the folder that has its run where another sweep, of another item, has trained it."""
    trials: dict[str, Planned] = {}
    for sweep in sweeps:
        for trial in plan(sweep, options.runs):
            if not trial.folder.exists():
                trial = replace(trial, folder=elsewhere(trial, options.runs) or trial.folder)
            trials.setdefault(trial.identity, trial)  # two sweeps may have runs in common
    return list(trials.values())


def _hours_on(slots: Sequence[Slot], found: Estimate, runs: int, runs_per_gpu: int) -> str:
    """Hours of cores or GPUs, and how long that takes on all slots.

    What is measured is a run alone on one GPU. Of several that share one, each may take as long as alone, or
    all of them as long as one after the other; a run on several may be as much faster, or no faster.
    """
    slot, at_a_time = slots[0], min(len(slots), runs)
    low, high = found.seconds
    gpus = len(slot.gpus)
    if gpus:
        spent = Between(low / runs_per_gpu, high * gpus)
        takes = Between(low / gpus / at_a_time, high * runs_per_gpu / at_a_time)
        unit, where = "GPU hours", machine(torch.device("cuda"))
    else:
        spent, takes = found.seconds * slot.threads, found.seconds * (1 / at_a_time)
        unit, where = "core hours", f"{processor()}, {slot.threads} thread(s) a run"
    together = f"{takes.shown(duration)} on {len(slots)} at a time"
    return f"{spent.shown(_hours)} {unit} of training ({where}), {together}"


def _stated(options: Options) -> str:
    """What the paper's file says of the cost, which is that of the sweeps' own size."""
    changed = any(x is not None for x in (options.generator_steps, options.width, options.seeds))
    size = ", at the sweeps' own size" if changed else ""
    return f"; known of this item{size}: {options.source.cost}" if options.source.cost else ""


def _bytes(trials: Sequence[Planned]) -> int:
    """Of all runs' checkpoints, from the sizes of their networks."""
    sizes: dict[tuple[str, ...], int] = {}
    total = 0
    with quiet():
        for trial in trials:
            model = trial.settings["model"]
            key = (*(str(model[option]) for option in ("network", "ema_decay")), str(trial.settings["data"]))
            if key not in sizes:
                cli = FitCLI(trial.arguments)
                cli.build(load=False)
                sizes[key] = sum(p.numel() * p.element_size() for p in cli.model.parameters())
            total += sizes[key] * COPIES * (KEPT + trial.settings["keep_best"])
    return total


def _hours(seconds: float) -> str:
    """
    >>> _hours(1339.7 * 3600), _hours(4.26 * 3600), _hours(184.3)
    ('1,340', '4.3', '0.051')
    """
    count = seconds / 3600
    return f"{count:,.0f}" if count >= 10 else f"{count:.2g}"


def _size(count: float) -> str:
    """
    >>> _size(1_240_000_000), _size(25_000_000)
    ('1.2 GB', '25.0 MB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
