"""How runs end, are found again, and are begun anew."""

from __future__ import annotations

import pytest
import torch
import yaml
from pytorch_lightning import Callback

from snlab.cli import main
from snlab.core.errors import UserError
from snlab.tracking.run_folder import METRICS, Run, find_runs
from snlab.training.arguments import FitCLI
from snlab.training.fit import claim
from tests.comparing import assert_equal, rows

pytestmark = pytest.mark.slow

QUICK = ("--generator_steps", "6", "--measure.every", "2", "--measure.fidelity", "none")


class Listener(Callback):
    """Keeps what it is told, and when."""

    told: list[tuple[int, dict[str, float]]]

    def on_fit_start(self, trainer, pl_module):
        type(self).told = []

    def on_validation_end(self, trainer, pl_module):
        self.told.append((trainer.global_step, {k: float(v) for k, v in trainer.callback_metrics.items()}))


class StopAt(Callback):
    def __init__(self, step: int = 3) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, *args):
        trainer.should_stop = trainer.global_step >= self.step


class ClipDiscriminator(Callback):
    """Changes training."""

    @torch.no_grad()
    def on_train_batch_end(self, trainer, pl_module, *args):
        for parameter in pl_module.discriminator.parameters():
            parameter.clamp_(-0.01, 0.01)


def callback(name: str, **arguments: object) -> tuple[str, str]:
    own = name if "." in name else f"{__name__}.{name}"
    return ("--config", str({"trainer": {"callbacks": {"class_path": own, "init_args": arguments}}}))


def early_stopping(monitor: str, **arguments: object) -> tuple[str, str]:
    return callback("pytorch_lightning.callbacks.EarlyStopping", monitor=monitor, **arguments)


# ---- callbacks of the user's ----------------------------------------------------------------------------


def test_callbacks_are_told_of_the_numbers_that_are_logged(fit):
    run = fit(*QUICK, *callback("Listener"))
    assert [step for step, _ in Listener.told] == [2, 4, 6]
    for step, numbers in Listener.told:
        logged = {name: value for name, value in run.rows[step].items() if isinstance(value, float)}
        assert {name: numbers[name] for name in logged} == logged
    assert len(Listener.told[0][1]) > 50


def test_early_stopping_sees_the_metric_and_its_reason_is_kept(fit, arguments, capsys):
    """loss/generator is about 0.69 all along: below 100 at once, and never better by 10."""
    at_once = fit(*QUICK, *early_stopping("loss/generator", stopping_threshold=100))
    assert (at_once.outcome, at_once.summary["generator_step"]) == ("stopped", 2)
    assert at_once.summary["reason"].startswith(
        "EarlyStopping: Stopping threshold reached: loss/generator = 0."
    )
    assert "Trainer" not in at_once.summary["reason"]
    assert (at_once.folder / "checkpoints/step-00000002.ckpt").exists()
    patient = (*QUICK, *early_stopping("loss/generator", patience=1, min_delta=10))
    assert main(["fit", *arguments(*patient)]) == 0
    assert (
        "stopped (EarlyStopping: Monitored metric loss/generator did not improve" in capsys.readouterr().out
    )
    assert claim(arguments(*patient)).finished().summary["generator_step"] == 4


@pytest.mark.slow
def test_a_monitored_metric_is_looked_at_where_it_is_new(fit):
    """Scores come at 3 and 6, the rest at every step: patience counts the scores alone."""
    run = fit(
        *("--generator_steps", "6", "--measure.every", "1", "--measure.fidelity_every", "3"),
        *early_stopping("fid/embedded-digits", mode="max", patience=1, min_delta=1e6),
    )
    assert run.outcome == "finished"
    assert run.series("fid/embedded-digits")[0] == [3, 6]


