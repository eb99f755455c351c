"""The command of a sweep file, which W&B's agents run: what of it is for ``snlab fit``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from snlab.core.errors import UserError, nearest
from snlab.sweeps.reading import shown

DEFAULT = ("${env}", "${interpreter}", "${program}", "${args}")  # W&B's own, where a file has none
ARGUMENTS = ("${args}", "${args_no_equals}")
ENVIRONMENT = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")  # the one macro that W&B knows inside a word
ENV = re.compile(r"\$\{env\}|(.*/)?env")
SNLAB = re.compile(r"(.*/)?snlab")
PYTHON = re.compile(r"\$\{interpreter\}|(.*/)?python[\d.]*")
# What `snlab sweep` decides for every run, or what would be no run.
NOT_HERE = {
    "runs": "snlab sweep FILE --runs FOLDER says where runs land",
    "run_folder": "every run of a sweep has a folder of its own",
    "resume": "a sweep's runs always go on where they were",
    "again": "each run of a sweep is trained once",
    "sources": "it is filled in",
    "help": "it trains nothing",
    "print_config": "it trains nothing",
}


def fit_words(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The words after ``snlab fit`` in a sweep file's command, with one macro where the parameters go.

    UserError where the command does not run ``snlab fit``, or not with every parameter.
    """
    written = document.get("command")
    if written is None:
        written = list(DEFAULT)
    if not isinstance(written, list) or not written:
        raise UserError(f"command wants a list of words, got {shown(written)}")
    words = [_word(word, document) for word in written]
    rest = _after_fit(words)
    if rest is None:
        raise UserError(
            f"command {shown(' '.join(words))} does not run snlab fit: [snlab, fit, ..., ${{args}}]"
        )
    for word in rest:
        if "${" in word and word not in ARGUMENTS:
            if re.fullmatch(r"\$\{\w*\}", word):
                raise UserError(f"command: unknown macro {word}; {nearest(word, ARGUMENTS)}")
            raise UserError(
                f"command: {word} stays as it is: a macro is a word of its own, or ${{envvar:NAME}}"
            )
        option = re.match(r"--([\w.]+)", word)
        refuse_option("command: --", "help" if word == "-h" else option[1] if option else "", ("resume",))
    if sum(word in ARGUMENTS for word in rest) != 1:
        raise UserError("command wants ${args} once: it is where the parameters reach snlab fit")
    return tuple(rest)


def with_words(document: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """A sweep file's document whose command has ``words`` too, before its parameters."""
    command = list(document.get("command") or DEFAULT)
    place = next(i for i, word in enumerate(command) if word in ARGUMENTS)
    return {**document, "command": [*command[:place], *words, *command[place:]]} if words else {**document}


def refuse_option(place: str, name: str, but: tuple[str, ...] = ()) -> None:
    """UserError where the option ``name`` has no meaning in a sweep."""
    known = "help" if name.endswith(".help") else name
    if known in NOT_HERE and known not in but:
        raise UserError(f"{place}{name} is not for a sweep's file: {NOT_HERE[known]}")


def _word(word: Any, document: Mapping[str, Any]) -> str:
    if not isinstance(word, str | int | float):
        raise UserError(f"command wants words, got {shown(word)}")
    if word == "${program}":
        if document.get("program") is None:
            raise UserError("command has ${program}, and the file no program")
        return str(document["program"])
    return ENVIRONMENT.sub(_of_environment, str(word))


def _of_environment(macro: re.Match[str]) -> str:
    if macro[1] not in os.environ:
        raise UserError(f"command: {macro[0]} is not set in the environment")
    return os.environ[macro[1]]


def _after_fit(words: list[str]) -> list[str] | None:
    if ENV.fullmatch(words[0]):
        words = words[1:]
    if len(words) > 1 and SNLAB.fullmatch(words[0]) and words[1] == "fit":
        return words[2:]
    if len(words) > 3 and PYTHON.fullmatch(words[0]) and words[1:4] == ["-m", "snlab", "fit"]:
        return words[4:]
    return None
