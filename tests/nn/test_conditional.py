"""The layers that take labels against the operations written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snlab.nn.conditional import Concatenation, ConditionalBatchNorm2d, Projection, given, judge
from snlab.nn.layers import weights

CLASSES = 3
LABELS = torch.tensor([2, 0, 2, 1, 0])


def features(*shape: int) -> Tensor:
    return torch.randn(5, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


# ---- batch norm -----------------------------------------------------------------------------------------


def batch_norm() -> ConditionalBatchNorm2d:
    torch.manual_seed(0)
    layer = ConditionalBatchNorm2d(4, CLASSES).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def test_batch_norm_is_one_for_all_with_a_gain_and_a_bias_for_each_class() -> None:
    layer, x = batch_norm(), features(4, 3, 2)
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    normalised = (x - mean) / (variance + 1e-5).sqrt()
    rows = [
        layer.gain.weight[y].view(4, 1, 1) * row + layer.bias.weight[y].view(4, 1, 1)
        for row, y in zip(normalised, LABELS.tolist(), strict=True)
    ]
    torch.testing.assert_close(layer(x, LABELS), torch.stack(rows))


def test_batch_norm_of_one_class_is_torchs_and_so_are_its_running_statistics() -> None:
    layer, plain, x = batch_norm(), nn.BatchNorm2d(4).double(), features(4, 3, 2)
    plain.weight.data, plain.bias.data = layer.gain.weight[1].detach(), layer.bias.weight[1].detach()
    ones = torch.ones(5, dtype=torch.int64)
    for _ in range(2):
        torch.testing.assert_close(layer(x, ones), plain(x))
    torch.testing.assert_close(layer.eval()(2 * x, ones), plain.eval()(2 * x))


def test_batch_norm_starts_without_a_difference_between_classes() -> None:
    x = features(4, 3, 2)
    layer = ConditionalBatchNorm2d(4, CLASSES).double()
    torch.testing.assert_close(layer(x, LABELS), nn.BatchNorm2d(4).double()(x))
    assert sum(p.numel() for p in layer.parameters()) == 2 * CLASSES * 4


def test_batch_norm_learns_of_the_classes_in_the_batch_alone() -> None:
    layer = batch_norm()
    (layer(features(4, 3, 2), torch.tensor([2, 0, 2, 0, 0])).square().sum()).backward()
    for embedding in (layer.gain, layer.bias):
        assert embedding.weight.grad is not None
        assert embedding.weight.grad.abs().sum(1).bool().tolist() == [True, False, True]


def test_batch_norm_keeps_dtype_and_layout() -> None:
    x = features(4, 3, 2).bfloat16().contiguous(memory_format=torch.channels_last)
    y = ConditionalBatchNorm2d(4, CLASSES)(x, LABELS)
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)


# ---- the discriminator's --------------------------------------------------------------------------------


def test_projection_is_the_product_with_the_labels_one_hot_vector() -> None:
    layer, h = Projection(CLASSES, 4).double(), features(4)
    one_hot = F.one_hot(LABELS, CLASSES).double()
    expected = torch.einsum("bk,kd,bd->b", one_hot, layer.weight, h)
    torch.testing.assert_close(layer(h, LABELS), expected)


@pytest.mark.parametrize("shape", [(4,), (4, 3, 2)])
def test_concatenation_repeats_the_labels_vector_at_every_place(shape: tuple[int, ...]) -> None:
    layer, h = Concatenation(CLASSES, 6).double(), features(*shape)
    y = layer(h, LABELS)
    assert y.shape == (5, 10, *shape[1:])
    assert torch.equal(y[:, :4], h)
    for row, label in zip(y[:, 4:].reshape(5, 6, -1), LABELS.tolist(), strict=True):
        for place in row.T:
            assert torch.equal(place, layer.weight[label])


@pytest.mark.parametrize("kind", [Projection, Concatenation])
def test_the_labels_vectors_are_a_weight_and_start_by_glorots_rule(kind: type[nn.Embedding]) -> None:
    torch.manual_seed(0)
    layer = kind(100, 200)
    assert list(weights(nn.ModuleDict({"label": layer}))) == ["label"]
    bound = (6 / 300) ** 0.5
    assert 0.99 * bound < layer.weight.abs().max() <= bound
    assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


# ---- with labels and without ----------------------------------------------------------------------------


def test_a_network_is_given_labels_where_there_are_any() -> None:
    assert given(lambda *inputs: inputs, LABELS, None) == (LABELS,)
    assert given(lambda *inputs: inputs, LABELS, LABELS) == (LABELS, LABELS)


def test_what_a_classifier_says_is_a_cross_entropy() -> None:
    logits, class_logits = features(), features(CLASSES)
    said, loss = judge(lambda x, labels: (logits, class_logits), features(2), LABELS)
    assert said is logits
    probabilities = class_logits.exp() / class_logits.exp().sum(1, keepdim=True)
    expected = -sum(probabilities[i, y].log() for i, y in enumerate(LABELS.tolist())) / 5
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("labels", [None, LABELS])
def test_what_no_classifier_says_is_zero(labels: Tensor | None) -> None:
    logits, loss = judge(lambda x, *labels: x.sum(1), features(2), labels)
    assert logits.shape == (5,)
    assert loss == 0