def test_a_callback_that_stops_the_trainer_stops_the_run(fit):
    run = fit(*QUICK, *callback("StopAt", step=3))
    assert (run.outcome, run.summary["generator_step"]) == ("stopped", 3)
    assert run.summary["reason"] == "a callback told the trainer to stop"
    last = fit(*QUICK, *callback("StopAt", step=6))
    assert last.outcome == "finished"  # every update was made


def test_a_callback_that_changes_training_is_another_trial(fit):
    plain, clipped = fit(*QUICK), fit(*QUICK, *callback("ClipDiscriminator"))
    assert clipped.folder != plain.folder
    assert rows(clipped) != rows(plain)


# ---- the time that a run is given -----------------------------------------------------------------------


def test_max_time_saves_and_asks_to_be_started_again(fit, arguments, capsys, tmp_path):
    whole = fit(*QUICK, "--runs", str(tmp_path / "whole"))
    short = arguments(*QUICK, "--trainer.max_time", "00:00:00:00")
    for step in (1, 2):
        assert main(["fit", *short, *(["--resume"] if step > 1 else [])]) == 75
        captured = capsys.readouterr()
        assert f"killed (max_time reached) at generator step {step}" in captured.out
        assert "--resume goes on" in captured.err
    assert_equal(fit(*QUICK, "--resume"), whole)  # a limit of time is no part of what a run is


# ---- a run that is over ---------------------------------------------------------------------------------


def test_a_run_that_is_over_is_announced_and_its_options_are_checked(fit, arguments, capsys):
    run = fit(*QUICK)
    stamp = (run.folder / "summary.json").stat().st_mtime_ns
    assert main(["fit", *arguments(*QUICK)]) == 0
    said = capsys.readouterr().out.splitlines()[-2:]
    assert said == [
        "finished before, not trained again (--again does, from the start)",
        f"finished at generator step 6: {run.folder}",
    ]
    assert main(["fit", *arguments(*QUICK, "--trainer.accelerator", "tpu")]) == 2
    assert main(["fit", *arguments(*QUICK, "--trainer.devices", "5", "--trainer.accelerator", "cpu")]) == 2
    assert "batch_size is 16; 5 devices want a multiple of 5" in capsys.readouterr().err
    assert (run.folder / "summary.json").stat().st_mtime_ns == stamp


def test_again_trains_anew_and_keeps_what_was_there(fit):
    first = fit(*QUICK)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir() if path.is_file()}
    second, third = fit(*QUICK, "--again"), fit(*QUICK, "--again")
    assert first.folder == second.folder == third.folder
    kept = [first.folder.with_name(f"{first.folder.name}.before-{n}") for n in (1, 2)]
    assert {path.name: path.read_bytes() for path in kept[0].iterdir() if path.is_file()} == before
    assert_equal(Run.read(kept[1]), third)
    assert yaml.safe_load((third.folder / "config.yaml").read_text())["again"] is False
    assert [run.folder for run in find_runs(first.folder.parent)] == [first.folder]
    assert find_runs(kept[0])[0].outcome == "finished"


def test_again_begins_an_unfinished_run_anew_unless_it_is_to_go_on(fit, arguments, capsys):
    short = arguments(*QUICK, "--trainer.max_time", "00:00:00:00")
    steps = []
    for more in ([], ["--again"], ["--again", "--resume"]):
        assert main(["fit", *short, *more]) == 75
        steps.append(claim(short).folder)
        steps[-1] = Run.read(steps[-1]).summary["generator_step"]
    assert steps == [1, 1, 2]


def test_a_short_run_that_claims_to_be_finished_is_not(fit):
    """As --trainer.fast_dev_run left it in an earlier version."""
    run = fit(*QUICK)
    path = run.folder / "summary.json"
    path.write_text(path.read_text().replace('"generator_step": 6', '"generator_step": 1', 1))
    assert Run.read(run.folder).outcome == "unfinished"


# ---- folders of an earlier version ----------------------------------------------------------------------


