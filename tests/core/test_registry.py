from __future__ import annotations

import pytest

from snlab.core.errors import UserError
from snlab.core.registry import Registry, parse

THINGS: Registry[tuple] = Registry("thing")


@THINGS.register("plain")
def plain() -> tuple:
    """A plain thing."""
    return ("plain",)


@THINGS.register("rich")
def rich(
    size: int = 3, name: str = "x", flag: bool = False, least: float | None = None, *, later: float = 1.0
) -> tuple:
    """A rich thing."""
    if size < 0:
        raise ValueError(f"size wants 0 or more, got {size}")
    return ("rich", size * later, name, flag, least)


@THINGS.register("wanting")
def wanting(path: str, size: int = 3, *, kind: str, **rest: int) -> tuple:
    """A thing that wants something."""
    return ("wanting", path, size, kind, rest)


def test_what_has_no_default_is_required():
    assert THINGS.required("wanting") == ["path", "kind"]
    assert THINGS.required("rich") == []


@pytest.mark.parametrize(
    ("text", "built"),
    [
        ("plain", ("plain",)),
        ("plain()", ("plain",)),
        (" rich ( size = 5 , name=two_sided ) ", ("rich", 5, "two_sided", False, None)),
        ("rich(size=0, flag=true, least=-1e-3)", ("rich", 0, "x", True, -0.001)),
        ("rich(flag=True, least=none, name='a b')", ("rich", 3, "a b", True, None)),
        ("rich(name=inner( size = 2, kind=ring))", ("rich", 3, "inner(kind=ring, size=2)", False, None)),
        ("rich(name='inner(size=2)')", ("rich", 3, "inner(size=2)", False, None)),
    ],
)
def test_builds_what_is_written(text, built):
    assert THINGS.build(text) == built


def test_several_are_built_in_order():
    assert THINGS.build_all("rich(size=1)+plain + rich") == [
        ("rich", 1, "x", False, None),
        ("plain",),
        ("rich", 3, "x", False, None),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plane", "unknown thing 'plane'; did you mean 'plain'?"),
        ("rich(sizes=1)", "thing 'rich' has no option 'sizes'; did you mean 'size'?"),
        ("rich(size=-1)", "thing rich(size=-1): size wants 0 or more, got -1"),
        ("rich(size=)", "does not read as"),
        ("rich(3)", "does not read as"),
        ("rich(kind=my/own)", "text such as a path goes in quotes"),
        ("rich(size=1)*plain", "does not read as"),
        ("rich(**{'size': 1})", "does not read as"),
        ("rich(size=open('x'))", "does not read as"),
        ("", "does not read as"),
        ("(" * 500, "does not read as"),
        ("plain+plain", "only normalizers compose"),
    ],
)
def test_says_what_is_wrong(text, said):
    with pytest.raises(UserError) as error:
        THINGS.build(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("rich", "rich(size=3, name=x, flag=false, least=none)"),
        ("rich(flag=true,size=1)", " rich(size=1,flag=True) "),
        ("plain+rich", "plain() + rich(size=3)"),
        ("rich", "rich(later=1)"),
        ("rich(later=2)", "rich(least=none, later=2)"),
    ],
)
def test_one_spelling(one, other):
    assert THINGS.canonical(one) == THINGS.canonical(other)
    assert THINGS.canonical(THINGS.canonical(one)) == THINGS.canonical(one)
    assert THINGS.build_all(THINGS.canonical(one)) == THINGS.build_all(one)


def test_an_option_that_came_later_leaves_the_spelling_as_it_was():
    """It is keyword-only; a run's identity is of the spelling."""
    assert THINGS.canonical("rich(later=1.0)") == "rich(flag=false, least=none, name=x, size=3)"
    assert "later=2" in THINGS.canonical("rich(later=2)")


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="twice"):
        THINGS.register("plain")(plain)


def test_describing():
    assert THINGS.describe("rich") == "rich(size=3, name=x, flag=false, least=none, later=1.0): A rich thing."
    assert THINGS.describe("plain") == "plain: A plain thing."


def test_a_term_is_written_as_it_is_read():
    (term,) = parse("rich(size=2, name='a b', least=none)")
    assert parse(str(term)) == [term]
