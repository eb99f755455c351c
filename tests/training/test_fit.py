"""Whole runs: the same twice, the same across a stop, and what they leave behind."""

from __future__ import annotations

import platform
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from snlab.callbacks.checkpoint import Checkpoint
from snlab.callbacks.fidelity import Fidelity
from snlab.core.errors import UserError
from snlab.core.names import TRUE_RATIOS
from snlab.tracking.run_folder import Run, RunWriter
from snlab.training.build import build_data, build_gan
from snlab.training.fit import _compare_machines, claim
from snlab.training.fit import fit as train
from snlab.training.measurements import MeasureOptions, measurements
from tests.comparing import assert_same, last_checkpoint, rows

STEPS = 12
RUN = (
    "--generator_steps",
    str(STEPS),
    "--checkpoint_every",
    "3",
    "--measure.every",
    "2",
    "--measure.fidelity",
    "none",
)


@pytest.mark.slow
@pytest.mark.parametrize("normalizer", ["spectral_norm", "gradient_penalty"])
def test_one_seed_is_one_run_and_another_differs(fit, tmp_path, normalizer):
    options = (*RUN, "--model.normalizer", normalizer)
    first = fit(*options, "--runs", str(tmp_path / "a"))
    second = fit(*options, "--runs", str(tmp_path / "b"))
    other = fit(*options, "--runs", str(tmp_path / "c"), "--seed_everything", "1")
    assert_same(last_checkpoint(first)["state_dict"], last_checkpoint(second)["state_dict"])
    assert rows(first) == rows(second)
    assert first.folder.name == second.folder.name != other.folder.name
    for key, value in last_checkpoint(first)["state_dict"].items():
        if key.endswith("weight.original") or key == "generator.0.weight":
            assert not torch.equal(value, last_checkpoint(other)["state_dict"][key]), key
    samples = sorted(path.read_bytes() for path in (first.folder / "samples").iterdir())
    assert samples == sorted(path.read_bytes() for path in (second.folder / "samples").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [6, 7])  # on a checkpoint and between two
@pytest.mark.parametrize(
    "options",
    [
        ("--model.normalizer", "spectral_norm+gradient_penalty", "--model.ema_decay", "0.9"),
        ("--model.normalizer", "weight_norm", "--model.n_dis", "2", "--model.decay_from", "4"),
    ],
)
def test_a_stopped_run_goes_on_as_if_it_had_not(fit, arguments, tmp_path, monkeypatch, options, stop_after):
    whole = fit(*RUN, *options, "--runs", str(tmp_path / "whole"))
    original = Checkpoint.on_train_batch_end

    def stop(self, trainer, *args):
        original(self, trainer, *args)
        if trainer.global_step == stop_after:
            raise RuntimeError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="power"):
            fit(*RUN, *options)
    folder = claim(arguments(*RUN, *options)).folder
    assert Run.read(folder).outcome == "failed"
    resumed = fit(*RUN, *options, "--resume")
    assert resumed.folder == folder
    assert resumed.outcome == "finished"
    assert_same(last_checkpoint(resumed), last_checkpoint(whole))
    assert rows(resumed) == rows(whole)


def test_the_folder_holds_everything(fit):
    start = datetime.now(UTC).replace(microsecond=0)
    run = fit("--generator_steps", "8", "--measure.fidelity", "none")
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert config["model"]["adam"] == {"lr": 0.0002, "beta1": 0.5, "beta2": 0.999}
    assert config["seed_everything"] == 0
    assert run.outcome == "finished"
    summary = run.summary
    assert start <= datetime.fromisoformat(summary["begun"]) <= datetime.fromisoformat(summary["ended"])
    assert summary["generator_step"] == 8
    assert run.folder.name.endswith(summary["identity"])
    assert summary["versions"].keys() >= {"snlab", "torch", "python"}
    assert summary["metrics"]["loss/discriminator"] == run.last("loss/discriminator")
    assert (run.folder / "samples/000008.png").read_bytes()[:4] == b"\x89PNG"
    assert (run.folder / "samples/real.png").read_bytes()[:4] == b"\x89PNG"
    # The configuration can be fed back: it is the same trial.
    again = train(["--config", str(run.folder / "config.yaml")])
    assert again.folder == run.folder


