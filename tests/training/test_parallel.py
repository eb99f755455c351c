"""One run in two real processes against the same run in one (how such runs end: test_stopping.py)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from snlab.metrics.protocols import PROTOCOLS
from snlab.scoring.arguments import Options
from snlab.scoring.evaluate import evaluate
from snlab.tracking.run_folder import Run
from tests.comparing import assert_same, rows
from tests.forked import Command
from tests.training.parallel_processes import write_results
from tests.variants import ALL

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("parallel_processes.py")
LABELLED = [
    "spectral_norm+gradient_penalty on resnet(conditional=projection, width=0.03125)",
    "none on resnet(conditional=auxiliary_classifier, width=0.03125)",
]
# The means in it are over the whole batch, and its generator update sees real samples.
RELATIVISTIC = "spectral_norm under relativistic_average"
MAPPED = f"{RELATIVISTIC}, mapped"
CASES = [*ALL, *LABELLED, RELATIVISTIC, MAPPED]
FIT = [
    *("fit", "--model.network", "standard_cnn(width=0.125)", "--model.batch_size", "16"),
    *("--generator_steps", "2", "--measure.every", "1", "--measure.fidelity_every", "1"),
    *("--measure.probe_size", "32", "--wandb.mode", "offline", "--trainer.accelerator", "cpu"),
]
TWO = ("--trainer.devices", "2")
TORCHRUN = "import runpy; runpy.run_module('torch.distributed.run', run_name='__main__', alter_sys=True)"


# ---- the update -----------------------------------------------------------------------------------------


def results_of(folder: Path, devices: int) -> list[dict[str, Any]]:
    """What each process wrote, by file."""
    names = (*CASES, "layers")
    return [{name: torch.load(folder / f"{name}-{rank}.pt") for name in names} for rank in range(devices)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("alone")
    write_results(folder, 1, CASES)
    return results_of(folder, 1)[0]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("pair")
    command = [sys.executable, SCRIPT, folder, "2", *CASES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return results_of(folder, 2)


def tensors(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


@pytest.mark.parametrize("case", CASES)
def test_two_processes_update_as_one_with_the_joined_batch(case, alone, pair):
    """Weights, averages, batch statistics and power-iteration vectors, after three generator updates.

    To 1e-9 in double precision: the gradient of a bias that batch norm takes away again is nothing but
    rounding, of which Adam makes a step. In single precision it makes one of full length, in one process as
    in two.
    """
    one, (first, second) = alone[case], (result[case] for result in pair)
    torch.testing.assert_close(tensors(first["state"]), tensors(one["state"]), rtol=0, atol=1e-9)
    for name, value in tensors(first["state"]).items():
        assert torch.equal(value, second["state"][name]), f"{name} differs between processes"
    assert any(name.endswith(".u") for name in first["state"]) == case.startswith("spectral_norm")
    assert ("averages" in first["state"]) == (case == "lecam")
    if case in LABELLED:
        assert first["state"]["generator.block1.norm1.gain.weight"].std(0).min() > 0  # classes differ


def test_images_mapped_to_memory_give_the_same_run(pair):
    for result in pair:
        assert_same(result[MAPPED], result[RELATIVISTIC])


@pytest.mark.parametrize("case", CASES)
def test_losses_are_means_over_processes(case, alone, pair):
    first, second = (result[case] for result in pair)
    assert first["losses"] == second["losses"] == pytest.approx(alone[case]["losses"], abs=1e-10)
    assert not torch.equal(first["own_totals"], second["own_totals"])  # each saw a share of its own


@pytest.mark.parametrize(
    ("kind", "shape", "layer"),
    [
        ("images", (6, 4, 3, 5), nn.BatchNorm2d(4)),
        ("vectors", (6, 4), nn.BatchNorm1d(4, affine=False, momentum=None)),
    ],
)
def test_batch_norm_is_that_of_the_whole_batch(kind, shape, layer, alone, pair):
    """Against torch's own: output, first and second derivative, and, evaluating, the running statistics."""
    generator = torch.Generator().manual_seed(0)
    layer = layer.double()
    x = (torch.randn(shape, generator=generator, dtype=torch.float64) * 3 + 5).requires_grad_()
    direction = torch.randn(shape, generator=generator, dtype=torch.float64)
    y = layer(x)
    (first,) = torch.autograd.grad((y.tanh() * direction).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    expected = {"y": y, "first": first, "second": second, "after": layer.eval()(x)}
    for name, value in expected.items():
        torch.testing.assert_close(alone["layers"][kind][name], value.detach())
        # The second derivative is of the sum of both processes' first ones, squared.
        joined = torch.cat([result["layers"][kind][name] for result in pair])
        torch.testing.assert_close(joined, value.detach())


# ---- the run --------------------------------------------------------------------------------------------


def fitted(folder: Path, *more: str) -> Run:
    """``snlab fit``, over, with its run in folder/runs."""
    done = Command(*FIT, *more, "--runs", folder / "runs", log=folder / "log")
    assert done.wait() == 0, done.out + done.err
    assert done.out.count("finished at generator step 2") == 1, done.out
    return run_in(folder / "runs")


def torchrun(folder: Path, *more: str) -> Command:
    """``torchrun``, as it starts ``snlab fit`` in two processes, over."""
    words = ("--nproc-per-node", "2", "-m", "snlab", *FIT, *more, "--runs", folder / "runs")
    done = Command(*words, script=TORCHRUN, log=folder / "log")
    done.wait()
    return done


def run_in(folder: Path) -> Run:
    (path,) = folder.iterdir()
    return Run.read(path)


@pytest.fixture(scope="module")
def run_alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fitted(tmp_path_factory.mktemp("run_alone"))


@pytest.fixture(scope="module")
def run_of_two(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fitted(tmp_path_factory.mktemp("run_of_two"), *TWO, "--keep_best", "true")


def test_measurements_are_those_of_one_process(run_alone, run_of_two):
    """Every number that is logged, once, and the Fréchet distance among them: to 1 in 1000."""
    one, two = run_alone.rows, run_of_two.rows
    assert len(rows(run_of_two)) == len(rows(run_alone))
    assert one.keys() == two.keys()
    assert "fid/embedded-digits" in one[2]
    for step, row in one.items():
        assert row.keys() == two[step].keys()
        for name, value in row.items():
            if not name.startswith("time/") and value is not None:
                assert two[step][name] == pytest.approx(value, rel=1e-3, abs=1e-3), f"{name} at {step}"


@pytest.mark.parametrize("devices", [1, 2])
def test_a_checkpoint_scores_what_its_run_logged(devices, run_alone, run_of_two):
    """To the last digit, in one process, whatever the run had."""
    trained = run_alone if devices == 1 else run_of_two
    scores = evaluate(trained.folder, Options(protocol="embedded")).entry["scores"]
    assert set(scores) == {f"{m}/embedded-digits/embedded" for m in PROTOCOLS["embedded"].metrics}
    assert {name.removesuffix("/embedded"): value for name, value in scores.items()}.items() <= (
        trained.rows[2].items()
    )


def test_the_best_of_two_processes_is_whole(run_of_two):
    steps, values = run_of_two.series("fid/embedded-digits")
    found = evaluate(run_of_two.folder, Options(protocol="embedded", checkpoint="best")).entry
    assert found["generator_step"] == steps[values.index(min(values))]
    assert found["checkpoint"]["chosen_by"]["value"] == min(values)


def test_several_devices_are_the_same_trial(run_alone, run_of_two):
    assert run_of_two.summary["identity"] == run_alone.summary["identity"]
    assert run_of_two.summary["outcome"] == "finished"


def test_two_processes_are_one_wandb_run(run_of_two):
    assert len(list((run_of_two.folder / "wandb").glob("offline-run-*"))) == 1


def test_torchrun_gives_the_same_run(run_of_two, tmp_path):
    summaries = []
    for count in (1, 2):  # the second time, every process finds that there is nothing to do
        done = torchrun(tmp_path, *TWO)
        assert done.poll() == 0, done.out + done.err
        assert done.out.count("finished at generator step 2") == count, done.out
        again = run_in(tmp_path / "runs")
        assert rows(again) == rows(run_of_two)
        assert len(list((again.folder / "wandb").glob("offline-run-*"))) == 1
        summaries.append(again.summary)
    assert summaries[0] == summaries[1]


@pytest.mark.parametrize(
    ("options", "devices"),
    [(("--gpus", "all", "--gpus-per-run", "2"), ()), (("--workers", "2"), TWO)],
    ids=["a slot of two GPUs", "two devices by the command, forked"],
)
def test_a_sweep_gives_the_same_run(options, devices, run_of_two, tmp_path, monkeypatch):
    """The GPUs are faked, its processes on the CPU. On two cores each has one thread, as in all tests."""
    path = tmp_path / "one.yaml"
    command = ["snlab", *FIT, *devices, "${args}"]
    axes = {"seed_everything": {"values": [0]}}
    path.write_text(yaml.safe_dump({"method": "grid", "parameters": axes, "command": command}))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    cores = set(sorted(os.sched_getaffinity(0))[:2])
    done = Command("sweep", path, *options, "--runs", tmp_path / "runs", log=tmp_path / "log", cores=cores)
    assert done.wait() == 0, done.out + done.err
    (folder,) = [p for p in (tmp_path / "runs/one").iterdir() if p.is_dir()]
    assert rows(Run.read(folder)) == rows(run_of_two)
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 1


def test_a_callback_of_the_users_sees_what_the_first_process_measured(tmp_path):
    """lipschitz/product is measured by the first process alone; both have to stop at it."""
    stopping = {"monitor": "lipschitz/product", "stopping_threshold": 1e9}
    callback = {"class_path": "pytorch_lightning.callbacks.EarlyStopping", "init_args": stopping}
    configuration = str({"trainer": {"callbacks": callback}})
    words = ("--measure.fidelity", "none", "--config", configuration, "--runs", tmp_path / "runs")
    done = Command(*FIT, *TWO, *words, log=tmp_path / "log")
    assert done.wait() == 0, done.out + done.err
    assert done.out.count("stopped (EarlyStopping: Stopping threshold reached: lipschitz/product") == 1
    assert run_in(tmp_path / "runs").summary["generator_step"] == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--model.batch_size", "15"), "batch_size is 15; 2 devices want a multiple of 2"),
        (
            ("--model.generator_batch_size", "9"),
            "generator_batch_size is 9; 2 devices want a multiple of 2",
        ),
    ],
)
def test_a_mistake_is_one_line(arguments, line, tmp_path):
    done = Command(*FIT, *TWO, *arguments, "--runs", tmp_path / "runs", log=tmp_path / "log")
    assert done.wait() == 2
    assert mistakes(done.err) == [f"snlab: {line}"]
    assert not (tmp_path / "runs").exists()


def test_as_many_processes_as_torchrun_did_not_start_are_a_mistake(tmp_path):
    done = torchrun(tmp_path)
    assert done.poll() != 0
    line = "torchrun started 2 processes, and trainer.devices and trainer.num_nodes ask for 1"
    assert mistakes(done.err) == [f"snlab: {line}"]
    assert not (tmp_path / "runs").exists()


def mistakes(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("snlab: ")]


def test_a_port_that_is_taken_is_no_lost_process(tmp_path):
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        left_over = {
            "MASTER_PORT": port,
            "MASTER_ADDR": "nowhere.invalid",
            "LOCAL_RANK": "1",
            "NODE_RANK": "1",
        }
        words = (*FIT, *TWO, "--runs", tmp_path / "runs")
        done = Command(*words, log=tmp_path / "log", executed=True, environment=left_over)
        assert done.wait() == 2, done.err
    assert mistakes(done.err) == [
        f"snlab: another program has the port 127.0.0.1:{port}, where the processes of this run are to meet; "
        "set MASTER_PORT to another port, or unset it: a free one is found"
    ]
    assert run_in(tmp_path / "runs").outcome == "failed"
