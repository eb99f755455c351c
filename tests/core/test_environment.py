"""Which variables make a rank, and which are left over."""

from __future__ import annotations

import os

import pytest

from snlab.core import environment
from snlab.core.environment import LAUNCHER, first_process, rank, started_by_srun, without_launcher

TORCHRUN = {
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "TORCHELASTIC_RUN_ID": "none",
    "MASTER_ADDR": "other",
    "MASTER_PORT": "29500",
}
SRUN = {"SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_STEP_NUM_TASKS": "4"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 0),
        ({"RANK": "3"}, 0),
        ({"LOCAL_RANK": "2"}, 0),
        ({"RANK": "three", "LOCAL_RANK": ""}, 0),
        ({"RANK": "3", "LOCAL_RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "x", "MASTER_PORT": "1"}, 0),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "4", "JSM_NAMESPACE_RANK": "2"}, 0),
        (TORCHRUN, 3),
        ({LAUNCHER: "1", "LOCAL_RANK": "1"}, 1),
        ({LAUNCHER: "1"}, 0),
        ({LAUNCHER: str(os.getpid()), "LOCAL_RANK": "1"}, 0),  # what this process tells those that it starts
    ],
)
def test_a_variable_alone_makes_no_rank(variables, expected, monkeypatch):
    monkeypatch.setattr(environment.os, "environ", dict(variables))
    assert rank() == expected
    assert first_process() == (expected == 0)


@pytest.mark.parametrize(
    ("change", "count", "expected"),
    [
        ({}, 4, True),
        ({}, 1, False),  # four runs of one process each
        ({}, 2, False),
        ({"SLURM_STEP_NUM_TASKS": None}, 4, False),  # the batch script itself
        ({"SLURM_PROCID": None}, 4, False),
    ],
)
def test_tasks_are_ranks_where_they_are_those_of_one_run(change, count, expected, monkeypatch):
    found = {name: value for name, value in (SRUN | change).items() if value is not None}
    monkeypatch.setattr(environment.os, "environ", found)
    assert started_by_srun(count) == expected


def test_a_run_of_its_own_inherits_no_place_among_others():
    kept = {"PATH": "p", "WANDB_RUN_GROUP": "g", "ROLE": "r"}
    assert without_launcher({**kept, **TORCHRUN, **SRUN, LAUNCHER: "7", "GROUP_RANK": "1"}) == kept
