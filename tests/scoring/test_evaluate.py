"""A run's checkpoints scored again: the numbers that it logged, and others where those are to be other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snlab.callbacks.checkpoint import BestCheckpoint
from snlab.cli import main
from snlab.metrics.protocols import PROTOCOLS
from snlab.scoring import evaluate as module
from snlab.scoring.arguments import Options
from snlab.scoring.evaluate import Scored, evaluate
from snlab.tracking.checkpoints import AtomicCheckpointIO
from snlab.tracking.run_folder import Run
from snlab.tracking.scores import read_scores
from snlab.training.fit import fit
from tests.conftest import SMALL
from tests.metrics.fakes import pixels

pytestmark = pytest.mark.slow

EMBEDDED = Options(protocol="embedded")
STEPS = 6
ARGUMENTS = [
    *SMALL,
    *("--wandb.mode", "disabled", "--measure.every", "6", "--generator_steps", str(STEPS)),
    *("--measure.fidelity_every", "1", "--checkpoint_every", "1", "--keep_best", "true"),
    *("--model.adam.lr", "0.02"),  # so much that the distance goes up and down
]


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """The embedded protocol with fewer images: what the run logs, and what scores it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROTOCOLS, "embedded", replace(PROTOCOLS["embedded"], n_real=500, n_fake=1100))
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, few: None) -> Run:
    folder = tmp_path_factory.mktemp("runs")
    return fit([*ARGUMENTS, "--model.ema_decay", "0.5", "--runs", str(folder)])


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """A copy of the run, to be written into."""
    return Run.read(shutil.copytree(trained.folder, tmp_path / "run"))


