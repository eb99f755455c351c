"""The callback's truth, stability and state, on a flow of which all is known in closed form."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snlab.callbacks.probe import Probe
from snlab.callbacks.ratio import Ratio
from snlab.core import names
from snlab.data.mixture import GaussianMixture
from snlab.diagnostics.stability import WINDOW

ONE = GaussianMixture(torch.tensor([[1.0, 0.0]]), 1.0)


class Standard(nn.Module):
    """p_G = N(0, I), through the identity."""

    def forward(self, z: Tensor) -> Tensor:
        return z

    def log_density(self, x: Tensor) -> Tensor:
        return -x.square().sum(1) / 2 - math.log(2 * math.pi)


class Scaled(nn.Module):
    """The exact log ratio of q = N((1, 0), I) against p_G, times ``scale``."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * (x[:, 0] - 0.5)


def module(scale: float = 1.0, generator: nn.Module | None = None) -> Any:
    return SimpleNamespace(
        discriminator=Scaled(scale), generator=generator or Standard(), device=torch.device("cpu"), loss=None
    )


def probe(n: int = 200) -> Probe:
    stream = torch.Generator().manual_seed(0)
    train, heldout = (ONE.sample(n, stream)[0] for _ in range(2))
    return Probe(train, heldout, torch.randn(n, 2, generator=stream), torch.rand(n, generator=stream))


def test_what_is_announced_is_logged_from_the_second_measurement_on():
    callback, gan = Ratio(probe(), ONE), module()
    first, second = (callback.measure(None, gan) for _ in range(2))  # type: ignore[arg-type]
    assert second.keys() == callback.logs(gan)
    later = {f"ratio/{name}" for name in (*names.STABILITY, "drift", "calibrated/drift")}
    assert second.keys() - first.keys() == later


def test_the_exact_ratio_has_no_error_and_its_gradient_none():
    found = Ratio(probe(), ONE).measure(None, module())  # type: ignore[arg-type]
    for name in names.TRUE_RATIOS:
        if not name.startswith("true_js"):
            one = name in ("true_slope", "true_correlation", "true_gradient_cosine")
            assert found[f"ratio/{name}"] == pytest.approx(float(one), abs=1e-6), name
    assert found["ratio/generator_gradient_non_saturating"] == pytest.approx(
        torch.sigmoid(0.5 - probe().latents[:, 0]).mean().item(), rel=1e-5
    )  # ∇f is of length 1 everywhere


def test_a_ratio_three_times_too_steep():
    found = Ratio(probe(), ONE).measure(None, module(3.0))  # type: ignore[arg-type]
    assert found["ratio/true_slope"] == pytest.approx(3, rel=1e-5)
    assert found["ratio/true_gradient_error"] == pytest.approx(2, rel=1e-5)
    assert found["ratio/true_gradient_cosine"] == pytest.approx(1, rel=1e-5)


def test_a_density_without_a_gradient_leaves_the_rest():
    class Plain(GaussianMixture):
        def log_prob(self, x: Tensor) -> Tensor:
            return torch.from_numpy(super().log_prob(x.detach()).numpy())

    found = Ratio(probe(), Plain(ONE.modes, 1.0)).measure(None, module())  # type: ignore[arg-type]
    assert found["ratio/true_slope"] == pytest.approx(1, abs=1e-6)
    assert "ratio/true_gradient_cosine" not in found


def test_without_a_known_density_there_is_no_truth():
    found = Ratio(probe(), ONE).measure(None, module(generator=nn.Identity()))  # type: ignore[arg-type]
    assert not any("true" in name for name in found)
    assert "ratio/generator_gradient_saturating" in found


def test_measuring_leaves_no_gradient_behind():
    gan = module()
    with torch.no_grad():
        Ratio(probe(), ONE).measure(None, gan)  # type: ignore[arg-type]
    assert gan.discriminator.scale.grad is None
    assert gan.discriminator.training


# ---- the state -------------------------------------------------------------------------------------------


def measured(callback: Ratio, scales: list[float]) -> list[dict[str, Any]]:
    return [dict(callback.measure(None, module(scale))) for scale in scales]  # type: ignore[arg-type]


def test_stability_is_of_the_last_measurements_alone():
    """f is scale · (x - 1/2): its variance over the measurements is the scales', times a mean square."""
    scales = [float(s) for s in torch.randn(WINDOW + 3, generator=torch.Generator().manual_seed(5))]
    found = measured(Ratio(probe(), ONE), scales)
    square = (probe().heldout[:, 0] - 0.5).square().mean().item()
    for last in (1, 4, WINDOW + 2):
        window = torch.tensor(scales[max(0, last + 1 - WINDOW) : last + 1])
        assert found[last]["ratio/variance"] == pytest.approx(window.var().item() * square, rel=1e-4)


def test_a_resumed_callback_goes_on_with_the_same_numbers(tmp_path):
    scales = [1.0 + 0.1 * i for i in range(WINDOW + 4)]
    whole = measured(Ratio(probe(), ONE), scales)
    first = Ratio(probe(), ONE)
    measured(first, scales[:5])
    torch.save(first.state_dict(), tmp_path / "state.ckpt")
    again = Ratio(probe(), ONE)
    again.load_state_dict(torch.load(tmp_path / "state.ckpt", weights_only=True))
    assert measured(again, scales[5:]) == whole[5:]


def test_the_state_of_a_run_that_kept_the_last_measurement_alone():
    callback = Ratio(probe(), ONE)
    callback.load_state_dict({"previous": probe().heldout[:, 0] - 0.5})
    found = callback.measure(None, module(2.0))  # type: ignore[arg-type]
    rms = (probe().heldout[:, 0] - 0.5).square().mean().sqrt().item()
    assert found["ratio/drift"] == pytest.approx(rms, rel=1e-5)
    assert found["ratio/variance"] == pytest.approx(rms**2 / 2, rel=1e-5)
    fresh = Ratio(probe(), ONE)
    fresh.load_state_dict({"previous": None})
    assert "ratio/drift" not in fresh.measure(None, module())  # type: ignore[arg-type]
