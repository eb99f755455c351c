"""What of a sweep file's command is for snlab fit: W&B's macros mean here what they mean to its agents."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from wandb.sdk.launch.sweeps.utils import create_sweep_command

from snlab.core.errors import UserError
from snlab.sweeps.command_line import fit_words

ARGS = "${args}"


def words(*command, **document) -> tuple[str, ...]:
    return fit_words({"command": list(command), **document})


@pytest.mark.parametrize(
    "start",
    [
        ["snlab"],
        ["/opt/venv/bin/snlab"],
        ["${env}", "snlab"],
        ["/usr/bin/env", "snlab"],
        ["${env}", "${program}"],
        ["${interpreter}", "-m", "snlab"],
        ["${env}", "${interpreter}", "-m", "${program}"],
        ["python", "-m", "snlab"],
        ["python3", "-m", "snlab"],
        ["${env}", "/usr/bin/python3.11", "-m", "snlab"],
    ],
)
def test_every_way_to_start_snlab_fit(start):
    assert words(*start, "fit", "--x=1", ARGS, program="snlab") == ("--x=1", ARGS)


def test_python_m_snlab_is_snlab():
    python = shutil.which("python3", path=f"{sys.prefix}/bin")
    assert python is not None
    shown = subprocess.run([python, "-m", "snlab", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("snlab ")


def test_numbers_are_words():
    assert words("snlab", "fit", "--generator_steps", 40, "--x", 0.5, ARGS) == (
        "--generator_steps", "40", "--x", "0.5", ARGS,
    )  # fmt: skip


def test_a_variable_of_the_environment_inside_a_word(monkeypatch):
    """The one macro that W&B's own code replaces there."""
    monkeypatch.setenv("GROUP", "mine")
    command = ["snlab", "fit", "--wandb.group=${envvar:GROUP}-2", ARGS]
    assert list(words(*command)) == create_sweep_command([*command])[2:] == ["--wandb.group=mine-2", ARGS]
    monkeypatch.delenv("GROUP")
    with pytest.raises(UserError, match="GROUP} is not set"):
        words(*command)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (None, "the file no program"),
        ([], "a list of words, got []"),
        ("snlab fit ${args}", "a list of words, got 'snlab fit"),
        ({"a": 1}, "a list of words"),
        ([None], "wants words, got None"),
        ([["snlab", "fit"]], "wants words, got ['snlab', 'fit']"),
        (["snlab", "fit"], "wants ${args} once"),
        (["snlab", "fit", ARGS, ARGS], "wants ${args} once"),
        (["snlab", "fit", ARGS, "${args_no_equals}"], "wants ${args} once"),
        (["snlab", "fit", "--x=${y}", ARGS], "--x=${y} stays as it is"),
        (["snlab", "fit", f"--x={ARGS}"], "stays as it is"),
        (["snlab", "fit", "${arg}"], "did you mean '${args}'?"),
        (["snlab", "fit", "${args_json}"], "unknown macro ${args_json}"),
        (["snlab", "fit", "${env}", ARGS], "unknown macro ${env}"),
        (["snlab", "sweep", "x", ARGS], "does not run snlab fit"),
        (["python", "train.py", ARGS], "does not run snlab fit"),
        (["python", "-u", "-m", "snlab", "fit", ARGS], "does not run snlab fit"),
        (["${env}", "A=1", "snlab", "fit", ARGS], "does not run snlab fit"),
        (["torchrun", "-m", "snlab", "fit", ARGS], "does not run snlab fit"),
        (["${env}"], "does not run snlab fit"),
        (["snlab", "fit", "--help", ARGS], "--help is not for a sweep's file"),
        (["snlab", "fit", "-h", ARGS], "--help is not for a sweep's file"),
        (["snlab", "fit", "--print_config=skip_null", ARGS], "--print_config is not"),
        (["snlab", "fit", "--runs=x", ARGS], "snlab sweep FILE --runs FOLDER says where"),
        (["snlab", "fit", "--run_folder", "x", ARGS], "--run_folder is not"),
    ],
)
def test_a_command_that_would_not_run_the_sweep(command, said):
    with pytest.raises(UserError) as caught:
        fit_words({"command": command})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
