"""A sweep at another size: fewer updates, narrower networks, other seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from snlab.core.registry import Spec, parse
from snlab.sweeps.check import quiet
from snlab.sweeps.command_line import ARGUMENTS
from snlab.sweeps.distributions import Choice, Parameter
from snlab.sweeps.document import Sweep
from snlab.training.arguments import FitCLI

NETWORK, SEED = "model.network", "seed_everything"


def adapted(
    sweeps: Sequence[Sweep], generator_steps: int | None, width: float | None, seeds: int | None
) -> list[Sweep]:
    """The sweeps of one item at another size; None leaves what is as it is.

    A sweep that is longer than the first, as of rows with twice the updates, stays so many times as long.
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
            made = _widened(made, str(own["model"]["network"]), width)
        if seeds is not None:
            chosen = Choice(SEED, tuple(range(seeds)), (1 / seeds,) * seeds)
            others = [parameter for parameter in made.parameters if parameter.name != SEED]
            made = replace(made, parameters=(*others, chosen))
        found[i] = made
    return found


def _settings(sweep: Sweep) -> dict[str, Any]:
    """What its command says, whatever its parameters do."""
    with quiet():
        return FitCLI([word for word in sweep.command if word not in ARGUMENTS]).settings


def _widened(sweep: Sweep, network: str, width: float) -> Sweep:
    """Every network that the command or a parameter names, at a width."""
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


def _value(value: Any, width: float) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        key: at_width(inner, width) if key == "network" and isinstance(inner, str) else _value(inner, width)
        for key, inner in value.items()
    }


def at_width(network: str, width: float) -> str:
    """A network's name with that width.

    >>> at_width("standard_cnn(width=0.25, last_width=2)", 1.0), at_width("resnet", 0.5)
    ('standard_cnn(last_width=2, width=1.0)', 'resnet(width=0.5)')
    """
    (term,) = parse(network)
    return str(Spec(term.name, {**term.options, "width": width}))