def logged(run: Run, step: int) -> dict[str, float]:
    """The scores in the run's metrics.jsonl at a step, as an evaluation names them."""
    names = ("fid", "kid", "inception_score", "precision", "recall")
    return {f"{name}/embedded-digits/embedded": run.rows[step][f"{name}/embedded-digits"] for name in names}


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a run but its scores."""
    files = [path for path in folder.rglob("*") if path.is_file() and "scores" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def fids(run: Run) -> dict[int, float]:
    steps, values = run.series("fid/embedded-digits")
    return dict(zip(steps, values, strict=True))


def best_files(run: Run) -> list[str]:
    return [path.name for path in (run.folder / "checkpoints").glob("best-*.ckpt")]


# ---- what the run logged ----------------------------------------------------------------------------------


def test_the_last_checkpoint_scores_what_was_logged_to_the_last_digit(run: Run) -> None:
    before = content(run.folder)
    found = evaluate(run.folder, EMBEDDED)
    assert found.entry["scores"] == logged(run, STEPS)
    assert found.entry["weights"] == "ema"
    assert found.entry["generator_step"] == STEPS
    assert found.entry["checkpoint"]["kept_as"] == "last"
    assert found.entry["checkpoint"]["chosen_by"] is None
    assert found.entry["extractor"] == {
        "name": "embedded-digits",
        "sha256": run.summary["extractors"]["embedded-digits"],
    }
    assert found.path == run.folder / "scores" / f"embedded-{STEPS:08d}.json"
    assert json.loads(found.path.read_text())["scored"] == [found.entry] == read_scores(run.folder)
    assert content(run.folder) == before


def test_a_checkpoint_by_its_name_is_that_step_s(run: Run) -> None:
    path = run.folder / "checkpoints" / f"step-{STEPS - 1:08d}.ckpt"
    found = evaluate(path, EMBEDDED)
    assert found.entry["scores"] == logged(run, STEPS - 1)
    assert found.entry["checkpoint"]["kept_as"] == "named"


def test_an_unfinished_run_is_scored_as_such(run: Run) -> None:
    (run.folder / "summary.json").unlink()
    found = evaluate(run.folder, EMBEDDED)
    assert (found.entry["outcome"], found.entry["scores"]) == ("unfinished", logged(run, STEPS))
    assert "(unfinished)" in found.line


def test_labels_are_given_as_the_run_gave_them(tmp_path: Path) -> None:
    options = ["--model.network", "resnet(conditional=projection, width=0.03125)", "--generator_steps", "2"]
    labelled = fit([*ARGUMENTS, *options, "--keep_best", "false", "--runs", str(tmp_path)])
    found = evaluate(labelled.folder, EMBEDDED)
    assert found.entry["scores"] == logged(labelled, 2)
    assert found.entry["weights"] == "raw"


# ---- the best ---------------------------------------------------------------------------------------------


def test_the_best_was_chosen_on_other_latents_than_it_is_scored_on(run: Run) -> None:
    values = fids(run)
    step = min(values, key=lambda step: values[step])
    assert len(values) == STEPS
    assert step < STEPS, "the last is the best: this run tells nothing"
    found = evaluate(run.folder, replace(EMBEDDED, checkpoint="best"))
    checkpoint = found.entry["checkpoint"]
    assert checkpoint["file"] == f"checkpoints/best-{step:08d}.ckpt"
    assert checkpoint["chosen_by"] == {
        "metric": "fid/embedded-digits",
        "value": values[step],
        "generator_step": step,
        "among": step,  # every step until then was measured
        "latents": "run",
    }
    assert [draw["latents"] for draw in found.entry["draws"]] == ["other-1"]
    score = found.entry["scores"]["fid/embedded-digits/embedded"]
    assert score != values[step]
    assert score == pytest.approx(values[step], rel=0.2)
    assert evaluate(run.folder / checkpoint["file"], EMBEDDED).entry["scores"] == found.entry["scores"]
    assert [path.name for path in (run.folder / "checkpoints").glob("best-*.ckpt")] == [
        Path(checkpoint["file"]).name
    ]


def test_the_best_is_the_same_across_a_stop(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends behind a step that was saved as the best and not otherwise, and goes on before it."""
    values = fids(run)
    step = min(values, key=lambda step: values[step])
    original = BestCheckpoint.on_train_batch_end
    arguments = [*ARGUMENTS, "--model.ema_decay", "0.5", "--runs", str(tmp_path / "runs")]

    def stop(self: BestCheckpoint, trainer: Any, *rest: Any) -> None:
        original(self, trainer, *rest)
        if trainer.global_step == step:
            raise RuntimeError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr(BestCheckpoint, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="power"):
            fit(arguments)
    resumed = fit([*arguments, "--resume"])
    assert fids(resumed) == values
    assert best_files(resumed) == [f"best-{step:08d}.ckpt"]
    entries = [evaluate(one.folder, replace(EMBEDDED, checkpoint="best")).entry for one in (resumed, run)]
    assert entries[0]["scores"] == entries[1]["scores"]
    assert entries[0]["checkpoint"]["chosen_by"] == entries[1]["checkpoint"]["chosen_by"]


def test_a_best_that_is_lost_is_that_of_the_rest(run: Run) -> None:
    """The run goes on from its last step but one, and what was kept of its best, an earlier one, is gone."""
    values = fids(run)
    assert best_files(run) == ["best-00000002.ckpt"]
    for name in ("best-00000002.ckpt", f"step-{STEPS:08d}.ckpt"):
        (run.folder / "checkpoints" / name).unlink()
    (run.folder / "summary.json").unlink()
    fit([*ARGUMENTS, "--model.ema_decay", "0.5", "--run_folder", str(run.folder), "--resume"])
    assert best_files(run) == [f"best-{STEPS:08d}.ckpt"]
    chosen = evaluate(run.folder, replace(EMBEDDED, checkpoint="best")).entry["checkpoint"]["chosen_by"]
    assert (chosen["value"], chosen["among"]) == (values[STEPS], 1)


# ---- options ----------------------------------------------------------------------------------------------


