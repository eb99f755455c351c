"""The commands as a user types them, good input and bad."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snlab.cli import main

QUICK = ["--generator_steps", "2", "--measure.fidelity", "none", "--wandb.mode", "disabled"]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["demo", "--help"]])
def test_help_is_quick_and_imports_nothing_heavy(arguments):
    before = os.times()
    done = subprocess.run([sys.executable, "-m", "snlab", *arguments], capture_output=True, timeout=120)
    after = os.times()
    assert done.returncode == 0
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    assert spent < 1.0  # of the processor: others may want it, too
    code = (
        "import sys; from snlab.cli import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'matplotlib', 'wandb', 'pytorch_lightning') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_importing_snlab_is_quick():
    code = (
        "import snlab, sys; print('torch' in sys.modules); snlab.SpectralNorm; print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "True"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("normalizers", "spectral_norm(iterations=1, initial_iterations=0, "),
        ("losses", "hinge: "),
        ("networks", "standard_cnn(width=1.0, latent_dim=128, "),
        ("datasets", "mixture("),
        ("experiments", "digits_spectral_norm: "),
        ("tables", "normalizers: "),
        ("figures", "spectrum: "),
        ("figures", "miyato2018/figure9: "),
    ],
)
def test_list(kind, expected, capsys):
    assert main(["list", kind]) == 0
    assert any(line.strip().startswith(expected) for line in capsys.readouterr().out.splitlines())


BAD = [
    (["list", "normalizer"], "did you mean 'normalizers'?"),
    (["demos"], "did you mean 'demo'?"),
    (
        ["fit", "--model.normalizer", "spectral_nrom"],
        "unknown normalizer 'spectral_nrom'; did you mean 'spectral_norm'?",
    ),
    (["fit", "--model.normalizer", "spectral_norm(iteration=2)"], "did you mean 'iterations'?"),
    (["fit", "--model.normalizer", "spectral_norm("], "does not read as name(option=value, ...)"),
    (["fit", "--model.normalizer", "__import__('os').system('true')"], "does not read as"),
    (
        ["fit", "--model.normalizer", "gradient_penalty(weight=-10)"],
        "weight wants a finite number of at least 0, got -10",
    ),
    (["fit", "--model.loss", "hing"], "unknown loss 'hing'; did you mean 'hinge'?"),
    (
        ["fit", "--model.network", "standard_cn"],
        "unknown network 'standard_cn'; did you mean 'standard_cnn'?",
    ),
    (["fit", "--data.dataset", "digit"], "unknown data set 'digit'; did you mean 'digits'?"),
    (["fit", "--data.dataset", "mixture(kind=rings)"], "did you mean 'ring'?"),
    (["fit", "--data.dataset", "digits(size=20)"], "20"),
    (["fit", "--data.dataset", "mixture(kind=ring)"], "standard_cnn"),
    (["fit", "--model.n_dis", "0"], "n_dis is 0; at least 1 is needed"),
    (["fit", "--model.n_dis", "many"], "option --model.n_dis: "),
    (["fit", "--model.n_diss", "2"], "unknown option --model.n_diss; did you mean 'model.n_dis'?"),
    (["fit", "--generator_steps", "-3"], "generator_steps"),
    (["fit", "--measure.every", "0"], "every is 0"),
    (["fit", "--measure.probe_size", "1"], "probe_size is 1"),
    (["fit", "--checkpoint_every", "0"], "checkpoint_every"),
    (["fit", "--config", "digits_spectral_nrom"], "did you mean 'digits_spectral_norm'?"),
    (["fit", "--trainer.precision", "16-mixed"], "is 16-mixed; 32-true and bf16-mixed are supported"),
    (["fit", "--trainer.precision", "64-true"], "is 64-true; 32-true and bf16-mixed are supported"),
    (["table", "normalizer", "--runs", "RUNS"], "did you mean 'normalizers'?"),
    (["table", "normalizers", "--runs", "RUNS", "--format", "html5"], "html"),
    (["table", "normalizers", "--runs", "EMPTY"], "no run in"),
    (["table", "normalizers", "--runs", "NOWHERE"], "no folder"),
    (["figure", "sigmas", "--runs", "RUNS", "--out", "x.png"], "did you mean 'sigma'?"),
    (["figure", "sigma", "--runs", "RUNS", "--out", "x.bmp"], "png"),
    (["figure", "sigma", "--runs", "RUNS", "--out", "NOWHERE/x/y.png"], "NOWHERE"),
    (["figure", "fidelity", "--runs", "RUNS", "--out", "x.png"], "fid"),
    (["figure", "sigma", "--runs", "RUNS"], "--out"),
    (["report", "--runs", "RUNS", "--out", "/proc/nowhere/report.html"], "/proc/nowhere"),
    (["demo", "--workers", "0"], "--workers is 0"),
    (["demo", "--runs", "/proc/nowhere/demo"], "/proc/nowhere/demo cannot be written"),
    (["fit", "--model.n_di", "2"], "did you mean 'model.n_dis'?"),  # no option by its beginning
    (["fit", "--config", '{"model": null}'], "model is null"),
    (["fit", "--config", '{"model": {"adam": null}}'], "model.adam is null"),
    (["fit", "--config", '{"trainer": null}'], "trainer is null"),
    (["fit", "--config", '{"model": {"loss": null}}'], "loss is None"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run without fidelity."""
    folder = tmp_path_factory.mktemp("runs")
    assert main(["fit", *QUICK, "--model.network", "standard_cnn(width=0.125)", "--runs", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_a_mistake_is_one_line_and_exit_code_2(arguments, said, runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "NOWHERE").write_text("a file") if "NOWHERE/x/y.png" in arguments else None
    arguments = [str(runs) if a == "RUNS" else a for a in arguments]
    extra = QUICK if arguments[0] == "fit" and "--generator_steps" not in arguments else []
    assert main([arguments[0], *extra, *arguments[1:]]) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("snlab: ")
    assert said in lines[0]
    assert not (tmp_path / "runs").exists()  # nothing was begun


@pytest.mark.parametrize(
    "place",
    [("--runs", "FILE"), ("--runs", "/proc/nowhere"), ("--run_folder", "x" * 300), ("--runs", "y" * 300)],
    ids=["below a file", "in /proc", "a name too long", "a folder's name too long"],
)
def test_an_unwritable_run_folder(place, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("")
    assert main(["fit", *QUICK, *place]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("snlab: run folder ")
    assert "cannot be " in line


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, 73), (errno.EROFS, 72), (errno.EIO, 74), (errno.EACCES, 2)]
)
def test_a_disk_that_fails_is_one_line_and_has_its_exit_code(number, code, tmp_path, capsys, monkeypatch):
    def fails(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    words = ["fit", *QUICK, "--model.network=standard_cnn(width=0.125)", "--wandb.mode=disabled"]
    assert main([*words, "--runs", str(tmp_path)]) == code
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")]
    assert line.startswith("snlab: ")
    assert os.strerror(number) in line


def test_a_full_disk_under_the_log_leaves_the_exit_code():
    """What was printed may lie in a buffer until the end, when nobody can catch that it has no room."""
    code = (
        "import sys; from snlab.cli import main; import snlab.commands\n"
        "def fails(_): sys.stdout.write('x'); raise OSError(28, 'No space left on device')\n"
        "snlab.commands.fit = fails; sys.exit(main(['fit']))"
    )
    with open("/dev/full", "w") as full:  # noqa: PTH123
        assert subprocess.run([sys.executable, "-c", code], stdout=full, stderr=full).returncode == 73


@pytest.mark.parametrize("harm", ["a file for the runs", "a file for the sweep", "a folder for the study"])
def test_a_sweep_whose_folder_cannot_be_used_is_one_line(harm, tmp_path, capsys):
    path = tmp_path / "one.yaml"
    path.write_text(
        "{method: grid, parameters: {seed_everything: {values: [0]}}, command: [snlab, fit, '${args}']}"
    )
    runs = tmp_path / "runs"
    if harm == "a file for the runs":
        runs.touch()
    elif harm == "a file for the sweep":
        runs.mkdir()
        (runs / "one").touch()
    else:
        (runs / "one" / "study.db").mkdir(parents=True)
    assert main(["sweep", str(path), "--runs", str(runs), "--workers", "1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written: " in line or "study.db cannot be opened: " in line


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints that ends the process when it has."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code in (None, 0)
    return capsys.readouterr().out


def test_fit_help_names_every_group(capsys):
    said = shown(capsys, "fit", "--help")
    for option in (
        "--model.normalizer",
        "--data.dataset",
        "--measure.every",
        "--wandb.mode",
        "--generator_steps",
    ):
        assert option in said


def test_print_config_is_yaml_that_fit_takes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = shown(capsys, "fit", *QUICK, "--config", "digits_spectral_norm", "--print_config")
    (tmp_path / "mine.yaml").write_text(printed)
    assert shown(capsys, "fit", "--config", "mine.yaml", "--print_config") == printed


@pytest.mark.parametrize("name", ["sigma", "ratio", "samples", "spectrum"])
def test_figures_of_a_real_run(name, runs, tmp_path, capsys):
    out = tmp_path / f"{name}.png"
    assert main(["figure", name, "--runs", str(runs), "--out", str(out)]) == 0
    assert out.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("format", ["terminal", "markdown", "latex", "csv", "html"])
def test_the_table_of_a_real_run(format, runs, capsys):
    assert main(["table", "normalizers", "--runs", str(runs), "--format", format]) == 0
    assert "spectral" in capsys.readouterr().out


def test_report_of_a_real_run(runs, tmp_path):
    out = tmp_path / "report.html"
    assert main(["report", "--runs", str(runs), "--out", str(out)]) == 0
    assert "data:image/png;base64" in out.read_text()


@pytest.mark.slow
def test_doctor(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    for word in ("torch", "Inception", "W&B", "training step"):
        assert word in said


@pytest.mark.parametrize(
    ("command", "words", "line"),
    [
        ("fit", [], "snlab: interrupted; the same command with --resume goes on"),
        ("sweep", ["a.yaml"], "snlab: interrupted; the same command goes on"),
        ("table", ["normalizers"], "snlab: interrupted"),
    ],
)
def test_an_interrupted_command_says_how_to_go_on(command, words, line, monkeypatch, capsys):
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"snlab.commands.{command}", interrupted)
    assert main([command, *words]) == 130
    assert capsys.readouterr().err == f"{line}\n"
