"""Parameters against scipy's distributions and W&B's definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from snlab.core.errors import UserError
from snlab.sweeps.parameters import DISTRIBUTIONS, read_parameters

QUANTILES = (np.arange(2000) + 0.5) / 2000


def one(**options):
    (parameter,) = read_parameters({"x": options})
    return parameter


def draws(**options):
    parameter = one(**options)
    return np.array([parameter.draw(float(u)) for u in QUANTILES])


@pytest.mark.parametrize(
    ("options", "reference"),
    [
        ({"distribution": "uniform", "min": -1, "max": 3}, stats.uniform(-1, 4)),
        ({"distribution": "log_uniform", "min": -2, "max": 1}, stats.loguniform(math.exp(-2), math.e)),
        ({"distribution": "log_uniform_values", "min": 0.01, "max": 10}, stats.loguniform(0.01, 10)),
        ({"distribution": "inv_log_uniform", "min": 0, "max": 4}, stats.loguniform(math.exp(-4), 1)),
        ({"distribution": "inv_log_uniform_values", "min": 0.1, "max": 2}, stats.loguniform(0.1, 2)),
        ({"distribution": "normal", "mu": 2, "sigma": 0.5}, stats.norm(2, 0.5)),
        ({"distribution": "log_normal", "mu": -1, "sigma": 0.3}, stats.lognorm(0.3, scale=math.exp(-1))),
        ({"distribution": "beta", "a": 2, "b": 5}, stats.beta(2, 5)),
        ({"min": 0.0, "max": 1.5}, stats.uniform(0, 1.5)),
    ],
)  # fmt: skip
def test_a_draw_has_its_distribution(options, reference):
    assert stats.kstest(draws(**options), reference.cdf).statistic < 1e-3


@pytest.mark.parametrize("distribution", [d for d in DISTRIBUTIONS if d.startswith("q_")])
def test_q_rounds_to_multiples(distribution):
    base = {"distribution": distribution.removeprefix("q_"), "min": 1, "max": 3, "mu": 1, "sigma": 2}
    rounded = draws(**{**base, "distribution": distribution, "q": 0.25})
    assert np.allclose(rounded / 0.25, np.round(rounded / 0.25))
    assert np.all(np.abs(rounded - draws(**base)) <= 0.125 + 1e-9)


def test_whole_numbers_are_equally_likely_with_both_ends():
    values, counts = np.unique(draws(min=1, max=5), return_counts=True)
    assert values.tolist() == [1, 2, 3, 4, 5]
    assert counts.tolist() == [400] * 5
    assert all(type(one(min=1, max=5).draw(float(u))) is int for u in (0.0, 0.5, 1 - 1e-12))


def test_values_by_their_probabilities():
    drawn = draws(values=["a", "b", "c"], probabilities=[0.5, 0.2, 0.3]).tolist()
    assert [drawn.count(v) / len(drawn) for v in "abc"] == pytest.approx([0.5, 0.2, 0.3])
    assert one(values=[{"a": 1}, None]).values() == ({"a": 1}, None)
    assert one(value=3).values() == (3,)
    assert list(one(min=2, max=4).values()) == [2, 3, 4]
    assert one(distribution="q_uniform", min=0, max=1, q=0.25).values() == [0, 0.25, 0.5, 0.75, 1]
    assert one(min=0.0, max=1.0).values() is None


def test_nested_parameters_have_dotted_names():
    nested = {"model": {"parameters": {"n_dis": {"value": 1}, "adam": {"parameters": {"lr": {"value": 2}}}}}}
    assert [p.name for p in read_parameters(nested)] == ["model.n_dis", "model.adam.lr"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (3, "wants a mapping"),
        ({"valeus": [1]}, "has no key 'valeus'; did you mean 'values'?"),
        ({"values": []}, "a list of at least one"),
        ({"values": 3}, "a list of at least one"),
        ({}, "wants value, values, min and max, or a distribution"),
        ({"min": 1}, "wants value, values, min and max, or a distribution"),
        ({"min": 2, "max": 1}, "min must be below max"),
        ({"min": "a", "max": 1}, "min wants a number, got 'a'"),
        ({"distribution": "unifrom", "min": 0, "max": 1}, "did you mean 'uniform'?"),
        ({"distribution": "uniform", "min": 0}, "wants max"),
        ({"distribution": "int_uniform", "min": 0.5, "max": 2}, "whole numbers"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "a min above 0"),
        ({"distribution": "normal", "sigma": 0}, "sigma is 0"),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}, "q is 0"),
        ({"distribution": "constant"}, "wants value"),
        ({"values": [1, 2], "probabilities": [1]}, "a probability of at least 0 for each"),
        ({"values": [1, 2], "probabilities": [0.5, 0.6]}, "add up to 1.1"),
        ({"parameters": {}}, "wants a mapping of some"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_parameter(options, words):
    with pytest.raises(UserError, match="parameter x") as caught:
        read_parameters({"x": options})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
