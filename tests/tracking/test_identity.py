"""What is part of a run's identity, and what is not."""

from __future__ import annotations

import pytest
import yaml

from snlab.tracking.identity import completed, computes, identity, setting

CONFIG = {
    "seed_everything": 3,
    "generator_steps": 10,
    "model": {"normalizer": "spectral_norm"},
    "data": {"dataset": "digits"},
    "trainer": {"devices": 1, "precision": "32-true"},
}


def trainer(**options: object) -> dict[str, object]:
    return {"trainer": {**CONFIG["trainer"], **options}}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"seed_everything": 4}, False),
        ({"generator_steps": 11}, False),
        ({"model": {"normalizer": "none"}}, False),
        ({"measure": {"every": 0.5}}, False),
        ({"data": {"dataset": "digits", "noise": False, "scaling": "symmetric"}}, True),
        ({"data": {"dataset": "digits", "noise": True}}, False),
        ({"sources": {"mine.Clip": "0123456789"}}, False),
        ({"sources": {}}, True),
        (trainer(precision="bf16-mixed"), False),
        (trainer(fast_dev_run=True), False),
        (trainer(accumulate_grad_batches=2), False),
        (trainer(accumulate_grad_batches=1), True),
        (trainer(callbacks=[{"class_path": "mine.Clip", "init_args": {"limit": 0.01}}]), False),
        (trainer(callbacks=[]), True),
        (trainer(deterministic=True), True),
        (trainer(benchmark=True), True),
        (trainer(sync_batchnorm=False), False),
        (trainer(sync_batchnorm=True), True),
        (trainer(max_epochs=1), False),
        (trainer(max_epochs=-1), True),
        (trainer(new_option=1), False),
        (trainer(new_option=None, other_option=False), True),  # as a later Lightning's defaults are
        (trainer(devices=8, num_nodes=2, accelerator="gpu", strategy="ddp"), True),
        (trainer(max_time="00:01:00:00", profiler="simple", log_every_n_steps=1), True),
        ({"runs": "elsewhere"}, True),
        ({"run_folder": "elsewhere"}, True),
        ({"resume": True}, True),
        ({"again": True}, True),
        ({"wandb": {"project": "x"}}, True),
        ({"checkpoint_every": 0.5}, True),
        ({"keep_best": True}, True),
    ],
)
def test_identity_is_what_is_computed(change, same):
    assert (identity({**CONFIG, **change}) == identity(CONFIG)) is same


def test_a_setting_is_shared_by_seeds_and_by_nothing_else():
    assert setting(CONFIG) == setting({**CONFIG, "seed_everything": 4, "runs": "elsewhere"})
    assert setting(CONFIG) != setting({**CONFIG, **trainer(callbacks=[{"class_path": "mine.Clip"}])})


def test_options_that_came_later_are_a_users_own_in_a_module_of_theirs():
    theirs = {**CONFIG, "module": "Mine"}
    given = {**theirs, "data": {"dataset": "digits", "noise": False}}
    assert identity(given) != identity(theirs)
    assert completed(theirs) == theirs


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("model.adam.lr", True),
        ("trainer.callbacks", True),
        ("trainer.accumulate_grad_batches", True),
        ("trainer.sync_batchnorm", True),
        ("sources.mine.Clip", True),
        ("trainer.devices", False),
        ("trainer.profiler.class_path", False),
        ("wandb.mode", False),
        ("again", False),
    ],
)
def test_which_options_compute(key, expected):
    assert computes(key) is expected


def test_identity_survives_a_trip_through_yaml():
    assert identity(yaml.safe_load(yaml.safe_dump(CONFIG))) == identity(CONFIG)