def test_a_run_that_an_earlier_version_began_goes_on(fit, arguments, tmp_path):
    whole = fit(*QUICK, "--runs", str(tmp_path / "whole"))
    short = arguments(*QUICK, "--trainer.max_time", "00:00:00:00")
    assert main(["fit", *short]) == 75
    now = claim(short).folder
    old = now.rename(now.with_name(f"{now.name.rpartition('-')[0]}-0123456789"))
    config = yaml.safe_load((old / "config.yaml").read_text())
    for key in ("again", "sources"):
        del config[key]
    (old / "config.yaml").write_text(yaml.safe_dump(config))
    resumed = fit(*QUICK, "--resume")
    assert resumed.folder == old
    assert_equal(resumed, whole)


def test_an_earlier_run_of_other_options_is_not_taken_for_this_one(arguments, tmp_path):
    settings = FitCLI(arguments(*QUICK)).settings
    folder = tmp_path / "runs/digits-spectral_norm-seed0-0123456789"
    folder.mkdir(parents=True)
    settings["trainer"]["fast_dev_run"] = True
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    assert claim(arguments(*QUICK)).folder != folder


def test_a_checkpoint_that_fits_other_code_is_one_line(fit, arguments, capsys):
    short = arguments(*QUICK, "--trainer.max_time", "00:00:00:00")
    assert main(["fit", *short]) == 75
    (checkpoint,) = (claim(short).folder / "checkpoints").glob("*.ckpt")
    state = torch.load(checkpoint, weights_only=True)
    state["state_dict"]["discriminator.other"] = torch.zeros(1)
    from snlab.tracking.checkpoints import AtomicCheckpointIO

    AtomicCheckpointIO().save_checkpoint(state, checkpoint)
    capsys.readouterr()
    assert main(["fit", *short, "--resume"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"{checkpoint} fits other code" in line
    assert "--again" in line


# ---- what is honoured -----------------------------------------------------------------------------------


def test_a_profile_lands_in_the_runs_folder(fit):
    run = fit(*QUICK, "--trainer.profiler", "simple")
    assert "run_training_batch" in (run.folder / "fit-profile.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (("--trainer.strategy", "ddp", "--trainer.accelerator", "cpu"), {}),
        (("--trainer.callbacks", "LearningRateMonitor", "--trainer.log_every_n_steps", "1"), {}),
        (
            (),  # one task of several, each a run of its own
            {"SLURM_NTASKS": "2", "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "x", "SLURM_PROCID": "0"},
        ),
    ],
    ids=["ddp on one device", "a callback that logs by itself", "SLURM's --ntasks"],
)
def test_what_works_and_computes_the_same(options, environment, fit, tmp_path, monkeypatch):
    plain = fit(*QUICK, "--runs", str(tmp_path / "plain"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    other = fit(*QUICK, *options)
    assert other.outcome == "finished"
    assert {k: v for k, v in other.rows[6].items() if not k.startswith("time/")} == {
        k: v for k, v in plain.rows[6].items() if not k.startswith("time/")
    }
    if "LearningRateMonitor" in options:
        assert other.series("lr-Adam") == ([0, 1, 2, 3, 4, 5], [0.0002] * 6)
    else:
        assert other.folder.name == plain.folder.name


def test_more_of_a_probe_than_there_is_is_said(fit, capsys):
    run = fit(*QUICK, "--measure.probe_size", "2000")
    said = [line for line in capsys.readouterr().err.splitlines() if "probe_size" in line]
    assert said == [
        "warning: measure.probe_size is 2000; digits has 360 samples held out, and the probe has 360"
    ]
    assert run.outcome == "finished"


def test_a_finished_run_whose_record_is_damaged_is_not_reused(fit):
    run = fit(*QUICK)
    metrics = run.folder / METRICS
    metrics.write_text(metrics.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"is damaged: metrics.jsonl ends at update .*; --again trains it"):
        fit(*QUICK)
    again = fit(*QUICK, "--again")
    assert again.rows.keys() == run.rows.keys()
