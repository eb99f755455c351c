"""``RunFolder``: what anybody's LightningModule leaves, read as any other run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningDataModule
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningCLI

from snlab import RunFolder
from snlab.callbacks.losses import Losses
from snlab.callbacks.ratio import Ratio
from snlab.callbacks.samples import Samples
from snlab.callbacks.sigma import Sigma
from snlab.callbacks.throughput import Throughput
from snlab.cli import main
from snlab.core.errors import UserError
from snlab.results.groups import group
from snlab.results.reading import DAMAGED, collect
from snlab.tracking.identity import identity
from snlab.tracking.run_folder import Run, find_runs
from tests.callbacks.points import (
    AutomaticInTurn,
    Count,
    CriticFirst,
    Unwrapped,
    Wrapped,
    loader,
    probe,
    trainer,
)


class Logs(Wrapped):
    """Logs by Lightning's own means, and saves hyperparameters."""

    def __init__(self, seed: int = 0, lr: float = 1e-3, betas: tuple[float, float] = (0.5, 0.9)) -> None:
        super().__init__(seed)
        self.save_hyperparameters()

    def training_step(self, batch, batch_idx):
        super().training_step(batch, batch_idx)
        self.log("train/updates", float(self.updates))


class Fails(Logs):
    def training_step(self, batch, batch_idx):
        if batch_idx == 6:
            raise self.hparams.get("error", ValueError)("no more\npoints")
        super().training_step(batch, batch_idx)


def logger(runs: Path, **options) -> RunFolder:
    given = {"dataset": "points", "normalizer": "none", "loss": "standard", "seed": 0, "generator_steps": 10}
    return RunFolder(runs, **{**given, **options})


def train(runs, module=None, *callbacks, ckpt_path=None, checkpoints=False, **options) -> Run:
    """The run of ``module``, read back."""
    theirs = {
        name: options.pop(name)
        for name in ("max_epochs", "max_steps", "log_every_n_steps")
        if name in options
    }
    record = logger(runs, **options)
    run = trainer(*callbacks, logger=record, enable_checkpointing=checkpoints, **{"max_epochs": -1, **theirs})
    run.fit(Logs() if module is None else module, loader(), ckpt_path=ckpt_path)
    return Run.read(record.folder)


def test_a_run_leaves_what_it_was_and_what_it_logged(tmp_path):
    start = datetime.now(UTC).replace(microsecond=0)
    run = train(
        tmp_path, Logs(), Sigma(probe(), 5), Samples(probe(), every=5), log_every_n_steps=4,
        normalizer="clip(limit=0.1)", loss="hinge", n_dis=2, seed=3 - 3,
    )  # fmt: skip
    assert run.config == {
        "seed_everything": 0,
        "generator_steps": 10,
        "module": "Logs",
        "data": {"dataset": "points"},
        "model": {
            "normalizer": "clip(limit=0.1)", "loss": "hinge", "n_dis": 2, "betas": [0.5, 0.9], "lr": 1e-3
        },
        "trainer": {},
    }  # fmt: skip
    assert run.folder.name == f"points-clip_limit=0.1-seed0-{identity(run.config)}"
    assert (run.outcome, run.summary["generator_step"], run.summary["reason"]) == ("finished", 10, None)
    assert run.summary["identity"] == identity(run.config)
    assert run.summary["seconds"] > 0
    begun, ended = (datetime.fromisoformat(run.summary[name]) for name in ("begun", "ended"))
    assert start <= begun <= ended <= datetime.now(UTC)
    assert run.summary["metrics"] == {k: v for k, v in run.rows[10].items() if not isinstance(v, list)}
    assert run.series("train/updates") == (
        [4, 8, 10],
        [4.0, 8.0, 10.0],
    )  # the last, though 4 does not divide it
    assert run.series("sigma/exact/0")[0] == [5, 10]
    assert isinstance(run.rows[10]["spectrum/0"], list)
    names = {"000005.npy", "000010.npy", "real.npy"}
    assert {path.name for path in (run.folder / "samples").iterdir()} == names
    np.testing.assert_array_equal(np.load(run.folder / "samples/real.npy"), probe().heldout.numpy())


@pytest.mark.parametrize("kind", [Wrapped, Unwrapped, CriticFirst, AutomaticInTurn])
def test_training_ends_after_so_many_updates_whatever_lightning_counts(kind, tmp_path):
    module, count = kind(), Count(every=0.3)
    run = train(tmp_path, module, count)
    assert module.updates == 10
    assert count.at() == [3, 6, 9, 10] == run.series("updates")[0]
    assert collect(tmp_path).runs[0].outcome == "finished"


