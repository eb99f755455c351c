"""A sweep at another size: fewer updates, narrower networks, other seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from snlab.core.errors import UserError
from snlab.papers.widths import at_width, check_width
from snlab.sweeps.check import quiet
from snlab.sweeps.command_line import ARGUMENTS
from snlab.sweeps.distributions import Choice, Parameter
from snlab.sweeps.document import MOST_RUNS, Sweep
from snlab.training.arguments import FitCLI
from snlab.training.asked import leaves
from snlab.training.build import build_data

NETWORK, SEED = "model.network", "seed_everything"


def adapted(
    sweeps: Sequence[Sweep], generator_steps: int | None, width: float | None, seeds: int | None
) -> list[Sweep]:
    """The sweeps of one item at another size; None leaves what is as it is.

    A sweep that is longer than the first, as of rows with twice the updates, stays so many times as long.
    UserError where networks of that width cannot be had, or there would be too many runs.
    """
    settings = [_settings(sweep) for sweep in sweeps]
    found = list(sweeps)
    for i, (sweep, own) in enumerate(zip(sweeps, settings, strict=True)):
        made = sweep
        if generator_steps is not None:
            times = own["generator_steps"] / settings[0]["generator_steps"]
            made = replace(
                made, command=(*made.command, f"--generator_steps={round(generator_steps * times)}")
            )
        if width is not None:
            made = _widened(made, own, width)
        if seeds is not None:
            made = _seeded(made, seeds)
        found[i] = made
    return found


def _settings(sweep: Sweep) -> dict[str, Any]:
    """What its command says, whatever its parameters do."""
    with quiet():
        return FitCLI([word for word in sweep.command if word not in ARGUMENTS]).settings


def _seeded(sweep: Sweep, seeds: int) -> Sweep:
    others = [parameter for parameter in sweep.parameters if parameter.name != SEED]
    cells = math.prod(parameter.count or 1 for parameter in others)
    if cells * seeds > MOST_RUNS:
        raise UserError(
            f"--seeds is {seeds}; {sweep.name} would have {cells * seeds:,} runs, and a sweep has at most "
            f"{MOST_RUNS:,}: up to {MOST_RUNS // cells} seeds"
        )
    chosen = Choice(SEED, tuple(range(seeds)), (1 / seeds,) * seeds)
    return replace(sweep, parameters=(*others, chosen))


def _widened(sweep: Sweep, settings: Mapping[str, Any], width: float) -> Sweep:
    """Every network that the command or a parameter names, at a width."""
    network = str(settings["model"]["network"])
    data = build_data(**settings["data"])
    for named in dict.fromkeys([network, *_networks(sweep.parameters)]):
        check_width(named, width, data.sample_shape, data.classes)
    at = next(i for i, word in enumerate(sweep.command) if word in ARGUMENTS)
    word = f"--{NETWORK}={at_width(network, width)}"
    parameters = tuple(_parameter(parameter, width) for parameter in sweep.parameters)
    return replace(sweep, command=(*sweep.command[:at], word, *sweep.command[at:]), parameters=parameters)


def _parameter(parameter: Parameter, width: float) -> Parameter:
    if not isinstance(parameter, Choice):
        return parameter
    if parameter.name == NETWORK:
        choices = tuple(at_width(str(value), width) for value in parameter.choices)
    else:
        choices = tuple(_value(value, width) for value in parameter.choices)
    return replace(parameter, choices=choices)


def _networks(parameters: Sequence[Parameter]) -> Iterator[str]:
    """Those that parameters name."""
    for parameter in parameters:
        if isinstance(parameter, Choice):
            for value in parameter.choices:
                for name, inner in leaves({parameter.name: value}):
                    if name.endswith("network") and isinstance(inner, str):
                        yield inner


def _value(value: Any, width: float) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        key: at_width(inner, width) if key == "network" and isinstance(inner, str) else _value(inner, width)
        for key, inner in value.items()
    }
