"""What an item will cost: runs, hours, disk."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from snlab.core.machine import machine, processor
from snlab.core.text import duration
from snlab.papers.arguments import Options
from snlab.sweeps.check import Planned, plan, quiet
from snlab.sweeps.command import state
from snlab.sweeps.cost import estimate
from snlab.sweeps.document import Sweep
from snlab.sweeps.slots import Slot
from snlab.training.arguments import FitCLI
from snlab.training.asked import leaves

COPIES = 3  # of a network's weights in a checkpoint: themselves, and Adam's two averages
KEPT = 3  # checkpoints of a run: two that it goes on from, and the best
SIZED = ("network", "dataset", "ema_decay")  # the settings that decide how large a checkpoint is


def lines(sweeps: Sequence[Sweep], options: Options, slots: Sequence[Slot]) -> list[str]:
    """In words: how many runs, how many hours of training on how many slots, how much disk.

    Times are measured, over a few updates of some of the settings, on the device that runs would have.
    """
    trials: dict[str, Planned] = {}
    for sweep in sweeps:
        for trial in plan(sweep, options.runs):
            trials.setdefault(trial.identity, trial)  # two sweeps may have runs in common
            if state(trial) == "over":
                trials[trial.identity] = trial
    left = [trial for trial in trials.values() if state(trial) != "over"]
    done = len(trials) - len(left)
    told = [f"{options.command}: {len(trials)} runs, {done} of them over, {len(left)} to do"]
    if not left:
        return told
    seconds, timed, settings = estimate(left, slots[0].threads)
    gpus = len(slots[0].gpus)
    unit = "GPU hours" if gpus else "core hours"
    where = machine(torch.device("cuda")) if gpus else f"{processor()}, {slots[0].threads} thread(s) a run"
    share = max(1, gpus) if gpus else slots[0].threads
    hours = seconds * share / 3600
    told.append(
        f"about {_hours(hours)} {unit} of training ({where}; {timed} of {settings} settings timed), "
        f"{duration(seconds / min(len(slots), len(left)))} on {len(slots)} at a time; "
        "start, measurements and scores come on top"
    )
    told.append(f"about {_size(_bytes(left))} of disk in {options.runs}")
    return told


def _bytes(trials: Sequence[Planned]) -> int:
    """Of all runs' checkpoints, from the sizes of their networks."""
    sizes: dict[tuple[str, ...], int] = {}
    total = 0
    with quiet():
        for trial in trials:
            # A sweep's runs have one size where their parameters change neither networks nor data.
            sized = [str(value) for key, value in leaves(trial.configuration) if key.endswith(SIZED)]
            key = (str(trial.folder.parent), *sized)
            if key not in sizes:
                cli = FitCLI(trial.arguments)
                cli.build(load=False)
                sizes[key] = sum(p.numel() * p.element_size() for p in cli.model.parameters())
            total += sizes[key] * COPIES * KEPT
    return total


def _hours(count: float) -> str:
    """
    >>> _hours(1339.7), _hours(4.26), _hours(0.0512)
    ('1,340', '4.3', '0.051')
    """
    return f"{count:,.0f}" if count >= 10 else f"{count:.2g}"


def _size(count: float) -> str:
    """
    >>> _size(1_240_000_000), _size(25_000_000)
    ('1.2 GB', '25.0 MB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