def test_nothing_measured_is_no_damage(tmp_path):
    assert train(tmp_path, Wrapped()).outcome == "finished"
    assert collect(tmp_path).runs[0].outcome != DAMAGED


def test_the_trainers_own_limit_is_told(tmp_path):
    with pytest.warns(
        UserWarning, match="ended it after 4 of 10 generator updates; its max_steps counts every"
    ):
        run = train(tmp_path, Wrapped(), max_steps=8)
    assert (run.outcome, run.summary["generator_step"]) == ("killed", 4)


def test_a_callback_that_stops_is_told_with_its_reason(tmp_path):
    class Enough(Callback):
        stopping_reason_message = "It was enough. Signaling Trainer to stop."

        def on_train_batch_end(self, run, module, *_):
            run.should_stop = module.updates == 6

    run = train(tmp_path, Logs(), Enough(), Count(every=4))
    assert (run.outcome, run.summary["generator_step"]) == ("stopped", 6)
    assert run.summary["reason"] == "Enough: It was enough."
    assert run.series("updates")[0] == [4, 6]


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [(ValueError, "failed", "ValueError: no more points"), (KeyboardInterrupt, "killed", "no more points"),
     (SystemExit, "killed", "no more points")],
)  # fmt: skip
def test_a_crash_leaves_metrics_and_a_summary(error, outcome, reason, tmp_path):
    module = Fails()
    module.hparams["error"] = error
    with pytest.raises((error, SystemExit)):
        train(tmp_path, module, Count(every=2))
    (run,) = find_runs(tmp_path)
    assert (run.outcome, run.summary["reason"], run.summary["generator_step"]) == (outcome, reason, 6)
    assert run.series("updates") == ([2, 4, 6], [2.0, 4.0, 6.0])


def test_a_diverged_run_is_a_result(tmp_path):
    class Explodes(Wrapped):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            torch.nn.init.constant_(self.generator.bias, float("nan"))

    with pytest.raises(Exception, match="not finite"):
        train(tmp_path, Explodes(), Losses(every=2))
    (run,) = find_runs(tmp_path)
    assert (run.outcome, run.summary["reason"]) == ("diverged", "a weight not finite by generator step 2")


def test_the_same_trial_again(tmp_path):
    first = train(tmp_path, Logs())
    before = {path: path.read_bytes() for path in first.folder.iterdir()}
    with pytest.raises(
        UserError, match=r"finished at generator step 10; RunFolder\(again=True\) trains it from"
    ):
        train(tmp_path, Logs())
    assert {path: path.read_bytes() for path in first.folder.iterdir()} == before
    assert train(tmp_path, Logs(seed=1), seed=1, again=True).folder != first.folder
    again = train(tmp_path, Logs(lr=1e-3), again=True)
    assert again.folder == first.folder
    kept = Run.read(f"{first.folder}.before-1")
    assert kept.summary == first.summary
    assert len(find_runs(tmp_path)) == 2  # where tables do not look for it
    with pytest.raises(UserError, match="finished"):
        train(tmp_path, Logs())


def test_an_unfinished_run_goes_on_from_its_checkpoint(tmp_path):
    class Crashes(Logs):
        def training_step(self, batch, batch_idx):
            if not torch.is_inference_mode_enabled() and self.updates == self.crash_at:
                raise RuntimeError("power cut")
            super().training_step(batch, batch_idx)

        crash_at = 8

    saves = ModelCheckpoint(every_n_train_steps=10, save_top_k=-1)  # of Lightning's steps: each fifth update
    with pytest.raises(RuntimeError, match="power cut"):
        train(tmp_path, Crashes(), Count(every=1), saves, checkpoints=True)
    (run,) = find_runs(tmp_path)
    (checkpoint,) = (run.folder / "checkpoints").iterdir()  # Lightning's own place is the run's folder
    assert run.series("updates")[0] == [1, 2, 3, 4, 5, 6, 7, 8]
    with pytest.raises(UserError, match=r"unfinished; Trainer\.fit\(ckpt_path=\.\.\.\) goes on with it"):
        train(tmp_path, Crashes(), Count(every=1))
    began = "2020-01-02T03:04:05+00:00"
    summary = run.folder / "summary.json"
    summary.write_text(summary.read_text().replace(run.summary["begun"], began, 1))
    module = Crashes()
    module.updates, module.crash_at = 5, -1
    run = train(tmp_path, module, Count(every=1), ModelCheckpoint(), ckpt_path=checkpoint, checkpoints=True)
    assert (run.outcome, run.summary["begun"]) == ("finished", began)
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    steps = [row["generator_step"] for row in rows if "updates" in row]
    assert steps == list(range(1, 11)) == run.series("updates")[1]
    with pytest.raises(UserError, match=r"finished .* without ckpt_path"):
        train(tmp_path, Crashes(), ckpt_path=checkpoint, again=True)


