"""The configuration of a run that another loop than snlab's own trains. Never imports torch."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from snlab.core.errors import UserError
from snlab.tracking.run_folder import MODULE


class Told(NamedTuple):
    """What runs are compared by; None where nobody says."""

    dataset: str
    normalizer: str
    loss: str
    seed: int
    generator_steps: int
    network: str | None = None
    n_dis: int | None = None

    def check(self) -> None:
        """UserError for what is no name, or no number of things."""
        for name in ("dataset", "normalizer", "loss", "network"):
            word = getattr(self, name)
            named = isinstance(word, str) and word.strip()
            if not named and (name != "network" or word is not None):
                raise UserError(f"RunFolder: {name} is {word!r}; a name is wanted")
        for name, least in (("seed", 0), ("generator_steps", 1), ("n_dis", 1)):
            count = getattr(self, name)
            wrong = isinstance(count, bool) or not isinstance(count, int) or count < least
            if wrong and (name != "n_dis" or count is not None):
                raise UserError(f"RunFolder: {name} is {count!r}; a whole number from {least} on is wanted")


def configuration(
    told: Told, module: str, hyperparameters: Mapping[str, Any], trainer: Mapping[str, Any]
) -> dict[str, Any]:
    """The configuration, laid out as ``snlab fit`` lays it out.

    UserError where a hyperparameter says otherwise than what was ``told`` by the same name.

    Args:
        told: the names and numbers that runs are compared by.
        module: what the module that trains is called.
        hyperparameters: of the module, plain.
        trainer: the Trainer's options that are not at their defaults, plain.
    """
    rest = dict(hyperparameters)
    for name, value in told._asdict().items():
        said = rest.pop(name, value) if value is not None else value
        if str(said).lower() != str(value).lower():
            raise UserError(
                f"{name} is {value} in RunFolder and {said} among the hyperparameters of {module}"
            )
    own = {name: getattr(told, name) for name in ("normalizer", "loss", "network", "n_dis")}
    return {
        "seed_everything": told.seed,
        "generator_steps": told.generator_steps,
        MODULE: module,
        "data": {"dataset": told.dataset},
        "model": {
            **{name: value for name, value in own.items() if value is not None},
            **dict(sorted(rest.items())),
        },
        "trainer": dict(trainer),
    }


def plain(value: Any) -> Any:
    """``value`` as YAML and JSON hold it: objects by the name of their class, arrays as lists of numbers.

    >>> plain({"betas": (0.5, 0.9), "data": Path("faces"), "norm": object()})
    {'betas': [0.5, 0.9], 'data': 'faces', 'norm': 'object'}
    """
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, Namespace):
        value = vars(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, Path):
        return str(value)
    if callable(getattr(value, "tolist", None)):  # of NumPy and torch
        return plain(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return str(getattr(value, "__qualname__", type(value).__qualname__))
