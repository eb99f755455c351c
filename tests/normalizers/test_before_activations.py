"""What batch norm and layer norm share: where they go, and what stays as it was."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snlab import UserError
from snlab.nn.layers import effective_weight, weights
from snlab.normalizers import Batch, normalizer

NAMES = ["batch_norm", "layer_norm"]
OTHERS = ["gradient_penalty", "spectral_norm", "weight_clipping(layers=all)", "orthonormal"]


class Block(nn.Module):
    """Residual, its activations first, and its shortcut last in the module's order."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(inner, inner, 3, padding=1)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(inner, outer, 3, padding=1)
        self.shortcut = nn.Conv2d(inner, outer, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.relu2(self.conv1(self.relu1(x)))) + self.shortcut(x)


class Critic(nn.Module):
    """A chain, a block, a transposed convolution, a dense head: every activation of its own width."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.act = nn.LeakyReLU(0.1, inplace=True)
        self.first = nn.Conv2d(3, 4, 1)
        self.block = Block(4, 5)
        self.up = nn.ConvTranspose2d(5, 6, 3, padding=1)
        self.prelu = nn.PReLU()
        self.dense = nn.Linear(6, 7)
        self.tanh = nn.Tanh()
        self.head = nn.Linear(7, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.up(self.block(self.first(self.act(self.conv(x)))))
        return self.head(self.tanh(self.dense(self.prelu(h).mean((2, 3)))))[:, 0]


CHANNELS = {"act": 3, "block.relu1": 4, "block.relu2": 4, "prelu": 6, "tanh": 7}


def critic(text: str) -> nn.Module:
    torch.manual_seed(0)
    return normalizer(text).attach(Critic().to(memory_format=torch.channels_last))


def inputs(n: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(n, 2, 5, 5, generator=torch.Generator().manual_seed(seed)) * 3 + 1


@pytest.mark.parametrize("name", NAMES)
def test_every_activation_is_given_what_is_normalised(name):
    """What each activation computes with is what torch's own layer makes of what came before it."""
    module = critic(name)
    given: dict[str, Tensor] = {}
    made: dict[str, Tensor] = {}

    def see(place: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def hook(layer: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
            given[place], made[place] = args[0].detach().clone(), output.detach().clone()

        return hook

    for place in CHANNELS:
        getattr(module.get_submodule(place), name).register_forward_hook(see(place))
    module(inputs())
    assert list(given) == list(CHANNELS)
    for place, channels in CHANNELS.items():
        dims = [0, *range(2, given[place].ndim)] if name == "batch_norm" else [*range(1, given[place].ndim)]
        variance, mean = torch.var_mean(given[place], dims, correction=0, keepdim=True)
        torch.testing.assert_close(made[place], (given[place] - mean) / (variance + 1e-5).sqrt())
        assert given[place].shape[1] == channels


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_keep_their_names_and_values_and_only_a_bias_is_learned(name):
    before, module = critic("none"), critic(name)
    assert list(weights(module)) == list(weights(before))
    for where, plain in zip(weights(module).values(), weights(before).values(), strict=True):
        assert torch.equal(effective_weight(*where), effective_weight(*plain))
    added = {k: v.shape for k, v in module.named_parameters() if k not in dict(before.named_parameters())}
    assert added == {f"{place}.{name}.bias": (n,) for place, n in CHANNELS.items()}
    state = [key for key in module.state_dict() if key not in before.state_dict()]
    running = ["running_mean", "running_var", "num_batches_tracked"] if name == "batch_norm" else []
    assert state == [f"{place}.{name}.{key}" for place in CHANNELS for key in ["bias", *running]]
    module(inputs()).square().sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_with_gain_it_is_torchs_own(name):
    module, plain = critic(f"{name}(gain=true)"), critic(name)
    learned = dict(module.named_parameters())
    assert {f"{place}.{name}.weight" for place in CHANNELS} < learned.keys()
    assert torch.equal(module(inputs()), plain(inputs()))  # it starts at 1
    with torch.no_grad():
        for place in CHANNELS:
            learned[f"{place}.{name}.weight"].fill_(0.5)
    assert not torch.allclose(module(inputs()), plain(inputs()))


@pytest.mark.parametrize("name", NAMES)
def test_activations_that_work_in_place_give_the_same(name):
    inside, outside = critic(name), critic(name)
    for module in outside.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    x, y = (inputs().requires_grad_() for _ in range(2))
    assert torch.equal(inside(x), outside(y))
    for module, at in ((inside, x), (outside, y)):
        (gradient,) = torch.autograd.grad(module(at).sum(), at, create_graph=True)
        gradient.square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    for ours, theirs in zip(inside.parameters(), outside.parameters(), strict=True):
        if theirs.grad is None:
            assert ours.grad is None
        else:
            torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("name", NAMES)
def test_first_and_second_derivative_by_finite_differences(name):
    module = critic(f"{name}+spectral_norm").double()
    x = inputs(2).double().requires_grad_()

    def smooth(x: Tensor) -> Tensor:
        return module.tanh(module.dense(x.mean((2, 3)).repeat(1, 3)))

    with parametrize.cached():  # so that no power iteration moves it
        assert torch.autograd.gradcheck(smooth, x)
        assert torch.autograd.gradgradcheck(smooth, x)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_uses_its_own(name, copied):
    module = critic(name)
    twin = copied(module)
    with torch.no_grad():
        for place in CHANNELS:
            getattr(twin.get_submodule(place), name).bias.fill_(2.0)
    state = copy.deepcopy(module.state_dict())
    module.eval()
    before = module(inputs())
    twin(inputs())
    assert not torch.equal(twin.eval()(inputs()), before)
    assert torch.equal(module(inputs()), before)
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_it_is_of_the_layers_own_precision_and_mode(name):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4).double(), nn.ReLU().eval())
    normalizer(f"{name}+spectral_norm").attach(module)
    inserted = getattr(module[1], name)
    assert {t.dtype for t in inserted.state_dict().values() if t.is_floating_point()} == {torch.float64}
    assert inserted.weight.dtype == torch.float64
    assert not inserted.training
    assert module(torch.randn(5, 3, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "other", ["gradient_penalty", "spectral_norm", "weight_clipping(layers=all)", "orthonormal"]
)
def test_trains_beside_others(name, other):
    torch.manual_seed(0)
    chosen = normalizer(f"{name}+{other}")
    module = chosen.attach(Critic())
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    losses = []
    for step in range(30):
        real, fake = inputs(16, step), -inputs(16, 100 + step)
        chosen.before_update(module)
        loss = nn.functional.softplus(-module(real)).mean() + nn.functional.softplus(module(fake)).mean()
        penalty = chosen.penalty(module, Batch(real, fake))
        optimizer.zero_grad()
        (loss + penalty).backward()
        optimizer.step()
        chosen.after_update(module)
        losses.append((loss + penalty).item())
    assert all(parameter.isfinite().all() for parameter in module.parameters())
    if other != "weight_clipping(layers=all)":
        assert losses[-1] < losses[0] - 0.1


def test_both_go_one_after_the_other():
    module = critic("batch_norm+layer_norm")
    assert [child for child, _ in module.act.named_children()] == ["batch_norm", "layer_norm"]
    assert list(weights(module)) == list(weights(critic("none")))


class Beside(nn.Module):
    """A block that is given two layers' maps, one beside the other, as a label's is beside an image's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 1)
        self.other = nn.Conv2d(2, 4, 1)
        self.block = Block(7, 5)
        self.act = nn.ReLU()
        self.flat = nn.Flatten()
        self.dense = nn.Linear(5 * 25, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.cat([self.conv(x), self.other(x)], 1)
        return self.dense(self.flat(self.act(self.block(h))))[:, 0]


@pytest.mark.parametrize("name", NAMES)
def test_an_activation_that_opens_a_block_is_as_wide_as_the_block_is_given(name):
    module = normalizer(name).attach(Beside())
    module(inputs()).sum().backward()
    widths = {k: len(p) for k, p in module.named_parameters() if k.endswith(f"{name}.bias")}
    assert list(widths.values()) == [7, 7, 5]


@pytest.mark.parametrize("name", NAMES)
def test_an_activation_that_comes_first_is_as_wide_as_the_layer_after_it(name):
    module = normalizer(name).attach(nn.Sequential(nn.Tanh(), nn.Linear(3, 1)))
    assert module[0].get_submodule(name).bias.shape == (3,)
    module(torch.randn(4, 3))


# ---- mistakes -------------------------------------------------------------------------------------------


def refusal(module: nn.Module, name: str) -> str:
    state = list(module.state_dict())
    with pytest.raises(UserError) as refused:
        normalizer(name).attach(module)
    assert list(module.state_dict()) == state
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", NAMES)
def test_mistakes_are_one_line_and_change_nothing(name):
    assert refusal(nn.Sequential(nn.Linear(2, 1)), name) == (
        f"{name} goes before activations, and Sequential has no module that is one, as nn.ReLU is"
    )
    assert refusal(nn.Sequential(nn.ReLU(), nn.Bilinear(2, 2, 1)), name) == (
        "nothing was changed: activation '0' (ReLU) has no dense or convolution layer near it, to say how"
        f" many channels {name} is for"
    )
    assert f"activation 'act' (LeakyReLU) has {name} already" in refusal(critic(name), name)


@pytest.mark.parametrize("name", NAMES)
def test_an_input_of_other_channels_is_one_line(name):
    """Concatenation between the layer and the activation, which the order of modules does not tell."""

    class Concatenating(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(2, 3)
            self.act = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.act(torch.cat([self.dense(x), x], 1))

    module = normalizer(name).attach(Concatenating())
    with pytest.raises(UserError) as refused:
        module(torch.randn(4, 2))
    assert str(refused.value) == (
        f"{name} before activation 'act' is for (batch, 3, ...), by layer 'dense', and was given (4, 5)"
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_activation_is_left_alone(name):
    """Attention and probabilities; and what computes a weight."""

    class Positive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.Softplus()

        def forward(self, weight: Tensor) -> Tensor:
            return self.act(weight)

    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.MultiheadAttention(4, 2), nn.Softmax(1))
    parametrize.register_parametrization(module[0], "weight", Positive())
    normalizer(name).attach(module)
    assert [key for key in module.state_dict() if name in key and "bias" in key] == [f"1.{name}.bias"]


@pytest.mark.parametrize("name", NAMES)
def test_refuses_an_option_that_means_nothing(name):
    with pytest.raises(UserError, match="gain wants true or false, got 1"):
        normalizer(f"{name}(gain=1)")
