"""Files are UTF-8 whatever the locale, and a terminal that cannot show a character gets another."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import snlab

PACKAGE = Path(snlab.__file__).parent
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "benchmarks").glob("*.py")])
# As much ASCII as a machine can be set to.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}


def bare_calls(text: str) -> list[int]:
    """The lines of calls that read or write text in the locale's encoding."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", None))
        words = {keyword.arg for keyword in node.keywords}
        modes = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        text_mode = name in ("read_text", "write_text") or (
            name in ("open", "fdopen") and not any("b" in mode for mode in modes)
        )
        binary = isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") in (
            "os",
            "Image",
        )
        if text_mode and not binary and "encoding" not in words:
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_text_is_read_and_written_as_utf8(path):
    assert not bare_calls(path.read_text(encoding="utf-8"))


def test_the_test_above_can_fail():
    assert bare_calls(
        'p.open()\np.open("rb"), os.open(p, 0)\np.read_text(errors="replace")\nopen(f, "w")'
    ) == [1, 3, 4]


@pytest.mark.parametrize("encoding", ["", "ascii", "latin-1"])
def test_a_terminal_without_sigma_gets_the_word(encoding, tmp_path):
    """`snlab list` tells what files say of themselves."""
    sweeps = tmp_path / "sweeps"
    sweeps.mkdir()
    (sweeps / "mine.yaml").write_text("# σ of Ünal: 2 × 3 ± 1\nmethod: [\n", encoding="utf-8")
    code = (
        "import pathlib, sys; from snlab.core import resources; from snlab.cli import main\n"
        "resources.sweeps = lambda: {'mine': pathlib.Path('sweeps/mine.yaml')}\n"
        "sys.exit(main(['list', 'sweeps']))"
    )
    environment = {**os.environ, **ASCII, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, timeout=100)
    assert done.returncode == 0, done.stderr
    said = {"": "mine: sigma of ?nal: 2 x 3 +- 1", "latin-1": "mine: sigma of Ünal: 2 × 3 ± 1"}
    assert done.stdout.decode("latin-1").strip() == said.get(encoding, said[""])


def test_what_a_library_opens_is_utf8_too(tmp_path):
    """As jsonargparse opens a configuration: without a word of its encoding."""
    (tmp_path / "c.yaml").write_text("normalizer: ünal", encoding="utf-8")
    code = (
        "from snlab.core.text import use_text_anywhere; use_text_anywhere()\n"
        "assert open('c.yaml').read() == 'normalizer: \\u00fcnal'"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ASCII}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_table_is_drawn_in_ascii():
    code = (
        "from snlab.core.text import use_text_anywhere; from rich.console import Console\n"
        "from rich.table import Table\n"
        "use_text_anywhere(); table = Table('\\u03c3'); table.add_row('1 \\xb1 2'); Console().print(table)\n"
        "print('\\u250c\\u2500\\u2510', '\\u2501', '\\u2588')"
    )
    environment = {**os.environ, **ASCII}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    assert "sigma" in (drawn := done.stdout.decode("ascii"))
    assert "1 +- 2" in drawn
    assert "+-+ - #" in drawn
