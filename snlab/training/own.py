"""The user's own code in a configuration: modules that it imports, and what of theirs it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from snlab.core.errors import UserError
from snlab.core.modules import attribute, import_all
from snlab.core.registry import Registry, parse, path_of
from snlab.distributions import DISTRIBUTIONS
from snlab.networks import NETWORKS
from snlab.training.build import NAMED
from snlab.training.sources import digest, sources

IMPORT = "import"  # the option, and its key in a configuration
INNER: dict[str, Registry[Any]] = {"distribution": DISTRIBUTIONS, "discriminator": NETWORKS}  # of networks


def gathered(arguments: Sequence[str]) -> list[str]:
    """The arguments with every ``--import MODULE`` last, where it adds to what a file says, whatever follows.

    >>> gathered(["--import", "mine", "--config=x.yaml", "--import=yours"])
    ['--config=x.yaml', '--import+=mine', '--import+=yours']
    """
    rest: list[str] = []
    modules: list[str] = []
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if option != f"--{IMPORT}":
            rest.append(word)
        elif equals:
            modules.append(value)
        else:
            module = next(words, None)
            if module is None or module.startswith("-"):
                raise UserError("--import wants a module's name")
            modules.append(module)
    return [*rest, *(f"--{IMPORT}+={module}" for module in modules)]


def import_named(modules: str | Sequence[str]) -> list[str]:
    """Import what a configuration's ``import`` names, one module or a list; returns them, each once."""
    names = list(dict.fromkeys([modules] if isinstance(modules, str) else modules))
    import_all(names)
    return names


def own_sources(settings: Mapping[str, Any]) -> dict[str, str]:
    """The digests of the code that ``settings`` name: by ``class_path``, with dots, or as registered."""
    found = sources({key: value for key, value in settings.items() if key not in ("sources", IMPORT)})
    for _, registry, value in _named(settings):
        if isinstance(value, str):
            with suppress(UserError):  # which is told where it is built
                for factory in _factories(registry, value):
                    its = digest(factory)
                    if its is not None:
                        found[path_of(factory)] = its
    return dict(sorted(found.items()))


def _factories(registry: Registry[Any], text: str) -> Iterator[Any]:
    """What every name in ``text`` stands for, and every one in the options that name something themselves."""
    yield from (factory for _, factory in registry.factories(text))
    for term in parse(text, registry.kind):
        for option, inner in INNER.items():
            if registry is NETWORKS and isinstance(term.options.get(option), str):
                yield from _factories(inner, term.options[option])


def check_class_paths(settings: Mapping[str, Any]) -> None:
    """UserError for a mapping that no class or function of its kind answers to.

    The parser has taken it as a name then, which may be any text.
    """
    for option, registry, text in _named(settings):
        if not isinstance(text, str) or not text.lstrip().startswith("{"):
            continue
        with suppress(yaml.YAMLError):
            value = yaml.safe_load(text)
            if isinstance(value, Mapping) and isinstance(value.get("class_path"), str):
                _check_class_path(option, registry, value)
        raise UserError(f"option --{option}: {text} is no name, and no mapping of class_path and init_args")


def check_refused(message: str) -> None:
    """UserError that says better what the parser's ``message`` says of a class_path, where that can be."""
    refused = re.search(r'^Parser key "([\w.]+)":.*Given value: (\{.*\})$', " ".join(message.split()))
    if refused is None:
        return
    group, _, key = refused[1].partition(".")
    registry = NAMED.get(group, {}).get(key)
    with suppress(ValueError, SyntaxError):
        value = ast.literal_eval(refused[2])
        if registry is not None and isinstance(value.get("class_path"), str):
            _check_class_path(refused[1], registry, value)


def why(error: BaseException) -> str:
    """What the parser's failure to make an object says, in one line: of a class's own ValueError, that."""
    tried = re.search(r"Union subtypes.*Errors:(.*)Given value type:", str(error), re.DOTALL)
    if tried is not None:  # as a name, as a class, as none
        each = [" ".join(reason.split()) for reason in re.split(r"\n {2}- ", tried[1])[1:]]
        other_kinds = ("Expected a ", "Not a valid subclass ")
        return next((reason for reason in each if not reason.startswith(other_kinds)), each[-1])
    return " ".join(str(error.__cause__ or error).split())


def _check_class_path(option: str, registry: Registry[Any], value: Mapping[str, Any]) -> None:
    name, given = value["class_path"], value.get("init_args") or {}
    found = attribute(name, f"{registry.kind} {name!r}")
    registry.check_class(found, name)
    registry.check_options(found, name, given)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{option}", type=registry.of)
    try:
        parser.parse_object({option: dict(value)})
    except (ArgumentError, TypeError, ValueError) as error:
        told = " ".join(str(error).split()).removeprefix(f'Parser key "{option}": ')
        raise UserError(f"option --{option}: {told}") from error


def _named(settings: Mapping[str, Any]) -> Iterator[tuple[str, Registry[Any], Any]]:
    for group, registries in NAMED.items():
        for key, registry in registries.items():
            yield f"{group}.{key}", registry, settings[group][key]
