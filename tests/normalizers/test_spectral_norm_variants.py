"""Spectral norm by SVD, in both directions, scaled; and which of its options go together."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snlab import SpectralNorm, UserError
from snlab.nn.layers import as_matrix, estimated_sigma, output_dim, raw_weight, weight_layers
from snlab.normalizers import Composition, normalizer

# ---- exact ----------------------------------------------------------------------------------------------


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(8, 8, 4, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(4 * 64, 1),
    )


def trained(text: str, updates: int = 200) -> nn.Module:
    chosen = normalizer(text)
    module = chosen.attach(network().double())
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-5, betas=(0.5, 0.999))
    generator = torch.Generator().manual_seed(1)
    for _ in range(updates):
        real, fake = torch.randn(2, 8, 3, 8, 8, dtype=torch.float64, generator=generator)
        chosen.before_update(module)
        loss = F.softplus(-module(real + 0.5)).mean() + F.softplus(module(fake)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    chosen.before_update(module)
    return module.eval()


def test_exact_and_iterated_agree_after_200_updates():
    exact, iterated = trained("spectral_norm(exact=true)"), trained("spectral_norm")
    for one, other in zip(weight_layers(exact).values(), weight_layers(iterated).values(), strict=True):
        matrix = as_matrix(raw_weight(one).detach(), output_dim(one))
        torch.testing.assert_close(estimated_sigma(one), torch.linalg.svdvals(matrix)[0])
        torch.testing.assert_close(estimated_sigma(other), estimated_sigma(one), rtol=1e-3, atol=0)
        assert (one.weight - other.weight).norm() < 1e-3 * one.weight.norm()


@pytest.mark.parametrize("layer", [nn.Linear(7, 5), nn.Conv2d(3, 5, (3, 4)), nn.ConvTranspose2d(6, 4, 3)])
def test_exact_is_the_svds_value_and_gradient(layer):
    torch.manual_seed(0)
    layer = SpectralNorm(exact=True).attach(layer.double())
    with torch.no_grad():
        raw_weight(layer).copy_(torch.randn_like(raw_weight(layer)))
    weight, dim = layer.weight, output_dim(layer)  # computed in training mode: by another SVD
    free = raw_weight(layer).detach().clone().requires_grad_()
    wanted = free / torch.linalg.svdvals(as_matrix(free, dim))[0]
    torch.testing.assert_close(weight, wanted)
    direction = torch.randn_like(free)
    (weight * direction).sum().backward()
    (gradient,) = torch.autograd.grad((wanted * direction).sum(), free)
    torch.testing.assert_close(raw_weight(layer).grad, gradient)


def test_exact_stands_still_in_evaluation_and_gives_no_number_of_no_number():
    torch.manual_seed(0)
    chosen = SpectralNorm(exact=True)
    layer = chosen.attach(nn.Linear(6, 4)).eval()
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    layer(torch.ones(1, 6))
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())
    raw_weight(layer).data[0, 0] = torch.nan
    chosen.before_update(layer)  # a run that diverged is a result, and no error
    assert layer(torch.ones(1, 6)).isnan().all()


# ---- in both directions, scaled -------------------------------------------------------------------------

LAYERS = [
    nn.Conv2d(3, 7, 3),
    nn.Conv2d(8, 2, 4),
    nn.Conv1d(5, 3, 2),
    nn.Conv3d(2, 4, 2),
    nn.ConvTranspose2d(6, 3, 3),
    nn.Conv2d(4, 6, 3, groups=2),
    nn.Linear(9, 4),
]


def both(weight: Tensor) -> Tensor:
    """The mean of σ of the weight as C_out x (C_in k k) and as C_in x (C_out k k), by SVD."""
    first, second = weight.flatten(1), weight.transpose(0, 1).flatten(1)
    return (torch.linalg.svdvals(first)[0] + torch.linalg.svdvals(second)[0]) / 2


@pytest.mark.parametrize("options", [{"exact": True}, {}], ids=["exact", "iterated"])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("scale", [1.0, 1.7])
def test_bidirectional_and_scaled_as_defined(layer, options, scale):
    """c W / ((σ + σ') / 2), with its gradient, against SVDs."""
    torch.manual_seed(0)
    layer = copy.deepcopy(layer).double()
    layer.reset_parameters()  # it was made at import, from any seed
    chosen = SpectralNorm(bidirectional=True, scale=scale, **options)
    chosen.attach(layer)
    for _ in range(0 if options else 300):
        chosen.before_update(layer)
    layer.eval()
    free = raw_weight(layer).detach().clone().requires_grad_()
    wanted = scale * free / both(free)
    torch.testing.assert_close(layer.weight, wanted, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(estimated_sigma(layer), both(free) / scale, rtol=1e-4, atol=0)
    direction = torch.randn_like(free)
    (layer.weight * direction).sum().backward()
    (gradient,) = torch.autograd.grad((wanted * direction).sum(), free)
    torch.testing.assert_close(raw_weight(layer).grad, gradient, rtol=1e-3, atol=1e-4)


def test_a_dense_layer_has_one_direction():
    layer = SpectralNorm(bidirectional=True).attach(nn.Linear(9, 4))
    assert set(layer.state_dict()) == set(SpectralNorm().attach(nn.Linear(9, 4)).state_dict())


def test_a_scale_of_1_is_no_step_and_another_is_no_state():
    plain, scaled = (SpectralNorm(scale=c).attach(nn.Linear(5, 4)) for c in (1.0, 3.0))
    assert set(plain.state_dict()) == set(scaled.state_dict())
    assert [len(layer.parametrizations.weight) for layer in (plain, scaled)] == [1, 2]
    assert torch.linalg.svdvals(scaled.weight)[0].item() == pytest.approx(3, rel=0.02)


# ---- which go together ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            "exact=true, iterations=2",
            "exact=true has no iterations: leave iterations and initial_iterations out",
        ),
        ("exact=true, initial_iterations=5", "exact=true has no iterations"),
        ("of=convolution, bidirectional=true", "bidirectional=true is of the weight as a matrix"),
        ("of=convolution, exact=true", "exact=true is of the weight as a matrix: leave of=convolution out"),
        ("of=convolutions", "unknown of 'convolutions'; did you mean 'convolution'?"),
        ("scale=0", "scale wants a finite number above 0, got 0"),
        ("scale=true", "scale wants a finite number above 0, got True"),
        ("exact=1", "exact wants true or false, got 1"),
        ("bidirectional=both", "bidirectional wants true or false, got 'both'"),
    ],
)
def test_what_contradicts_itself_is_one_line(options, said):
    with pytest.raises(UserError) as refusal:
        normalizer(f"spectral_norm({options})")
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("frobenius_norm+frobenius_norm(gain=true)", "FrobeniusNorm"),
        ("spectral_norm+frobenius_norm", "SpectralNorm"),
        ("frobenius_norm+spectral_norm(of=convolution)", "FrobeniusNorm"),
        ("frobenius_norm+weight_norm", "FrobeniusNorm"),
        ("weight_norm(gain=layer)+spectral_norm", "WeightNorm"),
        ("weight_norm+weight_norm(gain=layer)", "WeightNorm"),
        ("spectral_norm(gain=true)+spectral_norm", "SpectralNorm"),
    ],
)
def test_a_second_scale_is_refused_by_name_and_when_attached(text, left_out):
    first, second = (normalizer(part) for part in text.split("+"))
    with pytest.raises(UserError, match=f"leave {left_out} out"):
        Composition([first, second])
    module = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 2))
    first.attach(module[1])
    with pytest.raises(UserError, match="undoes"):
        second.attach(module)
    assert not hasattr(module[0], "parametrizations")


@pytest.mark.parametrize(
    "text", ["weight_norm+spectral_norm(gain=true)", "weight_norm(gain=true)+frobenius_norm"]
)
def test_a_whole_after_rows_keeps_what_the_rows_are_to_each_other(text):
    module = normalizer(text).attach(nn.Linear(5, 4))
    assert module(torch.ones(2, 5)).isfinite().all()
    nested = Composition([normalizer(text), normalizer("gradient_penalty")])
    with pytest.raises(UserError, match="leave Composition out"):
        Composition([nested, normalizer("frobenius_norm")])
