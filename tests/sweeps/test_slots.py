"""Slots: which GPUs and how many threads a run gets."""

from __future__ import annotations

import pytest

from snlab.core.errors import UserError
from snlab.sweeps.slots import gpus_in_reach, slots


@pytest.fixture(autouse=True)
def four_gpus_and_eight_cores(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)


def gpus_of(*args, **kwargs):
    return [slot.gpus for slot in slots(*args, **kwargs)]


def test_every_gpu_is_a_slot():
    assert gpus_of() == gpus_of("all") == [("0",), ("1",), ("2",), ("3",)]
    assert gpus_of("3,1") == [("3",), ("1",)]
    assert [slot.threads for slot in slots()] == [2] * 4


def test_several_gpus_a_run_and_several_runs_a_gpu():
    assert gpus_of(gpus_per_run=2) == [("0", "1"), ("2", "3")]
    assert gpus_of(gpus_per_run=3) == [("0", "1", "2")]
    assert [slot.threads for slot in slots(gpus_per_run=2)] == [2] * 2  # of each of a run's two processes
    shared = slots("0,1", runs_per_gpu=2)
    assert [slot.gpus for slot in shared] == [("0",), ("1",), ("0",), ("1",)]
    assert len({slot.name for slot in shared}) == 4


def test_a_cpu_slot_sees_no_gpu_and_has_its_share_of_the_cores():
    found = slots(workers=3)
    assert len(found) == 3
    environment = found[0].environment({"PATH": "p", "SLURM_NTASKS": "4", "OMP_NUM_THREADS": "9"})
    assert environment == {
        "PATH": "p",
        "OMP_NUM_THREADS": "2",
        "CUDA_VISIBLE_DEVICES": "",
        "SNLAB_DEVICES": "1",
    }
    assert slots(gpus_per_run=2)[1].environment({})["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert slots(gpus_per_run=2)[1].environment({})["SNLAB_DEVICES"] == "2"


@pytest.mark.parametrize(("granted", "threads"), [(4, 2), (1, 1), (64, 4)])
def test_a_job_has_the_cores_that_slurm_grants(granted, threads, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", str(granted))
    assert [slot.threads for slot in slots(workers=2)] == [threads] * 2


def test_a_machine_without_gpus_has_a_slot_a_core(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpus_in_reach() == []
    assert [(slot.gpus, slot.threads) for slot in slots()] == [((), 1)] * 8
    with pytest.raises(UserError, match="no GPU is in reach; --workers N"):
        slots("all")
    with pytest.raises(UserError, match="want GPUs"):
        slots(gpus_per_run=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gpus": "0,7"}, "no GPU '7'; in reach: 0, 1, 2, 3"),
        ({"gpus": "0,0"}, "names a GPU twice"),
        ({"gpus": "0", "workers": 2}, "exclude one another"),
        ({"gpus": "0", "gpus_per_run": 2}, "there are 1 GPUs"),
        ({"workers": 0}, "--workers is 0"),
        ({"gpus_per_run": 0}, "--gpus-per-run is 0"),
        ({"runs_per_gpu": -1}, "--runs-per-gpu is -1"),
    ],
)
def test_a_mistake_is_one_line(options, words):
    with pytest.raises(UserError) as caught:
        slots(**options)
    assert words in str(caught.value)
