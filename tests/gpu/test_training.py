"""Training on a GPU: nothing waits for it, it comes to the weights of a CPU, and it goes on bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from benchmarks.update import harness
from snlab.core.errors import UserError
from snlab.core.random_streams import Streams
from snlab.data import DATASETS
from snlab.data.module import DataModule
from snlab.gan import GAN
from snlab.losses import LOSSES
from snlab.training.build import build_gan
from tests.comparing import assert_same, last_checkpoint, rows, whole_and_resumed
from tests.variants import ALL

pytestmark = pytest.mark.gpu

CUDA = torch.device("cuda")
NETWORK = "standard_cnn(width=0.0625)"
TOGETHER = "spectral_norm+gradient_penalty"
TRAINED = [*ALL, TOGETHER]


class NoWaits(Callback):
    """A RuntimeError where an update waits for the GPU; the first one may, to prepare what others use."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: GAN, *_: Any) -> None:
        if trainer.global_step > 0:
            torch.cuda.set_sync_debug_mode("error")

    def on_train_batch_end(self, trainer: Trainer, pl_module: GAN, *_: Any) -> None:
        torch.cuda.set_sync_debug_mode("default")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        torch.cuda.set_sync_debug_mode("default")


def waits_for_nothing(**options: Any) -> None:
    """Four generator updates, of which the later ones raise where they wait."""
    precision = options.pop("precision", "32-true")
    gan = build_gan([1, 16, 16], n_dis=2, batch_size=8, ema_decay=0.9, classes=10, **options)
    trainer = Trainer(
        max_steps=4,
        max_epochs=-1,
        accelerator="gpu",
        devices=1,
        precision=precision,
        callbacks=[NoWaits()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(gan, DataModule(DATASETS.build("digits")))
    assert trainer.global_step == 4
    assert all(p.isfinite().all() for p in gan.parameters())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("normalizer", [name for name in TRAINED if "exact" not in name])
def test_an_update_waits_for_nothing(normalizer, precision):
    """A decomposition waits by its nature, and so an exact spectral norm does."""
    waits_for_nothing(normalizer=normalizer, network=NETWORK, precision=precision)


@pytest.mark.parametrize("loss", LOSSES.names())
@pytest.mark.parametrize("kind", ["projection", "concatenation", "auxiliary_classifier"])
def test_an_update_with_labels_waits_for_nothing(kind, loss):
    waits_for_nothing(network=f"resnet(width=0.0625, conditional={kind})", loss=loss)


@pytest.mark.parametrize("normalizer", TRAINED)
def test_a_gpu_comes_to_the_weights_of_a_cpu(normalizer, monkeypatch):
    """In float64 and from the same random numbers, so that the sums' order is no matter."""
    dataset = DATASETS.build("digits")
    monkeypatch.setattr(GAN, "latents", lambda gan, n: on_both(torch.randn, n, gan.latent_dim).to(gan.device))
    monkeypatch.setattr(
        type(dataset),
        "sample",
        lambda data, n, _: (on_both(torch.rand, n, *data.sample_shape).to(data.train.device) * 2 - 1, None),
    )
    for name in ("rand", "randint"):
        monkeypatch.setattr(torch, name, drawn_on_both(getattr(torch, name)))
    after = {}
    for device in ("cpu", "cuda"):
        torch.default_generator.manual_seed(0)
        gan, update = harness(normalizer, dataset, NETWORK, 2, 8, torch.device(device))
        gan.generator.double()
        gan.discriminator.double()
        for _ in range(3):
            update()
        after[device] = [p.detach().cpu() for p in gan.parameters()]
    for wanted, got in zip(after["cpu"], after["cuda"], strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-7, atol=1e-9)


def on_both(draw, *size):
    return draw(*size, generator=torch.default_generator, dtype=torch.float64)


def drawn_on_both(draw):
    def drawn(*arguments, generator=None, device=None, dtype=None):
        return draw(*arguments, generator=torch.default_generator, dtype=dtype).to(device)

    return drawn


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_stopped_run_goes_on_as_if_it_had_not(precision, fit, tmp_path, monkeypatch):
    options = [*("--trainer.accelerator", "gpu", "--trainer.deterministic", "true")]
    options += ["--trainer.precision", precision, "--model.normalizer", TOGETHER, "--model.ema_decay", "0.9"]
    options += ["--generator_steps", "20", "--measure.every", "5", "--checkpoint_every", "10"]
    whole, resumed = whole_and_resumed(fit, options, 13, tmp_path, monkeypatch)
    assert resumed.outcome == whole.outcome == "finished"
    assert_same(last_checkpoint(resumed), last_checkpoint(whole))
    assert rows(resumed) == rows(whole)
    assert whole.summary["machine"] == torch.cuda.get_device_name()


def test_a_cpu_does_not_go_on_from_a_gpus_random_numbers():
    on_cpu, on_gpu = Streams(0, "data"), Streams(0, "data")
    on_gpu.place(CUDA)
    with pytest.raises(UserError, match="'data' does not fit a cpu device"):
        on_cpu.load_state_dict(on_gpu.state_dict())
