"""Measurements of anybody's LightningModule come by its generator's updates, however it trains."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from snlab.callbacks.losses import Diverged, Losses
from snlab.callbacks.ratio import Ratio
from snlab.callbacks.sigma import Sigma
from snlab.callbacks.steps import GeneratorSteps, Steps, steps_of
from snlab.callbacks.throughput import Throughput
from snlab.core.errors import UserError
from tests.callbacks.points import (
    Automatic,
    AutomaticInTurn,
    Count,
    CriticFirst,
    GeneratorFirst,
    InParts,
    Points,
    Twice,
    Unwrapped,
    Wrapped,
    loader,
    probe,
    trainer,
)

EVERY = [Wrapped, Unwrapped, CriticFirst, GeneratorFirst, Automatic, AutomaticInTurn, InParts]


@pytest.mark.parametrize("kind", EVERY)
def test_every_tenth_update_is_measured_and_the_last(kind):
    module, count = kind(), Count(every=10)
    trainer(count, max_epochs=1).fit(module, loader(77))
    measured = [step for step in range(1, module.updates + 1) if step % 10 == 0 or step == module.updates]
    assert module.updates in (25, 26, 77)
    assert count.at() == measured


def test_two_updates_a_batch_are_measured_after_the_batch_that_holds_the_tenth():
    module, count = Twice(), Count(every=5)
    trainer(count, max_epochs=1).fit(module, loader(11))
    assert count.at() == [6, 10, 16, 20, 22]


def test_accumulated_gradients_are_one_update():
    module, count = Automatic(), Count(every=1)
    trainer(count, max_epochs=1, accumulate_grad_batches=4).fit(module, loader(12))
    assert [ours for ours, _ in count.seen] == [1, 2, 3]
    assert [batches for _, batches in count.seen] == [4, 8, 12]


@pytest.mark.parametrize(
    ("kind", "max_steps", "updates"),
    [(Wrapped, 40, 20), (CriticFirst, 80, 20), (GeneratorFirst, 80, 20), (Automatic, 20, 20),
     (AutomaticInTurn, 60, 20), (Wrapped, 39, 20), (CriticFirst, 82, 20)],
)  # fmt: skip
def test_a_share_of_the_run_is_one_of_the_updates_that_max_steps_allows(kind, max_steps, updates):
    module, count = kind(), Count(every=0.25)
    trainer(count, max_steps=max_steps, max_epochs=-1).fit(module, loader())
    assert module.updates == updates
    assert count.at() == [5, 10, 15, 20]


@pytest.mark.parametrize(("kind", "options"), [(Wrapped, {"max_epochs": 1}), (Unwrapped, {"max_steps": 9})])
def test_a_share_of_a_run_of_unknown_length_is_refused(kind, options):
    with pytest.raises(UserError, match=r"every 0\.25 of a run wants a run of known length; give a number"):
        trainer(Count(every=0.25), **options).fit(kind(), loader(20))


@pytest.mark.parametrize("kind", [Wrapped, Unwrapped, CriticFirst, AutomaticInTurn])
def test_a_resumed_run_counts_on(kind, tmp_path):
    path = tmp_path / "half.ckpt"
    first = trainer(Count(every=4), max_epochs=1)
    first.fit(kind(), loader(30))
    first.save_checkpoint(path)
    done = torch.load(path, weights_only=True)["callbacks"]["GeneratorSteps"]["count"]
    module, count = kind(), Count(every=4)
    module.updates = done
    trainer(count, max_epochs=2).fit(module, loader(30), ckpt_path=path)
    assert module.updates == 2 * done
    assert count.at() == [s for s in range(done + 1, 2 * done + 1) if s % 4 == 0 or s == 2 * done]


def test_a_checkpoint_without_the_count_is_told(tmp_path):
    path = tmp_path / "theirs.ckpt"
    first = trainer(max_epochs=1)
    first.fit(Wrapped(), loader(5))
    first.save_checkpoint(path)
    count = Count(every=1)
    with pytest.warns(UserWarning, match="does not say how many updates its generator has had"):
        trainer(count, max_epochs=2).fit(Wrapped(), loader(5), ckpt_path=path)
    assert count.at() == [1, 2, 3, 4, 5]


def test_a_trainer_that_goes_on_counts_on_and_another_module_begins_anew():
    ours, count = Wrapped(), Count(every=1)
    run = trainer(count, max_epochs=1)
    run.fit(ours, loader(3))
    run.fit_loop.max_epochs = 2
    run.fit(ours, loader(3))
    assert count.at() == [1, 2, 3, 4, 5, 6]
    run.fit_loop.max_epochs = 3
    count.seen.clear()
    run.fit(Wrapped(1), loader(2))
    assert count.at() == [1, 2]


def test_what_has_no_generator_is_told():
    class Critic(Wrapped):
        def __init__(self):
            super().__init__()
            del self.generator

        def configure_optimizers(self):
            return torch.optim.Adam(self.discriminator.parameters())

    class Elsewhere(Points):
        def training_step(self, batch, batch_idx):
            return self.critic_loss(batch[0])

        def configure_optimizers(self):
            return torch.optim.Adam(self.discriminator.parameters())

    with pytest.raises(UserError, match=r"^Critic has no generator"):
        trainer(Count(1), max_epochs=1).fit(Critic(), loader(2))
    with pytest.raises(UserError, match=r"^no optimizer of Elsewhere holds a parameter of its generator"):
        trainer(Count(1), max_epochs=1).fit(Elsewhere(), loader(2))


def test_all_measurements_share_one_count_and_leave_no_hook():
    module = Wrapped()
    run = trainer(Sigma(probe(), 2), Ratio(probe(), every=2), Throughput(2), Count(1), max_epochs=1)
    run.fit(module, loader(4))
    assert sum(isinstance(callback, GeneratorSteps) for callback in run.callbacks) == 1
    assert run.callback_metrics["sigma/exact/0"] == pytest.approx(
        torch.linalg.svdvals(module.discriminator[0].weight.detach().double())[0].item(), rel=1e-6
    )
    assert "time/generator_steps_per_second" in run.callback_metrics
    assert "time/images_per_second" not in run.callback_metrics  # the module tells no batch size
    assert not any(optimizer._optimizer_step_post_hooks for optimizer in run.optimizers)


def test_losses_of_a_module_without_mean_losses_see_that_it_diverged():
    class Explodes(Wrapped):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            if batch_idx == 5:
                nn.init.constant_(self.generator.bias, float("inf"))

    with pytest.raises(Diverged, match="a weight not finite by generator step 6"):
        trainer(Losses(every=2), max_epochs=1).fit(Explodes(), loader(10))


def test_of_our_own_gan_the_count_is_lightnings():
    from snlab.training.build import build_data, build_gan

    data = build_data("mixture(kind=ring)")
    gan = build_gan(list(data.sample_shape), network="mlp(width=8)", n_dis=3, batch_size=4)
    count, run = Ratio(probe(), every=2), trainer(max_steps=5, max_epochs=-1)
    run.callbacks.append(count)
    run.fit(gan, data)
    assert type(count.steps) is Steps
    assert count.steps.now == run.global_step == 5
    assert type(steps_of(run, gan)) is Steps
    assert not any(isinstance(callback, GeneratorSteps) for callback in run.callbacks)
