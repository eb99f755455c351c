"""A generator that stands still: its samples are those of its density, and only the discriminator learns."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from snlab.callbacks.fidelity import Modes
from snlab.core.errors import UserError
from snlab.networks import MLP, NETWORKS, FixedGenerator
from snlab.training.build import build_data, build_gan
from snlab.training.measurements import MeasureOptions, measurements
from tests.comparing import assert_same, last_checkpoint, rows, whole_and_resumed


def made(text: str, *shape: int) -> tuple[FixedGenerator, int]:
    network = NETWORKS.build(text)
    generator = network.generator(shape)
    assert isinstance(generator, FixedGenerator)
    return generator, network.latent_dim


def test_two_gaussians_a_unit_apart() -> None:
    """The log ratio of N(0, I) to N(m, I) is |m|²/2 - m x: what a discriminator is to find."""
    for dim in (2, 128):
        generator, latent_dim = made("fixed(shift=1)", dim)
        assert latent_dim == dim
        x = torch.randn(50, dim, generator=torch.Generator().manual_seed(0))
        m = torch.full((dim,), 1 / math.sqrt(dim), dtype=torch.float64)
        log_q = stats.multivariate_normal(mean=[0.0] * dim).logpdf(x.double().numpy())
        ratio = torch.from_numpy(log_q) - generator.log_density(x)
        torch.testing.assert_close(ratio, 0.5 - x.double() @ m, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "fixed(scale=2, shift=-0.5)", "fixed(distribution=mixture(kind=ring))",
        "fixed(distribution=line(epsilon=0.05), shift=0.3)",
    ],
)  # fmt: skip
def test_its_samples_are_those_of_its_density(text: str) -> None:
    """By mass in a half plane: of the samples, and of the density by the trapezoidal rule."""
    generator, latent_dim = made(text, 2)
    x = generator(torch.randn(20_000, latent_dim, generator=torch.Generator().manual_seed(0)))
    axis = torch.linspace(-12, 12, 1201, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    mass = generator.log_density(grid).exp() * 0.02**2
    assert mass.sum().item() == pytest.approx(1, abs=1e-6)
    for normal in ([1.0, 0.2], [-0.4, 1.0]):
        direction = torch.tensor(normal)
        expected = mass[grid @ direction.double() > 0.21].sum().item()
        assert 0.02 < expected < 0.98
        found = (x @ direction > 0.21).double().mean().item()
        assert abs(found - expected) < 5 * math.sqrt(expected * (1 - expected) / len(x)) + 0.005  # the grid's


def test_its_dimension_is_the_data_s() -> None:
    for name, dim in (("mixture(kind=random)", 32), ("swiss_roll", 5)):
        generator, latent_dim = made(f"fixed(distribution={name})", dim)
        assert generator(torch.randn(3, latent_dim)).shape == (3, dim)
    generator, latent_dim = made("fixed(distribution=digits_mixture)", 1, 8, 8)
    x = generator(torch.randn(3, latent_dim))
    assert x.shape == (3, 1, 8, 8)
    assert generator.log_density(x).shape == (3,)


def test_both_densities_have_a_gradient_in_x() -> None:
    generator, _ = made("fixed(distribution=mixture(kind=ring), scale=0.5)", 2)
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(generator.log_density, x)


def test_bfloat16_leaves_its_samples_as_they_are() -> None:
    generator, latent_dim = made("fixed(distribution=digits_mixture)", 64)
    z = torch.randn(5, latent_dim)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = generator(z)
    assert torch.equal(half, generator(z))


def test_the_discriminator_is_another_network_s() -> None:
    assert str(NETWORKS.build("fixed").discriminator((2,))) == str(MLP().discriminator((2,)))
    small = NETWORKS.build("fixed(discriminator=mlp(width=8, depth=1))").discriminator((2,))
    assert str(small) == str(MLP(width=8, depth=1).discriminator((2,)))
    images = NETWORKS.build("fixed(distribution=digits_mixture, discriminator=standard_cnn(width=0.125))")
    assert images.discriminator((1, 8, 8))(torch.randn(2, 1, 8, 8)).shape == (2,)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ("distribution=gausian", (2,), "unknown distribution 'gausian'; did you mean 'gaussian'?"),
        ("distribution=mixture(knd=ring)", (2,), "distribution 'mixture' has no option 'knd'; did you mean"),
        ("distribution='gaussian+line'", (2,), "fixed takes one distribution, not the 2 of"),
        ("distribution=mixture(kind=ring)", (3,), "a ring lies in dim=2, got dim=3"),
        ("distribution=gaussian(dim=3)", (2,), "has nothing for samples of 2; it takes dim=3"),
        ("distribution=digits_mixture", (2,), "has nothing for samples of 2; it takes samples of 64"),
        ("distribution=line(epsilon=0)", (2,), "epsilon wants a finite number above 0, got 0"),
        ("scale=0", (2,), "scale wants a finite number above 0, got 0"),
        ("shift=far", (2,), "shift wants a finite number, got 'far'"),
        ("discriminator=mpl", (2,), "unknown network 'mpl'; did you mean 'mlp'?"),
        ("discriminator=mlp(conditional=true)", (2,), "wants labels, and the generator of fixed has none"),
        ("shft=1", (2,), "network 'fixed' has no option 'shft'; did you mean 'shift'?"),
    ],
)
def test_a_mistake_is_told_in_one_line(options: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UserError) as error:
        NETWORKS.build(f"fixed({options})").generator(shape)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("dataset", "network", "wanted"),
    [
        ("line(size=80, heldout=20)", "fixed(distribution=line, shift=1)", 2),  # no modes
        ("gaussian(size=80, heldout=20)", "fixed(shift=1)", 5),
        ("gaussian(size=80, heldout=20)", "flow(width=4, couplings=2)", 5),
        ("gaussian(size=80, heldout=20)", "mlp(width=4)", 3),  # of no known density
        ("digits_mixture(images=true, size=80, heldout=20)", "fixed(distribution=digits_mixture, "
         "discriminator=standard_cnn(width=0.1))", 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_what_of_the_data_is_reached_is_measured(
    dataset: str, network: str, wanted: int, ema_decay: float | None
) -> None:
    data = build_data(dataset).dataset
    gan = build_gan(list(data.sample_shape), network=network, ema_decay=ema_decay)
    with pytest.warns(UserWarning, match="probe_size"):
        (modes,) = (m for m in measurements(MeasureOptions(), gan, data, 0) if isinstance(m, Modes))
    found = modes.measure(None, gan)  # type: ignore[arg-type]
    assert found.keys() == modes.logs(gan)
    assert len(found) == wanted
    assert all(math.isfinite(value) for value in found.values() if isinstance(value, float))


# ---- in training ----------------------------------------------------------------------------------------

RUN = (
    *("--data.dataset", "gaussian(dim=8)", "--model.network", "fixed(shift=1, discriminator=mlp(width=16))"),
    *("--model.batch_size", "32", "--generator_steps", "6", "--measure.every", "2"),
)


@pytest.mark.slow
def test_only_the_discriminator_learns(fit) -> None:
    run = fit(*RUN, "--model.ema_decay", "0.9", network=False)
    assert run.outcome == "finished"
    names = set(run.names())
    assert names >= {"ratio/true_rmse", "modes/dropped_mass", "modes/dropped_mass_se", "loss/generator"}
    state = last_checkpoint(run)["state_dict"]
    assert not [name for name in state if name.startswith("generator.")]
    moved = [name for name in state if name.startswith("discriminator.")]
    assert moved
    # p_G is N(m, I), a unit from q: nothing of q has a ratio of 100 but what is 4.1 from it, on the one side.
    expected = stats.norm.sf(math.log(100) - 0.5)
    dropped = run.rows[6]["modes/dropped_mass"]
    assert abs(dropped - expected) < 5 * run.rows[6]["modes/dropped_mass_se"]


@pytest.mark.slow
def test_it_goes_on_bit_for_bit(fit, tmp_path, monkeypatch) -> None:
    def anew(*options: str):
        return fit(*options, network=False)

    options = (
        *(*RUN, "--data.dataset", "line", "--checkpoint_every", "3", "--model.ema_decay", "0.9"),
        *("--model.network", "fixed(distribution=line, shift=0.3, discriminator=mlp(width=16))"),
    )
    whole, resumed = whole_and_resumed(anew, options, 4, tmp_path, monkeypatch)
    assert_same(last_checkpoint(resumed), last_checkpoint(whole))
    assert rows(resumed) == rows(whole)
