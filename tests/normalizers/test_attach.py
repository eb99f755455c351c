"""Attaching changes every weight or nothing, and says what it leaves as it is."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from snlab import SpectralNorm, UserError, WeightNorm
from snlab.nn.layers import as_matrix, effective_weight, output_dim, raw_weight, weights
from snlab.normalizers import Composition, normalizer
from snlab.normalizers.frobenius_norm import FrobeniusNorm
from tests.variants import VARIANTS

NORMALIZERS = [SpectralNorm, WeightNorm, FrobeniusNorm]


def before(last: nn.Module) -> nn.Module:
    """Layers that come first and must be left alone, and the one in question."""
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(4, 3), nn.Sequential(last))


OBSTACLES = {
    "old weight norm": lambda: nn.utils.weight_norm(nn.Linear(3, 2)),
    "old spectral norm": lambda: nn.utils.spectral_norm(nn.Conv2d(3, 2, 3)),
    "old weight norm of a recurrent layer": lambda: nn.utils.weight_norm(nn.GRU(3, 2), "weight_hh_l0"),
    "old spectral norm of attention": lambda: nn.utils.spectral_norm(
        nn.MultiheadAttention(4, 2), "in_proj_weight"
    ),
    "pruned": lambda: prune.random_unstructured(nn.Linear(3, 2), "weight", 0.5),
    "lazy": lambda: nn.LazyConv2d(2, 3),
    "lazy linear": lambda: nn.LazyLinear(2),
}


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", OBSTACLES)
@pytest.mark.parametrize("text", ["spectral_norm", "weight_norm+spectral_norm", "frobenius_norm", *VARIANTS])
def test_what_cannot_be_attached_to_is_refused_before_anything_is_changed(text, name):
    module = before(OBSTACLES[name]())
    state = {key: value for key, value in module.state_dict().items() if not nn.parameter.is_lazy(value)}
    state = copy.deepcopy(state)
    with pytest.raises(UserError, match=r"layer '2\.0") as refusal:
        normalizer(text).attach(module)
    assert "\n" not in str(refusal.value)
    assert [type(layer) for layer in module] == [nn.Conv2d, nn.Linear, nn.Sequential]
    assert not any(parametrize.is_parametrized(layer) for layer in module.modules())
    for key, value in state.items():
        assert torch.equal(value, module.state_dict()[key])


def test_a_lazy_layer_is_attached_to_once_it_has_its_shape():
    module = before(nn.LazyLinear(2))
    module[2](torch.zeros(1, 3))
    SpectralNorm().attach(module)
    assert parametrize.is_parametrized(module[2][0])


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        (SpectralNorm, SpectralNorm, True),
        (WeightNorm, WeightNorm, True),
        (SpectralNorm, WeightNorm, True),
        (WeightNorm, SpectralNorm, False),
        (WeightNorm, FrobeniusNorm, False),
        (FrobeniusNorm, SpectralNorm, True),
        (SpectralNorm, FrobeniusNorm, True),
        (FrobeniusNorm, WeightNorm, True),
    ],
)
def test_one_that_undoes_another_is_refused(first, second, refused):
    module = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 2))
    first().attach(module[1])
    if not refused:
        second().attach(module)
        Composition([first(), second()])
        return
    with pytest.raises(UserError, match="undoes"):
        second().attach(module)
    assert not parametrize.is_parametrized(module[0])
    with pytest.raises(UserError, match=f"{second.__name__} alone"):
        Composition([first(), second()])


@pytest.mark.parametrize(
    "text", ["spectral_norm+weight_norm", "spectral_norm+gradient_penalty+weight_norm(gain=true)"]
)
def test_a_composition_by_name_in_which_one_is_undone_is_refused(text):
    with pytest.raises(UserError, match="leave SpectralNorm out") as refusal:
        normalizer(text)
    assert "\n" not in str(refusal.value)


def test_weight_norm_alone_is_what_it_would_have_been():
    """Why it is refused: scaling a matrix before its rows are scaled to 1 changes nothing."""
    torch.manual_seed(0)
    weight = torch.randn(5, 7)
    rows = weight / weight.norm(dim=1, keepdim=True)
    torch.testing.assert_close((weight / 3) / (weight / 3).norm(dim=1, keepdim=True), rows)


class Mixed(nn.Module):
    """Every kind of weight that attaching meets."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 6))
        self.bag = nn.EmbeddingBag(9, 6)
        self.rnn = nn.LSTM(6, 5, proj_size=3)
        self.cell = nn.GRUCell(6, 5)
        self.attention = nn.MultiheadAttention(6, 2, add_bias_kv=True)
        self.bilinear = nn.Bilinear(3, 4, 2)
        self.norm = nn.LayerNorm((3, 6))
        self.head = nn.Linear(6, 1)


COVERED = [
    "bag",
    "rnn.weight_ih_l0",
    "rnn.weight_hh_l0",
    "rnn.weight_hr_l0",
    "cell.weight_ih",
    "cell.weight_hh",
]
COVERED += ["attention.in_proj_weight", "attention.out_proj", "head"]
LEFT = ["token", "bilinear", "norm"]


@pytest.mark.parametrize("kind", NORMALIZERS)
def test_all_that_is_a_matrix_is_covered_and_the_rest_named(kind):
    torch.manual_seed(0)
    module = Mixed()
    raw = {name: raw_weight(*where).detach().clone() for name, where in weights(module).items()}
    assert list(raw) == COVERED
    with pytest.warns(UserWarning, match=f"{', '.join(LEFT)}$") as said:
        kind().attach(module)
    assert len(said) == 1
    module.eval()
    for name, where in weights(module).items():
        matrix = as_matrix(effective_weight(*where), output_dim(where[0])).detach()
        own = raw[name].flatten(1)
        if kind is SpectralNorm:
            expected = own / torch.linalg.svdvals(own)[0]
        elif kind is FrobeniusNorm:
            expected = own / own.norm()
        else:
            expected = own / own.norm(dim=1, keepdim=True)
        torch.testing.assert_close(matrix, expected, rtol=0.02, atol=1e-3)


def test_nothing_is_said_where_nothing_is_left():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SpectralNorm().attach(
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.PReLU(), nn.Linear(4, 3))
        )


def test_a_row_of_zeros_stays_one_under_weight_norm():
    layer = nn.Linear(4, 3, bias=False)
    layer.weight.data[1] = 0
    WeightNorm().attach(layer)
    layer(torch.ones(2, 4)).square().sum().backward()
    assert torch.equal(layer.weight[1], torch.zeros(4))
    assert raw_weight(layer).grad.isfinite().all()


def test_training_mode_is_each_layers_own():
    module = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2).eval())
    SpectralNorm().attach(module)
    assert [layer.parametrizations.weight[0].training for layer in module] == [True, False]


def test_a_weight_that_is_a_buffer_is_converged_at_once():
    class Fixed(nn.Linear):
        def __init__(self) -> None:
            super().__init__(6, 5)
            weight = self.weight.detach().clone()
            del self.weight
            self.register_buffer("weight", weight)

    layer: nn.Module = Fixed()
    SpectralNorm(initial_iterations=0).attach(layer)
    weight: Tensor = layer.eval().weight
    assert torch.linalg.svdvals(weight)[0].item() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm", "gradient_normalization"])
def test_what_can_be_attached_once_is_refused_twice_before_anything_is_changed(name):
    with pytest.raises(UserError, match="stands twice; it can be attached once"):
        normalizer(f"{name}+none+{name}")
