"""Values in Python's spelling, as W&B's agent writes them on a command line, in YAML's."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Sequence
from typing import Any, get_args

from jsonargparse import ArgumentParser


def as_json(value: str) -> str:
    """A list or a mapping as JSON: None is null there, True true. What is neither stays as it is.

    >>> as_json("{'ema_decay': None, 'sizes': [1, 2]}"), as_json("spectral_norm")
    ('{"ema_decay": null, "sizes": [1, 2]}', 'spectral_norm')
    """
    if not value.startswith(("{", "[")):
        return value
    try:
        return json.dumps(ast.literal_eval(value))
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return value


def from_python(words: Sequence[str], takes_null: Callable[[str], bool]) -> list[str]:
    """The words of a command line with every option's value in YAML's spelling.

    >>> from_python(["--model.ema_decay=None", "--x", "[None]", "fit"], lambda option: True)
    ['--model.ema_decay=null', '--x', '[null]', 'fit']
    """
    result: list[str] = []
    waiting = None  # an option whose value is the next word
    for word in words:
        option, equals, value = word.partition("=") if word.startswith("--") else (waiting, "", word)
        if not word.startswith("--"):
            result.append(word if option is None else _spelt(option, value, takes_null))
        else:
            result.append(f"{option}={_spelt(str(option), value, takes_null)}" if equals else word)
        waiting = word if word.startswith("--") and not equals else None
    return result


def _spelt(option: str, value: str, takes_null: Callable[[str], bool]) -> str:
    return "null" if value == "None" and takes_null(option.removeprefix("--")) else as_json(value)


def takes_null(parser: ArgumentParser) -> Callable[[str], bool]:
    """Whether an option's value may be null; what is set inside an option's value is taken to."""
    hints: dict[str, Any] = {action.dest: getattr(action, "_typehint", None) for action in parser._actions}
    return lambda option: option not in hints or type(None) in get_args(hints[option])
