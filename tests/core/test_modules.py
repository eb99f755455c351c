"""Code that is not snlab's: imported, found by a dotted name, and brought by an installed package."""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.metadata import EntryPoint

import pytest

from snlab.core import modules
from snlab.core.errors import UserError
from snlab.core.registry import Registry

THINGS: Registry[list] = Registry("thing", list)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """``module(name, text)``: an importable file, of a package where the name has dots."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(THINGS, "_factories", {})
    before = set(sys.modules)

    def write(name: str, text: str) -> str:
        *packages, last = name.split(".")
        folder = tmp_path
        for package in packages:
            folder = folder / package
            folder.mkdir(exist_ok=True)
            (folder / "__init__.py").touch()
        (folder / f"{last}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


REGISTERS = "from tests.core.test_modules import THINGS\n"
THREE = f"""{REGISTERS}
@THINGS.register("three")
def three(of: str = "x", **more: int) -> list:
    return [of] * 3 + sorted(more)

class Pair(list):
    def __init__(self, first: int = 0, *, second: int = 1) -> None:
        super().__init__([first, second])

def four() -> tuple:
    return (1, 2, 3, 4)

number = 5
"""


def test_a_dotted_name_is_imported_and_called_with_its_options(module):
    module("bag.inner.things", THREE)
    assert THINGS.build("bag.inner.things.Pair(first=3)") == [3, 1]
    assert THINGS.build_all("three+bag.inner.things.three(of=y)") == [["x"] * 3, ["y"] * 3]
    assert THINGS.canonical("bag.inner.things.Pair(second=1)") == "bag.inner.things.Pair(first=0)"
    assert THINGS.canonical("bag.inner.things.Pair(second=2)") == "bag.inner.things.Pair(first=0, second=2)"


def test_a_function_that_takes_any_option_is_given_it(module):
    module("anything", THREE)
    assert THINGS.build("anything.three(a=1)") == ["x", "x", "x", "a"]
    assert THINGS.canonical("anything.three(a=1)") == "anything.three(a=1, of=x)"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bag.things.Pairs", "thing 'bag.things.Pairs': bag.things has no 'Pairs'; did you mean 'Pair'?"),
        ("bag.thing.Pair", "thing 'bag.thing.Pair': bag has no 'thing'"),
        ("bags.things.Pair", "thing 'bags.things.Pair': ModuleNotFoundError: No module named 'bags'"),
        ("bag.things.Pair(frist=1)", "'bag.things.Pair' has no option 'frist'; did you mean 'first'?"),
        ("bag.things.number", "'bag.things.number' is no subclass of list, and no function that returns"),
        ("bag.things.four", "thing bag.things.four is a tuple; a list is wanted"),
        ("pathlib.Path", "'pathlib.Path' is no subclass of list"),
        ("os.system(command='true')", "'os.system' is no subclass of list"),  # and is not called
    ],
)
def test_says_what_is_wrong_with_a_dotted_name(module, name, said):
    module("bag.things", THREE)
    with pytest.raises(UserError) as error:
        THINGS.build(name)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_a_failed_import_has_registered_is_forgotten(module):
    module("halves", f"{THREE}\nraise RuntimeError('no more\\nthan half')")
    for _ in range(2):  # and it is no second registration
        with pytest.raises(UserError, match=r"^--import halves: RuntimeError: no more than half$"):
            modules.import_all(["halves"])
        assert THINGS.names() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def f(:\n", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("from snlab.core.errors import UserError\nraise UserError('not here')", "--import broken: not here"),
        (THREE + THREE, "thing 'three' is registered twice: by broken.three and by broken.three"),
    ],
)
def test_a_module_that_does_not_import_is_told_in_its_own_words(module, text, said):
    module("broken", text)
    with pytest.raises(UserError) as error:
        modules.import_all(["broken"])
    assert str(error.value).startswith("--import broken: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_that_another_module_has_names_both(module):
    module("first", THREE)
    module("second", THREE)
    modules.import_all(["first", "first"])
    with pytest.raises(UserError, match=r"by first\.three and by second\.three"):
        modules.import_all(["second"])
    assert THINGS.build("three") == ["x"] * 3


@pytest.mark.parametrize("name", ["", "own/things.py", "../own", "a b"])
def test_only_a_modules_name_is_imported(name):
    with pytest.raises(UserError, match="a module is wanted"):
        modules.import_all([name])


def test_a_plugin_that_fails_is_a_warning_and_the_others_are_there(module, monkeypatch):
    module("good", THREE)
    module("bad", "import nowhere_at_all")
    points = [EntryPoint(name, name, modules.PLUGINS) for name in ("bad", "good")]
    monkeypatch.setattr(modules, "entry_points", lambda group: points if group == modules.PLUGINS else [])
    modules.import_plugins.cache_clear()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            modules.import_plugins()
            modules.import_plugins()
    finally:
        modules.import_plugins.cache_clear()
    (warning,) = caught
    assert "plugin bad of" in str(warning.message)
    assert "ModuleNotFoundError: No module named 'nowhere_at_all'" in str(warning.message)
    assert THINGS.names() == ["three"]