def test_raw_weights_are_those_that_are_trained(run: Run) -> None:
    raw = evaluate(run.folder, replace(EMBEDDED, weights="raw"))
    assert raw.entry["weights"] == "raw"
    assert raw.entry["scores"] != logged(run, STEPS)
    assert evaluate(run.folder, EMBEDDED).entry["scores"] == logged(run, STEPS)
    assert [entry["weights"] for entry in read_scores(run.folder)] == ["raw", "ema"]


def test_repeats_tell_the_metric_s_noise(run: Run) -> None:
    found = evaluate(run.folder, replace(EMBEDDED, repeats=3))
    draws = found.entry["draws"]
    assert [draw["latents"] for draw in draws] == ["run", "other-1", "other-2"]
    assert draws[0]["scores"] == logged(run, STEPS)
    name = "fid/embedded-digits/embedded"
    values = [draw["scores"][name] for draw in draws]
    assert len(set(values)) == 3
    assert found.entry["scores"][name] == pytest.approx(np.mean(values), rel=1e-12)
    assert found.entry["std"][name] == pytest.approx(np.std(values, ddof=1), rel=1e-9)


def test_the_paper_s_protocol_by_another_extractor_of_its_interface(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = replace(PROTOCOLS["miyato2018"], n_real=1000, n_fake=500, n_inception=1000)
    monkeypatch.setitem(PROTOCOLS, "miyato2018", paper)
    monkeypatch.setattr(module, "inception_extractor", lambda weights: pixels(name="inception-v3-compat"))
    assert main(["evaluate", str(run.folder), "--protocol", "miyato2018"]) == 0
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    assert line.startswith("digits, protocol miyato2018, inception-v3-compat @d1, last checkpoint")
    assert "ema weights: fid " in line
    assert "images to look at" in captured.err
    (entry,) = read_scores(run.folder)
    metrics = ("fid", "inception_score", "inception_score_std")
    assert list(entry["scores"]) == [f"{m}/inception-v3-compat/miyato2018" for m in metrics]
    assert (entry["n_real"], entry["n_generated"]) == (1000, 1000)


# ---- mistakes ---------------------------------------------------------------------------------------------


def rewritten(run: Run, **changes: Any) -> Path:
    """The last checkpoint, saved anew with other content."""
    path = run.folder / "checkpoints" / f"step-{STEPS:08d}.ckpt"
    held = torch.load(path, weights_only=True)
    AtomicCheckpointIO().save_checkpoint(held | changes, path)
    return run.folder


def damaged(run: Run) -> Path:
    path = run.folder / "checkpoints" / f"step-{STEPS:08d}.ckpt"
    path.write_bytes(path.read_bytes()[:-100])
    return path


def half_written(run: Run) -> Path:
    (run.folder / "summary.json").unlink()
    shutil.rmtree(run.folder / "checkpoints")
    return run.folder


def cut_configuration(run: Run) -> Path:
    (run.folder / "config.yaml").write_text("model: {normalizer: spectral_norm")
    return run.folder


def of_another_loop(run: Run) -> Path:
    with (run.folder / "config.yaml").open("a") as file:
        file.write("module: mine.Module\n")
    return run.folder


def elsewhere(run: Run) -> Path:
    path = run.folder.parent / "moved.ckpt"
    shutil.copy(run.folder / "checkpoints" / f"step-{STEPS:08d}.ckpt", path)
    return path


def something_else(run: Run) -> Path:
    path = run.folder / "checkpoints" / f"step-{STEPS:08d}.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(3)}, path)
    return path


def of_other_networks(run: Run) -> Path:
    path = run.folder / "config.yaml"
    path.write_text(path.read_text().replace("standard_cnn(width=0.125)", "standard_cnn(width=0.25)"))
    return run.folder


def diverged(run: Run) -> Path:
    path = run.folder / "checkpoints" / f"step-{STEPS:08d}.ckpt"
    state = torch.load(path, weights_only=True)["state_dict"]
    name = next(name for name in state if name.startswith("ema.") and name.endswith("weight"))
    return rewritten(run, state_dict=state | {name: state[name] * torch.nan})


MISTAKES: list[tuple[Callable[[Run], Path], list[str], str]] = [
    (lambda run: run.folder, ["--protocol", "miyato2019"], "did you mean 'miyato2018'?"),
    (lambda run: run.folder, ["--weights", "emma"], "unknown weights 'emma'; did you mean 'ema'?"),
    (lambda run: run.folder, ["--checkpoint", "bets"], "did you mean 'best'?"),
    (lambda run: run.folder, ["--device", "gpu"], "unknown device 'gpu'"),
    (lambda run: run.folder, ["--repeats", "0"], "--repeats is 0; at least 1 is needed"),
    (lambda run: run.folder, ["--inception-weights", "none.pth"], "no Inception weights at none.pth"),
    (lambda run: run.folder, ["--inception-weights", "none.pth"], "(--protocol embedded)"),
    (lambda run: run.folder / "nothing", [], "no run folder and no checkpoint"),
    (lambda run: run.folder.parent, [], "is no run's folder: it has no config.yaml; it holds 1, such as"),
    (lambda run: run.folder / "metrics.jsonl", [], "is no checkpoint: those of snlab fit end in .ckpt"),
    (lambda run: rewritten(run, DataModule={"dataset": "photos"}), [], "was trained on photos, and"),
    (lambda run: rewritten(run, classes=7), [], "has networks of 7 classes, and"),
    (damaged, [], "is damaged"),
    (half_written, [], "has no checkpoint to score: it is unfinished"),
    (cut_configuration, [], "is not a readable run folder"),
    (of_another_loop, [], "is a run of mine.Module; only networks of snlab fit can be made again"),
    (elsewhere, [], "is in no run's folder"),
    (something_else, [], "is no checkpoint of snlab fit: it holds no networks"),
    (of_other_networks, [], "does not fit the networks of"),
    (diverged, [], "has weights that are not finite"),
]


@pytest.mark.parametrize(("place", "options", "said"), MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_written(
    place: Callable[[Run], Path],
    options: list[str],
    said: str,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = place(run)
    before = content(run.folder)
    if "none.pth" not in options and "--protocol" not in options:
        options = ["--protocol", "embedded", *options]
    assert main(["evaluate", str(found), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert content(run.folder) == before
    assert not (run.folder / "scores").exists()


def test_data_that_is_not_here_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SNLAB_CACHE", str(tmp_path / "empty"))
    monkeypatch.delenv("SNLAB_DATA", raising=False)
    path = run.folder / "config.yaml"
    path.write_text(path.read_text().replace("dataset: digits", "dataset: cifar10"))
    assert main(["evaluate", str(run.folder), "--protocol", "embedded"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "snlab data fetch" in line
    assert not (run.folder / "scores").exists()


def test_a_run_without_an_average_has_no_ema_and_no_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = fit([*ARGUMENTS, "--generator_steps", "2", "--keep_best", "false", "--runs", str(tmp_path)])
    for options, said in (
        (["--weights", "ema"], "has no moving average"),
        (["--checkpoint", "best"], "has no best checkpoint: snlab fit --keep_best true keeps it"),
    ):
        assert main(["evaluate", str(plain.folder), "--protocol", "embedded", *options]) == 2
        assert said in capsys.readouterr().err


def test_keep_best_wants_a_distance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *ARGUMENTS, "--measure.fidelity", "none", "--runs", str(tmp_path / "runs")]) == 2
    assert "keep_best wants a Fréchet distance" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_scores_that_cannot_be_kept_are_told_all_the_same(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.folder / "scores").write_text("in the way")
    found: Scored = evaluate(run.folder, EMBEDDED)
    assert found.path is None
    assert found.entry["scores"] == logged(run, STEPS)
    assert "the scores cannot be kept" in capsys.readouterr().err
