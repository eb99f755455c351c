"""YAML is read strictly: what it says twice, or what another reader takes for something else, is one line."""

from __future__ import annotations

import time

import pytest
import yaml

from snlab.core.errors import UserError
from snlab.sweeps.reading import MOST_BYTES, MOST_LEVELS, read_yaml, shown

LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join(9 * [f'*a{i - 1}'])}]\n" for i in range(1, 30))

CHAIN = "a0: &a0 {}\n" + "".join(f"a{i}: &a{i} {{x: *a{i - 1}}}\n" for i in range(1, 99))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: 'a' stands here and in line 1"),
        ("x: [{b: 1, b: 1}]", "line 1: 'b' stands here and in line 1"),
        ("<<: {a: 1}\n<<: {b: 1}", "line 2: '<<' stands here"),
        ("1: 2", "the key '1' is no text"),
        ("yes: 1", "the key 'yes' is no text; quote it"),
        ("null: 1", "the key 'null' is no text"),
        ("2024-01-01: 1", "the key '2024-01-01' is no text"),
        ("? [a]\n: 1", "is no text"),
        ("? {a: 1}\n: 1", "is no text"),
        ("a:\n  b: 2024-01-01", "line 2: '2024-01-01' is a date to YAML; quote it"),
        ("a: 2001-12-14t21:59:43.10-05:00", "is a date"),
        ("a: 1:30", "YAML reads 1:30 as the number 90, to the base 60; quote it"),
        ("a: 1:30.5", "to the base 60"),
        ("a: .inf", ".inf is no finite number"),
        ("a: -.INF", "is no finite number"),
        ("a: .nan", "is no finite number"),
        ("a: 1.0e+999", "is no finite number"),
        (f"a: {'9' * 5000}", "a number of more than 100 characters"),
        ("&a {b: *a}", "it refers to itself"),
        ("a: &p\n  model: {parameters: *p}", "line 1: it refers to itself"),
        ("- &a [*a]", "it refers to itself"),
        ("a: &a\n  <<: *a", "it refers to itself"),
        (LAUGHS, "aliases make"),
        (CHAIN, "levels deep"),
        ("{a: " * 300 + "1" + "}" * 300, f"nested more than {MOST_LEVELS} levels deep"),
        ("[" * 100_000, f"nested more than {MOST_LEVELS} levels deep"),
        ("- " * 5000, f"nested more than {MOST_LEVELS} levels deep"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: !!python/name:os.system ''", "could not determine a constructor"),
        ("a: !mine 1", "could not determine a constructor"),
        ("a: !!set {x, y}", "is a set to YAML"),
        ("a: !!omap [x: 1]", "is a list of pairs to YAML"),
        ("a: !!binary aGk=", "is binary data to YAML"),
        ("a: !!int x", "'x' is no int"),
        ("a: !!int ''", "'' is no int"),
        ("a: !!float x", "'x' is no float"),
        ("a: !!bool 7", "'7' is no bool"),
        ("a: 0x_", "is no int"),
        ("a: *missing", "undefined alias 'missing'"),
        ("a: [", "is not YAML"),
        ("\ta: 1", "cannot start any token"),
        ("---\na: 1\n---\nb: 1", "expected a single document"),
        ("a: \x07", "is not YAML"),
        ('a: "\\0"', "characters that no file or command can hold"),
        ('a: "\\ud800"', "characters that no file or command can hold"),
        ("x" * (MOST_BYTES + 1), "bytes; that is no sweep file"),
    ],
)  # fmt: skip
def test_what_is_refused(text, words, tmp_path):
    path = tmp_path / "some.yaml"
    path.write_text(text)
    started = time.process_time()
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    assert time.process_time() - started < 2
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "data", [b"\xff\xfe", b"a: \xe9", "a: 1".encode("utf-16"), bytes(range(256)), b"\x80\x04\x95K\x01."]
)
def test_what_is_no_text(data, tmp_path):
    path = tmp_path / "some.yaml"
    path.write_bytes(data)
    with pytest.raises(UserError, match="is not UTF-8 text"):
        read_yaml(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2.5, true, ~, text]",
        "a: {b: [1, {c: 'x'}], d: 1e-4, e: 1.0e-4, f: 0x10, g: 1_000}",
        "base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}\nagain: [*b, *b]",
        "\ufeffa: ü ☃",
        "a: '2024-01-01'\nb: '1:30'\n'1': \"yes\"",
        "a: !!str 5\nb: !!float 5",
    ],
)
def test_what_is_read_as_any_reader_does(text, tmp_path):
    path = tmp_path / "some.yaml"
    path.write_text(text, encoding="utf-8")
    assert read_yaml(path) == yaml.safe_load(text)


def test_a_long_value_is_cut():
    assert shown(1.5) == "1.5"
    assert len(shown("x" * 1000)) == 80