def test_a_run_that_ended_without_a_word_began_when_its_first_session_did(tmp_path, monkeypatch):
    began = "2020-01-02T03:04:05+00:00"
    saves = ModelCheckpoint(every_n_train_steps=10, save_top_k=-1)
    with monkeypatch.context() as patched:
        patched.setattr("snlab.callbacks.throughput.time_now", lambda: began)
        with pytest.raises(ValueError, match="no more"):
            train(tmp_path, Fails(), Throughput(every=1), saves, checkpoints=True)
    (run,) = find_runs(tmp_path)
    (run.folder / "summary.json").unlink()
    (checkpoint,) = (run.folder / "checkpoints").iterdir()
    module = Logs()
    module.updates = 5
    run = train(tmp_path, module, Throughput(every=1), ckpt_path=checkpoint)
    assert (run.outcome, run.summary["begun"]) == ("finished", began)
    assert run.summary["ended"] > began


def test_a_run_without_measurements_goes_on_at_its_count(tmp_path):
    path = tmp_path / "half.ckpt"
    run = trainer(logger=logger(tmp_path / "first", generator_steps=5), max_epochs=-1)
    run.fit(Logs(), loader())
    run.save_checkpoint(path)
    module = Logs()
    train(tmp_path / "second", module, ckpt_path=path, generator_steps=12)
    assert module.updates == 7


def test_what_is_tested_after_training_counts_as_of_the_last_update(tmp_path):
    class Tested(Logs):
        def test_step(self, batch, batch_idx):
            self.log("test/score", 0.5)

    record = logger(tmp_path)
    run = trainer(logger=record, max_epochs=-1)
    with pytest.warns(UserWarning, match="no run begun"):
        run.test(Tested(), loader(2), verbose=False)
    assert not list(tmp_path.iterdir())
    module = Tested()
    run.fit(module, loader())
    run.test(module, loader(2), verbose=False)
    (found,) = collect(tmp_path).runs
    assert found.outcome == "finished"
    assert found.rows[10]["test/score"] == found.summary["metrics"]["test/score"] == 0.5


class Points(LightningDataModule):
    def train_dataloader(self):
        return loader()


def test_under_lightnings_own_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"dataset": "points", "normalizer": "none", "loss": "standard", "seed": 0, "generator_steps": 10}
    arguments = [f"--trainer.logger.{name}={value}" for name, value in {"runs": "runs", **given}.items()]
    cli = LightningCLI(Logs, Points, args=["--trainer.logger=snlab.RunFolder", *arguments, "--model.lr=0.5"],
                       trainer_defaults={"accelerator": "cpu", "max_epochs": -1}, run=False)  # fmt: skip
    cli.trainer.fit(cli.model, cli.datamodule)
    (run,) = collect(tmp_path / "runs").runs  # what Lightning writes by itself lies elsewhere
    assert run.outcome == "finished"
    assert run.config["model"] == {"normalizer": "none", "loss": "standard", "betas": [0.5, 0.9], "lr": 0.5}


def test_two_processes_do_not_share_a_folder(tmp_path):
    class Inside(Count):
        def measure(self, run, module):
            with pytest.raises(UserError, match=r"in use by another process$"):
                train(tmp_path, Logs())
            return super().measure(run, module)

    assert train(tmp_path, Logs(), Inside(every=10)).outcome == "finished"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"dataset": ""}, "RunFolder: dataset is ''; a name is wanted"),
        ({"normalizer": None}, "RunFolder: normalizer is None; a name is wanted"),
        ({"seed": "0"}, "RunFolder: seed is '0'; a whole number from 0 on is wanted"),
        ({"generator_steps": 0}, "RunFolder: generator_steps is 0; a whole number from 1 on is wanted"),
        ({"n_dis": 0.5}, r"RunFolder: n_dis is 0\.5; a whole number from 1 on is wanted"),
    ],
)
def test_what_is_no_name_and_no_number_is_told(options, line, tmp_path):
    with pytest.raises(UserError, match=f"^{line}$"):
        logger(tmp_path, **options)