def test_every_name_of_the_design_is_logged(fit):
    layers = [f"conv{i}" for i in range(1, 8)] + ["dense"]
    run = fit("--generator_steps", "4", "--measure.every", "2", "--measure.fidelity_every", "4")
    names = set(run.names())
    ratio = {
        *("log_mass_fake", "log_mass_real", "effective_sample_size", "accuracy_train", "accuracy_heldout"),
        *("generalisation_gap", "calibration_error", "saturation", "drift", "js_bound"),
    }
    of_the_run = {
        *("variance", "rank_correlation", "sign_flips", "instability"),
        *("generator_gradient_saturating", "generator_gradient_non_saturating"),
    }
    expected = {
        *("loss/discriminator", "loss/generator", "loss/penalty"),
        *("loss/discriminator_train", "loss/discriminator_heldout"),
        *(
            f"sigma/{kind}/{layer}"
            for kind in ("exact", "power_iteration", "raw", "conv")
            for layer in layers
        ),
        *(f"{kind}/{layer}" for kind in ("spectrum", "effective_rank") for layer in layers),
        *("lipschitz/product", "lipschitz/gradient_mean", "lipschitz/gradient_max"),
        *(f"ratio/{name}" for name in ratio | of_the_run),
        *(f"ratio/calibrated/{name}" for name in ratio),
        *(f"{score}/embedded-digits" for score in ("fid", "kid", "inception_score", "precision", "recall")),
        *("time/images_per_second", "time/generator_steps_per_second", "time/diagnostics_share"),
    }
    assert names == expected
    assert all(value is not None for row in run.rows.values() for value in row.values())
    assert run.summary["extractors"].keys() == {"embedded-digits"}


@pytest.mark.parametrize("normalizer", ["spectral_norm+gradient_penalty(weight=1)", "weight_norm"])
def test_bfloat16_trains_and_logs_the_same_names(normalizer, fit):
    options = ("--generator_steps", "3", "--measure.fidelity_every", "3", "--measure.every", "3")
    single = fit(*options, "--model.normalizer", normalizer)
    half = fit(*options, "--model.normalizer", normalizer, "--trainer.precision", "bf16-mixed")
    assert half.outcome == "finished"
    assert half.folder != single.folder
    assert half.rows[3].keys() == single.rows[3].keys()
    assert all(value is not None for value in half.rows[3].values())
    assert half.rows[3]["sigma/exact/conv1"] != single.rows[3]["sigma/exact/conv1"]
    assert half.rows[3]["sigma/exact/conv1"] == pytest.approx(single.rows[3]["sigma/exact/conv1"], rel=0.02)


def test_mixtures_log_modes_and_the_true_ratio(fit):
    run = fit(
        "--data.dataset", "mixture(kind=ring)", "--model.network", "flow(width=8, couplings=2)",
        "--generator_steps", "4", "--measure.every", "2", network=False,
    )  # fmt: skip
    names = set(run.names())
    assert names >= {
        "ratio/true_rmse",
        "ratio/true_bias",
        "ratio/true_correlation",
        "ratio/calibrated/true_rmse",
        *(f"ratio/{kind}{name}" for name in TRUE_RATIOS for kind in ("", "calibrated/")),
    }
    assert all(value is not None for value in run.rows[4].values())
    assert names >= {"modes/covered", "modes/high_quality", "modes/kl"}
    assert not any(name.startswith("fid") for name in names)
    assert (run.folder / "samples/000004.npy").exists()
    modes = np.load(run.folder / "samples/modes.npy")
    real = np.load(run.folder / "samples/real.npy")
    nearest = np.linalg.norm(real[:, None] - modes, axis=2).min(axis=1)
    assert np.quantile(nearest, 0.99) < 4 * 0.2  # the ring's standard deviation


def test_the_same_trial_is_not_run_twice(fit):
    first = fit("--generator_steps", "3", "--measure.fidelity", "none")
    stamp = (first.folder / "summary.json").stat().st_mtime_ns
    # Another spelling of the same options, defaults written out.
    second = fit(
        "--generator_steps",
        "3",
        "--measure.fidelity",
        "none",
        "--model.normalizer",
        "spectral_norm(iterations=1)",
    )
    assert second.folder == first.folder
    assert (first.folder / "summary.json").stat().st_mtime_ns == stamp


def test_an_unfinished_run_wants_resume(fit, monkeypatch):
    def stop(self, trainer, *args):
        raise RuntimeError("stop")

    options = ("--generator_steps", "3", "--measure.fidelity", "none")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError):
            fit(*options)
    with pytest.raises(UserError, match="--resume"):
        fit(*options)
    assert fit(*options, "--resume").outcome == "finished"


