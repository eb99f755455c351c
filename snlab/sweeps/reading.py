"""YAML read strictly: what it says twice, or would mean something else to another reader, is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import yaml

from snlab.core.errors import UserError

MOST_BYTES = 250_000  # about a second's reading
MOST_LEVELS = 30
MOST_VALUES = 100_000  # with aliases written out
LONGEST_NUMBER = 100  # characters
LONGEST_SHOWN = 80  # characters

TAG = "tag:yaml.org,2002:"
KINDS = {"timestamp": "a date", "binary": "binary data", "set": "a set"}  # what JSON has no word for


def read_yaml(path: Path) -> Any:
    """What is in a file: mappings with text for keys, lists, text, finite numbers, booleans and null.

    UserError, in one line, where the file holds anything else, a key twice, or more than can be meant.
    """
    try:
        with path.open("rb") as file:
            written = file.read(MOST_BYTES + 1)
        text = written.decode()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 text, from byte {error.start} on") from error
    if len(written) > MOST_BYTES:
        raise UserError(f"has more than {MOST_BYTES:,} bytes; that is no sweep file")
    loader = None
    try:
        loader = _Strict(text)  # which looks at every character
        loader.name = path.name
        return loader.get_single_data()
    except yaml.YAMLError as error:
        raise UserError(f"is not YAML: {' '.join(str(error).split())}") from error
    finally:
        if loader is not None:
            loader.dispose()


def shown(value: Any) -> str:
    """A value for a line of an error: cut where it is long.

    >>> shown(["a" * 100])
    "['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."
    """
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


class _Strict(yaml.SafeLoader):
    """SafeLoader, as W&B reads a file, with every surprise refused."""

    level = 0

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _extent(node, {})
        return node

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.level += 1
        if self.level > MOST_LEVELS:
            _refuse(self.peek_event(), f"nested more than {MOST_LEVELS} levels deep")
        node = super().compose_node(parent, index)
        self.level -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
        return super().construct_mapping(node, deep)


def _check_keys(node: yaml.MappingNode) -> None:
    """What a mapping says itself: what it merges with <<, it may say otherwise."""
    keys: dict[str, yaml.Node] = {}
    for key, _ in node.value:
        if key.tag not in (f"{TAG}str", f"{TAG}merge"):
            _refuse(key, f"the key {shown(_source(key))} is no text; quote it")
        if key.value in keys:
            _refuse(key, f"{key.value!r} stands here and in line {_line(keys[key.value])}")
        keys[key.value] = key


def _extent(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """How many values a node holds, and how many levels of them, with every alias written out.

    Counted and not written out: a few lines of aliases may stand for more than any memory holds.
    """
    if id(node) not in known:
        known[id(node)] = None
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            inner = node.value
        elif isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        parts = [_extent(part, known) for part in inner]
        size, levels = 1 + sum(s for s, _ in parts), 1 + max((n for _, n in parts), default=0)
        if size > MOST_VALUES or levels > MOST_LEVELS:
            _refuse(node, f"aliases make {size:,} values of it, {levels} levels deep")
        known[id(node)] = size, levels
    found = known[id(node)]
    if found is None:
        _refuse(node, "it refers to itself")
    return found


def _source(node: yaml.Node) -> Any:
    return node.value if isinstance(node, yaml.ScalarNode) else "..."


def _refuse(place: yaml.Node | yaml.Event, why: str) -> NoReturn:
    raise UserError(f"line {_line(place)}: {why}")


def _line(place: yaml.Node | yaml.Event) -> int:
    assert place.start_mark is not None  # what is read from text has its place
    return place.start_mark.line + 1


# ---- scalars --------------------------------------------------------------------------------------------


def _read_by(constructor: Callable[[_Strict, Any], Any]) -> Callable[[_Strict, Any], Any]:
    """``constructor`` of a scalar whose text a tag may claim to be what it is not."""

    def construct(loader: _Strict, node: yaml.Node) -> Any:
        try:
            return constructor(loader, node)
        except (ValueError, LookupError, OverflowError):
            _refuse(node, f"{shown(_source(node))} is no {node.tag.removeprefix(TAG)}")

    return construct


def _text(loader: _Strict, node: yaml.ScalarNode) -> str:
    value = loader.construct_yaml_str(node)
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        _refuse(node, "text with characters that no file or command can hold")
    return value


def _number(constructor: Callable[[_Strict, Any], float]) -> Callable[[_Strict, Any], float]:
    def construct(loader: _Strict, node: yaml.ScalarNode) -> float:
        if len(node.value) > LONGEST_NUMBER:
            _refuse(node, f"a number of more than {LONGEST_NUMBER} characters")
        value = constructor(loader, node)
        if ":" in node.value:
            _refuse(node, f"YAML reads {node.value} as the number {value}, to the base 60; quote it")
        if not math.isfinite(value):
            _refuse(node, f"{node.value} is no finite number")
        return value

    return construct


def _foreign(kind: str) -> Callable[[_Strict, Any], NoReturn]:
    return lambda _, node: _refuse(node, f"{shown(_source(node))} is {kind} to YAML; quote it")


_Strict.add_constructor(f"{TAG}str", _read_by(_text))
_Strict.add_constructor(f"{TAG}int", _read_by(_number(yaml.SafeLoader.construct_yaml_int)))
_Strict.add_constructor(f"{TAG}float", _read_by(_number(yaml.SafeLoader.construct_yaml_float)))
_Strict.add_constructor(f"{TAG}bool", _read_by(yaml.SafeLoader.construct_yaml_bool))
for _name, _kind in KINDS.items():
    _Strict.add_constructor(f"{TAG}{_name}", _foreign(_kind))
for _name in ("omap", "pairs"):
    _Strict.add_constructor(f"{TAG}{_name}", _foreign("a list of pairs"))
