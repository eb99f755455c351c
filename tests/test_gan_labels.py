"""The training step of networks that are given labels, against the update written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from snlab.core.errors import UserError
from snlab.data.module import DataModule
from snlab.gan import GAN
from snlab.training.build import build_data, build_gan
from tests.trainers import quiet

CLASSIFIER = "resnet(conditional=auxiliary_classifier, width=0.03, class_weight_d=2, class_weight_g=0.25)"


def one_update(gan: GAN, data: DataModule) -> None:
    trainer = quiet(1)
    trainer.fit(gan, data)


@pytest.mark.parametrize(
    ("network", "dataset"),
    [
        ("mlp(conditional=true, width=8)", "mixture(kind=ring, size=100)"),
        (CLASSIFIER, "digits(size=8)"),
        ("resnet(conditional=projection, width=0.03)", "digits(size=8)"),
    ],
)
def test_one_update_by_hand(network: str, dataset: str) -> None:
    """Generated samples have the labels of the real ones beside them; the generator's, of others drawn."""
    data = build_data(dataset)
    options = {"network": network, "classes": data.classes, "normalizer": "none", "loss": "hinge"}
    gan = build_gan(list(data.sample_shape), batch_size=6, generator_batch_size=5, **options)
    hand = build_gan(list(data.sample_shape), batch_size=6, generator_batch_size=5, **options)
    one_update(gan, data)

    generator, discriminator = hand.generator, hand.discriminator
    optimizers = [hand.adam.optimizer(module) for module in (generator, discriminator)]
    weight_d, weight_g = (2, 0.25) if network == CLASSIFIER else (0, 0)

    def judged(x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | float]:
        said = discriminator(x, labels)
        return (said[0], F.cross_entropy(said[1], labels)) if isinstance(said, tuple) else (said, 0.0)

    real, labels = data.dataset.sample(6, hand.streams["data"])
    fake = generator(hand.latents(6), labels).detach()
    real_logits, class_loss = judged(real, labels)
    fake_logits, _ = judged(fake, labels)
    loss = F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean() + weight_d * class_loss
    loss.backward()
    optimizers[1].step()

    _, labels = data.dataset.sample(5, hand.streams["data"])
    fake_logits, class_loss = judged(generator(hand.latents(5), labels), labels)
    optimizers[0].zero_grad()
    (weight_g * class_loss - fake_logits.mean()).backward()
    optimizers[0].step()

    start = build_gan(list(data.sample_shape), **options).state_dict()
    for name, value in gan.named_parameters():
        torch.testing.assert_close(value, hand.get_parameter(name), rtol=0, atol=1e-6)
        assert not torch.equal(value, start[name]) or "bias" in name, name


def test_a_network_without_labels_is_trained_without() -> None:
    data = build_data("mixture(kind=ring, size=100)")
    gan = build_gan([2], network="mlp(width=8)", batch_size=4, classes=data.classes)
    assert gan.classes == 0
    _, labels = gan.real(data.dataset, 4)
    assert labels is None
    assert gan.beside_generated(data.dataset) == (None, None)  # nothing is drawn for the generator's update


def test_a_checkpoint_of_other_classes_is_refused_in_one_line():
    three, four = (build_gan([2], network="mlp(conditional=true, width=8)", classes=n) for n in (3, 4))
    with pytest.raises(UserError, match="the checkpoint's networks are of 3 classes, the data has 4"):
        four.on_load_checkpoint({"classes": three.classes})