def test_a_folder_with_another_configuration_is_left_alone(fit, tmp_path):
    folder = tmp_path / "mine"
    options = ("--generator_steps", "2", "--measure.fidelity", "none", "--run_folder", str(folder))
    fit(*options)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(UserError, match=r"another configuration \(model.n_dis is 1 there and 2 here\)"):
        fit(*options, "--model.n_dis", "2")
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(("seconds", "lines"), [(60.0, [1, 5, 10, 15, 20]), (-1.0, list(range(1, 21)))])
def test_progress_is_said_at_once_now_and_then_and_by_the_clock(seconds, lines, fit, monkeypatch, capsys):
    monkeypatch.setattr("snlab.callbacks.progress.LINE_EVERY", 0.25)
    monkeypatch.setattr("snlab.callbacks.progress.LINE_SECONDS", seconds)
    fit("--generator_steps", "20", "--measure.fidelity", "none", "--measure.every", "20")
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("generator_step")]
    assert [int(line.split()[1].split("/")[0]) for line in said] == lines


def test_divergence_is_a_result(fit):
    run = fit(
        "--generator_steps", "50", "--model.normalizer", "none", "--model.loss", "wasserstein",
        "--model.adam.lr", "1e30", "--measure.every", "1", "--measure.fidelity", "none",
    )  # fmt: skip
    assert run.outcome == "diverged"
    assert run.summary["generator_step"] < 50
    assert "not finite by generator step" in run.summary["reason"]


def test_scores_that_are_asked_for_by_name_are_needed(fit, tmp_path):
    nowhere = ("--measure.inception_weights", str(tmp_path / "none.pth"))
    photos = ("--data.dataset", "photos(size=16)")
    with pytest.raises(UserError, match="download https://"):
        fit("--generator_steps", "2", "--measure.fidelity", "inception", *photos, *nowhere)
    assert not (tmp_path / "runs").exists()


def test_scores_of_images_without_labels():
    """Left out where nobody asked for them by name."""
    gan = build_gan([1, 16, 16], network="standard_cnn(width=0.125)")
    unlabelled = replace(build_data().dataset, train_labels=None, heldout_labels=None)
    with pytest.warns(UserWarning, match="fidelity is left out: digits has no labels"):
        found = measurements(MeasureOptions(), gan, unlabelled, 0)
    assert not [one for one in found if isinstance(one, Fidelity)]
    with pytest.raises(UserError, match=r"measure\.fidelity is embedded; digits has no labels"):
        measurements(MeasureOptions(fidelity="embedded"), gan, unlabelled, 0)


def test_losing_a_measurement_does_not_end_a_run(fit, monkeypatch, capsys):
    from snlab.callbacks.ratio import Ratio

    def broken(self, trainer, module):
        raise RuntimeError("no luck")

    monkeypatch.setattr(Ratio, "measure", broken)
    run = fit("--generator_steps", "2", "--measure.fidelity", "none")
    assert run.outcome == "finished"
    assert "Ratio left out at generator step 1: no luck" in capsys.readouterr().err


def test_class_paths_build_the_same_gan(fit):
    """LightningCLI's own form for a normalizer, beside the one-string form."""
    by_name = fit(
        "--generator_steps",
        "2",
        "--measure.fidelity",
        "none",
        "--model.normalizer",
        "gradient_penalty(weight=3)",
    )
    by_path = fit(
        "--generator_steps", "2", "--measure.fidelity", "none",
        "--model.normalizer.class_path", "snlab.normalizers.gradient_penalty.GradientPenalty",
        "--model.normalizer.init_args.weight", "3",
    )  # fmt: skip
    assert rows(by_name) == rows(by_path)


def test_checkpoints_are_kept_in_pairs(fit):
    run = fit("--generator_steps", "6", "--checkpoint_every", "1", "--measure.fidelity", "none")
    kept = sorted(path.name for path in Path(run.folder / "checkpoints").iterdir())
    assert [name for name in kept if name.endswith(".ckpt")] == ["step-00000005.ckpt", "step-00000006.ckpt"]
    assert len(kept) == 4


@pytest.mark.parametrize(("threads", "said"), [(7, 0), (8, 1)])
def test_going_on_with_other_threads_is_said(threads, said, tmp_path, monkeypatch, recwarn):
    """Sums of 1 and of 2 threads round differently, and a GAN makes much of little."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    writer = RunWriter(tmp_path)
    writer.write_config({})
    writer.write_summary({"machine": f"{platform.machine()} CPU, 7 thread(s)"})
    _compare_machines(SimpleNamespace(folder=tmp_path), torch.device("cpu"))
    assert len([w for w in recwarn if "CPU, 8 thread(s): its numbers" in str(w.message)]) == said
