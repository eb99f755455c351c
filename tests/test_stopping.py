"""Runs that are stopped or killed, in real processes: they go on as if nothing had been."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from snlab.runs import Run

STEPS = 60
COMMAND = [
    *(sys.executable, "-m", "snlab", "fit", "--wandb.mode", "disabled", "--resume"),
    *("--model.network", "standard_cnn(width=0.125)", "--model.batch_size", "32", "--model.ema_decay", "0.9"),
    *("--model.normalizer", "spectral_norm+gradient_penalty(weight=1)", "--measure.probe_size", "16"),
    *("--measure.every", "3", "--measure.fidelity_every", "20", "--measure.samples_every", "10"),
    *("--generator_steps", str(STEPS), "--checkpoint_every", "7"),
]


def finish(folder: Path) -> Run:
    done = subprocess.run([*COMMAND, "--runs", folder], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.iterdir()
    run = Run.read(path)
    assert run.outcome == "finished"
    return run


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finish(tmp_path_factory.mktemp("undisturbed"))


def timeless(value):
    """A value without what the clock says."""
    if isinstance(value, dict):
        return {
            k: timeless(v)
            for k, v in value.items()
            if not str(k).startswith("time/") and k not in ("elapsed", "seconds")
        }
    return value


def same(a, b, where: str = "") -> None:
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{where}/{i}")
    else:
        assert a == b, where


def assert_equal(run: Run, other: Run) -> None:
    """Weights, averages, optimizers, power-iteration vectors, random streams, metrics, samples, summary."""
    name = f"checkpoints/step-{STEPS:08d}.ckpt"
    loaded = [torch.load(r.folder / name, weights_only=True) for r in (run, other)]
    same(*(_without_clock(checkpoint) for checkpoint in loaded))
    lines = [
        [timeless(json.loads(x)) for x in (r.folder / "metrics.jsonl").read_text().splitlines()]
        for r in (run, other)
    ]
    assert lines[0] == lines[1]
    samples = [{p.name: p.read_bytes() for p in (r.folder / "samples").iterdir()} for r in (run, other)]
    assert samples[0] == samples[1]
    assert timeless(run.summary) == timeless(other.summary)


def _without_clock(value):
    if isinstance(value, dict):
        return {k: _without_clock(v) for k, v in value.items() if k != "elapsed"}
    return value


def started(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--runs", folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_training(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("generator_step"):
            return


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 75), ("SIGUSR1", 75)])
def test_a_signal_saves_at_the_end_of_the_update(number, code, undisturbed, tmp_path):
    process = started(tmp_path)
    wait_for_training(process)
    process.send_signal(getattr(signal, number))
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, out + err
    assert "Traceback" not in err
    assert "--resume goes on" in err
    (folder,) = tmp_path.iterdir()
    stopped = Run.read(folder)
    assert stopped.outcome == "killed"
    assert stopped.summary["reason"] == f"stopped by {number}"
    step = stopped.summary["generator_step"]
    assert 0 < step < STEPS
    assert (folder / f"checkpoints/step-{step:08d}.ckpt").exists()
    assert_equal(finish(tmp_path), undisturbed)


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_at_random_moments(seed, undisturbed, tmp_path):
    """Five kills a run, twenty in all, wherever they fall: in an update, a measurement, a checkpoint, a line.

    A minute on two cores: each of the twenty is a process that starts, trains for a while and is killed.
    """
    chance = random.Random(seed)
    kills = 0
    while kills < 5:
        process = started(tmp_path)
        wait_for_training(process)
        time.sleep(chance.uniform(0.0, 0.35))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
        if process.returncode == 0:
            break  # it was done before the kill: there is nothing left to disturb
    assert_equal(finish(tmp_path), undisturbed)


def test_a_kill_within_a_line_and_within_a_checkpoint(undisturbed, tmp_path):
    """The two moments that chance seldom hits, made: a line cut in half, a checkpoint cut in half."""
    process = started(tmp_path)
    wait_for_training(process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    (folder,) = tmp_path.iterdir()
    (folder / "summary.json").unlink()
    newest = max((folder / "checkpoints").glob("*.ckpt"))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"generator_step": 59, "loss/discr')
    partial = folder / "checkpoints/step-00000059.ckpt"
    partial.write_bytes(newest.read_bytes()[:1000])
    partial.with_name(partial.name + ".sha256").write_text("0" * 64)
    assert_equal(finish(tmp_path), undisturbed)
