from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn

from snlab import UserError
from snlab.nn.layers import raw_weight, weights
from snlab.normalizers import normalizer


def network() -> nn.Module:
    """Layers of every kind; their entries start far outside of [-0.01, 0.01]."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.PReLU(),
        nn.ConvTranspose2d(4, 2, 3),
        nn.Flatten(),
        nn.Linear(2 * 6 * 6, 5),
        nn.GRUCell(5, 3),
        nn.Linear(3, 1),
    )


def updated(text: str) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """The network after one update, and its state after the optimizer's step, before the clipping."""
    module = network()
    chosen = normalizer(text)
    assert chosen.attach(module) is module
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(torch.randn(4, 1, 6, 6)).square().mean().backward()
    optimizer.step()
    before = copy.deepcopy(module.state_dict())
    chosen.after_update(module)
    return module, before


@pytest.mark.parametrize(
    ("options", "c", "clipped"),
    [
        ("", 0.01, ["0.weight", "3.weight"]),
        ("c=0.1", 0.1, ["0.weight", "3.weight"]),
        (
            "layers=all",
            0.01,
            ["0.weight", "3.weight", "5.weight", "6.weight_ih", "6.weight_hh", "7.weight"],
        ),
    ],
)
def test_clips_these_weights_and_nothing_else(options, c, clipped):
    module, before = updated(f"weight_clipping({options})")
    for name, value in module.state_dict().items():
        if name in clipped:
            wanted = torch.where(before[name].abs() > c, before[name].sign() * c, before[name])
            torch.testing.assert_close(value, wanted)
            assert before[name].abs().max() > c
        else:
            assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("text", ["spectral_norm+weight_clipping", "weight_clipping+weight_norm(gain=true)"])
def test_clips_what_the_optimizer_moves_where_the_weight_is_computed(text):
    module, before = updated(text)
    module.eval()  # so that reading a weight advances nothing
    for name in ("0", "3"):
        raw = raw_weight(*weights(module)[name])
        assert raw.abs().max() <= 0.01 + 1e-9
        assert module.get_submodule(name).weight.abs().max() > 0.01  # what is computed from it is not bounded
    for name, value in module.state_dict().items():
        if not name.startswith(("0.parametrizations.weight.original", "3.parametrizations.weight.original")):
            assert torch.equal(value, before[name]), name


def test_is_said_where_there_is_nothing_to_clip():
    with pytest.warns(UserWarning, match=r"layers='convolutions'\) finds nothing to clip in Sequential"):
        normalizer("weight_clipping").attach(nn.Sequential(nn.Linear(3, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        normalizer("weight_clipping(layers=all)").attach(nn.Sequential(nn.Linear(3, 1)))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_refuses_a_weight_that_a_hook_computes():
    """What it would clip there is computed anew at the next forward pass."""
    with pytest.raises(UserError, match=r"layer '0' .* has no weight of its own for WeightClipping"):
        normalizer("weight_clipping").attach(nn.Sequential(nn.utils.weight_norm(nn.Conv2d(1, 2, 3))))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("c=0", "c wants a finite number above 0, got 0"),
        ("c=-0.01", "c wants a finite number above 0"),
        ("c=true", "c wants a finite number above 0"),
        ("layers=convolution", "unknown layers 'convolution'; did you mean 'convolutions'?"),
        ("layers=3", "unknown layers 3"),
    ],
)
def test_refuses_what_means_nothing(options, line):
    with pytest.raises(UserError) as refusal:
        normalizer(f"weight_clipping({options})")
    assert line in str(refusal.value)
    assert "\n" not in str(refusal.value)
