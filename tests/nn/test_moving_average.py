from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from snlab.nn.moving_average import MovingAverage


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def moved(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter))
        module(torch.randn(5, 3))  # moves the batch statistics


def test_is_torchs_average_from_the_copy_on():
    module = network()
    average, torchs = (
        MovingAverage(module, 0.9),
        AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True),
    )
    torchs.update_parameters(module)  # its first takes over what it is given
    for _ in range(5):
        moved(module)
        average.update(module)
        torchs.update_parameters(module)
    assert average.module[1].num_batches_tracked == module[1].num_batches_tracked == 5
    wanted = torchs.module.state_dict()
    for name, value in average.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, wanted[name])
            assert not torch.equal(value, module.state_dict()[name])


def test_what_is_averaged_is_left_alone_and_the_average_has_no_gradient():
    module = network()
    before = copy.deepcopy(module.state_dict())
    average = MovingAverage(module, 0.5)
    average.update(network())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(p.requires_grad for p in module.parameters())
    assert not any(p.requires_grad for p in average.parameters())


def test_the_checkpoint_of_torchs_own_is_read():
    module = network()
    torchs = AveragedModel(module, use_buffers=True)
    moved(module)
    average = MovingAverage(module, 0.5)
    average.load_state_dict(torchs.state_dict())
    assert all(
        torch.equal(value, torchs.module.state_dict()[name])
        for name, value in average.module.state_dict().items()
    )


def test_of_what_has_nothing_to_average_there_is_an_average_too():
    module = nn.Identity()
    average = MovingAverage(module, 0.5)
    average.update(module)
    assert average.module(1) == 1