def test_hyperparameters_that_contradict_are_told_and_nothing_is_written(tmp_path):
    with pytest.raises(UserError, match=r"^seed is 1 in RunFolder and 0 among the hyperparameters of Logs$"):
        train(tmp_path, Logs(seed=0), seed=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_tables_figures_and_the_page_read_it_beside_ours(fit, tmp_path, capsys):
    runs = tmp_path / "runs"
    small = ("--model.network", "mlp(width=8)", "--generator_steps", "10", "--measure.every", "5")
    ours = fit("--data.dataset", "mixture(kind=ring)", *small, network=False)
    for normalizer in ("none", "clip(limit=0.1)"):
        for seed in (0, 1):
            train(runs, Logs(seed), Sigma(probe(), 5), Ratio(probe(), every=5), Samples(probe(), every=5),
                  dataset="mixture(kind=ring)", normalizer=normalizer, seed=seed)  # fmt: skip
    found = collect(runs)
    assert [run.outcome for run in found.runs] == ["finished"] * 5
    assert not found.skipped
    settings = {(g.normalizer, g.setting, len(g.runs)) for g in group(found.runs)}
    assert settings == {
        (ours.normalizer, "", 1), ("none", "module=Logs", 2), ("clip(limit=0.1)", "module=Logs", 2)
    }  # fmt: skip
    assert main(["table", "normalizers", "--runs", str(runs), "--format", "csv"]) == 0
    text = capsys.readouterr().out
    assert "clip (limit=0.1)" in text
    assert "module=Logs" in text
    for figure in ("sigma", "ratio", "spectrum", "samples"):
        assert main(["figure", figure, "--runs", str(runs), "--out", str(tmp_path / f"{figure}.png")]) == 0, (
            figure
        )
    assert main(["report", "--runs", str(runs), "--out", str(tmp_path / "page.html")]) == 0
    assert "module=Logs" in (tmp_path / "page.html").read_text()
    assert main(["table", "normalizers", "--runs", str(find_runs(runs)[0].folder)]) == 0


def test_a_table_of_theirs_alone_needs_no_network(tmp_path, capsys):
    train(tmp_path, Logs(), loss="hinge")
    assert main(["table", "normalizers", "--runs", str(tmp_path), "--format", "markdown"]) == 0
    assert "points: hinge loss, 10 generator updates" in capsys.readouterr().out.lower()


@pytest.mark.slow
def test_of_two_processes_one_writes(tmp_path):
    command = [sys.executable, str(Path(__file__).parent / "two_processes.py"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (run,) = collect(tmp_path).runs
    assert run.outcome == "finished"
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["updates"] for row in rows if "updates" in row] == [2, 4, 6]
    assert [row["train/updates"] for row in rows if "train/updates" in row] == [1, 2, 3, 4, 5, 6]
    assert run.series("sigma/exact/0")[0] == [3, 6]


GUIDE = Path(__file__).parents[2] / "docs" / "extending.md"


def test_the_guides_lines_leave_a_run_that_a_table_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    points = probe()
    here = {"train_images": points.train, "heldout_images": points.heldout, "latent_dim": 2}
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (lines,) = [block for block in blocks if "RunFolder(" in block]
    exec(lines, {**here, "my_gan": CriticFirst(), "my_loader": loader()})
    (run,) = collect("runs").runs
    assert run.outcome == "finished"
    assert run.series("sigma/exact/0")[0] == list(range(1, 101))
    assert run.series("ratio/drift")[0] == list(range(20, 101, 10))  # from one measurement to the next
    assert run.series("time/generator_steps_per_second")[0] == [50, 100]
    assert [path.parent for path in Path().glob("**/*.ckpt")] == [run.folder / "checkpoints"]
    assert main(["table", "normalizers", "--runs", "runs", "--format", "markdown"]) == 0
    assert "my faces: hinge loss, 100 generator updates" in capsys.readouterr().out


def test_the_trainers_options_that_change_numbers_are_told(tmp_path):
    run = trainer(logger=logger(tmp_path), max_epochs=-1, accumulate_grad_batches=2)
    run.fit(AutomaticInTurn(), loader())
    assert find_runs(tmp_path)[0].config["trainer"] == {"accumulate_grad_batches": 2}
